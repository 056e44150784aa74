"""Gives Dask workers the small networks of the trials, as a module for distributed.nanny.preload."""

import distributed
import forked_commands


def dask_setup(process: distributed.Nanny | distributed.Worker) -> None:
    """Let a nanny preload this module in its worker, and the worker replace the backbones."""
    if isinstance(process, distributed.Nanny):
        process.preload = [process.preload, __name__]
    else:
        forked_commands.use_small_networks()
