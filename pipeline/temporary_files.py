"""Temporary files of the commands on a run folder: those of libraries in RUN/tmp, and unfinished ones anywhere."""

import contextlib
import errno
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from components.base import artifacts
from components.base.errors import PilahError
from pipeline import run_folder

LITTLE_BYTES = 1_000_000  # of free space, with which libraries fail in any way
VARIABLE = "TMPDIR"  # tells child processes where their temporary files go


@contextlib.contextmanager
def kept_in(run_dir: pathlib.Path) -> Iterator[None]:
    """Keep the temporary files of the block and of its child processes in RUN/tmp, and remove them after it.

    A killed command leaves some, such as AutoGraph's modules and Keras's archives, and files and zips that it was
    writing. They are removed first. Hold the lock of `run_dir`, so that they are not those of a running command.

    Raises:
        OSError: the block failed, and the disk is full.
    """
    folder, before = run_dir / run_folder.TEMPORARY, os.environ.get(VARIABLE)
    _remove(folder)
    _remove_parts(run_dir)
    folder.mkdir(exist_ok=True)
    os.environ[VARIABLE] = tempfile.tempdir = str(folder)
    try:
        yield
    except Exception as error:
        # such as an error of the graph, because AutoGraph could not write a module
        if not isinstance(error, PilahError | OSError) and shutil.disk_usage(folder).free < LITTLE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
        raise
    finally:
        tempfile.tempdir = None  # found again from the variable
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
        _remove(folder)


def _remove_parts(run_dir: pathlib.Path) -> None:
    """Remove unfinished files and folders, but none of those that zips of photos contain."""
    artifacts.remove_parts(run_dir, recursive=False)
    for folder in run_dir.iterdir():
        if folder.is_dir():
            artifacts.remove_parts(folder, recursive=folder.name != run_folder.IMAGES)


def _remove(folder: pathlib.Path) -> None:
    """Remove `folder`; what cannot be removed now, such as a file that a child still writes, only takes space."""
    shutil.rmtree(folder, ignore_errors=True)
