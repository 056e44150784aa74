"""RUN/tmp, where Python and libraries put their temporary files while a command runs."""

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from pipeline import run_folder

VARIABLE = "TMPDIR"  # tells child processes where their temporary files go


@contextlib.contextmanager
def kept_in(run_dir: pathlib.Path) -> Iterator[None]:
    """Keep the temporary files of the block and of its child processes in RUN/tmp, and remove them after it.

    A killed command leaves some, such as AutoGraph's modules and Keras's archives; the next command removes them
    first. Hold the lock of `run_dir`, so that they are not those of a running command.
    """
    folder, before = run_dir / run_folder.TEMPORARY, os.environ.get(VARIABLE)
    _remove(folder)
    folder.mkdir(exist_ok=True)
    os.environ[VARIABLE] = tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = None  # found again from the variable
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
        _remove(folder)


def _remove(folder: pathlib.Path) -> None:
    """Remove `folder`; what cannot be removed now, such as a file that a child still writes, only takes space."""
    shutil.rmtree(folder, ignore_errors=True)
