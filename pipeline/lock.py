"""A lock that allows one command at a time to change a run folder."""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

from components.base import artifacts
from components.base.errors import PilahError
from pipeline import run_folder, temporary_files


@contextlib.contextmanager
def locked(run_dir: pathlib.Path) -> Iterator[None]:
    """Lock `run_dir` for this process, and keep its temporary files there.

    The kernel releases the lock when the process ends, however it ends.

    Raises:
        PilahError: another process holds the lock.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / run_folder.LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise PilahError(
                f"{run_dir} is in use by process {file.read().strip()}. Wait for it, stop it, or choose another "
                "--run-dir."
            ) from error
        with artifacts.naming(run_dir / run_folder.LOCK):
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
        with temporary_files.kept_in(run_dir):
            yield
