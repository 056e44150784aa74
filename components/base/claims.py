"""Claims on the files of a task: if several processes have the same task, only the newest one writes.

An executor on several machines gives the task of a machine that does not answer to another one, and the first machine
may come back.
"""

import contextlib
import contextvars
import pathlib
import secrets
from collections.abc import Callable, Iterator

from components.base.errors import PilahError

PREFIX = ".part-claim-"  # claims of killed processes are removed with the other unfinished files, see artifacts.PART
_check: contextvars.ContextVar[Callable[[], None] | None] = contextvars.ContextVar("check", default=None)


class LostClaimError(PilahError):
    """Another process has the task now, or the task is not wanted any more."""


@contextlib.contextmanager
def claimed(path: pathlib.Path) -> Iterator[None]:
    """Claim the task that writes `path`; until the block ends, artifacts.atomic_write checks the claim in this thread.

    The claim is a file beside `path`, which the last process that claims it replaces.

    Raises:
        LostClaimError: from atomic_write, when another process has claimed `path` or has removed the claim.
    """
    claim, token = path.with_name(f"{PREFIX}{path.name}"), secrets.token_hex(8)
    claim.parent.mkdir(parents=True, exist_ok=True)
    part = claim.with_name(f"{claim.name}.{token}")
    try:
        part.write_text(token)
        part.replace(claim)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(claim)) from error

    def check_claim() -> None:
        if not _is(claim, token):
            raise LostClaimError(f"Another process has the task of {path} now, or the run was started again.")

    before = _check.set(check_claim)
    try:
        yield
    finally:
        _check.reset(before)
        if _is(claim, token):
            claim.unlink(missing_ok=True)


def check() -> None:
    """Raise LostClaimError if this thread has a claim, and has lost it."""
    if check_claim := _check.get():
        check_claim()


def _is(claim: pathlib.Path, token: str) -> bool:
    try:
        return claim.read_text() == token
    except FileNotFoundError:
        return False
