"""The certificates of a cluster with TLS, which variables of Dask name (docs/cluster.md)."""

from typing import Literal

from components.base.errors import PilahError


def check(address: str, role: Literal["client", "worker"]) -> None:
    """Raise PilahError if `address` is one with TLS, and no variable names the certificate of `role`."""
    import dask  # here, because runs on one machine do not need it

    if address.startswith("tls://") and not dask.config.get(f"distributed.comm.tls.{role}.cert", None):
        raise PilahError(
            f"{address} needs a certificate. Set DASK_DISTRIBUTED__COMM__TLS__{role.upper()}__CERT and the other "
            "variables that docs/cluster.md lists under TLS."
        )
