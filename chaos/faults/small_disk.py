"""A file system in memory, of a few megabytes, that can be full or read-only; only root can mount one."""

import contextlib
import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator


@contextlib.contextmanager
def mounted(folder: pathlib.Path, mebibytes: int) -> Iterator[bool]:
    """Mount a file system at `folder`, and unmount it after the block; yield whether that is possible here."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def read_only(folder: pathlib.Path) -> Iterator[None]:
    """Make the file system at `folder` read-only during the block."""
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)


def fill(folder: pathlib.Path, left_bytes: int) -> None:
    """Fill the file system of `folder` until at most `left_bytes` are free, also while others write."""
    with _filler(folder).open("ab") as file:
        while (free := shutil.disk_usage(folder).free) > left_bytes:
            with contextlib.suppress(OSError):  # others took some of the space in the meantime
                os.posix_fallocate(file.fileno(), 0, _filler(folder).stat().st_size + free - left_bytes)


def free(folder: pathlib.Path) -> None:
    """Undo `fill`."""
    _filler(folder).unlink()


def _filler(folder: pathlib.Path) -> pathlib.Path:
    return folder / "filler"
