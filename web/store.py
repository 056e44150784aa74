"""The pictures on disk, named by row id, outside the folder of static files."""

import collections
import contextlib
import logging
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator

from web import pictures

RESERVE_BYTES = 1024 * 1024  # several times what SQLite needs to delete rows
log = logging.getLogger("web")


class PictureStore:
    """A folder of pictures, and of thumbnails that are created on the first request.

    A deletion is complete whatever other threads or processes do at the same time. A picture is written once, before
    its row exists, so that it cannot be deleted earlier or written again. Code that copies a picture (to its thumbnail
    here, to a folder in web/exports.py) first gives the copy its final name, then checks that the picture still exists,
    and deletes the copy if not. Code that deletes a picture deletes its copies after it. If the picture is deleted
    before the check, the copying code deletes the copy; if after, the copy already has its final name, and the deleting
    code finds it. Only a process that is killed in between leaves a file, which the command doctor deletes.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder

    def add(self, row_id: str, picture: bytes) -> None:
        """Write a picture atomically."""
        path = self.picture(row_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, picture)
        sync(self.folder)  # otherwise a power failure may lose the new folder's name

    def picture(self, row_id: str) -> pathlib.Path:
        return self.folder / row_id[:2] / f"{row_id}.jpg"

    def thumbnail(self, row_id: str) -> bytes:
        """Return the thumbnail, and store it for the next request if the disk has room.

        Raises:
            FileNotFoundError: there is no such picture.
        """
        path = self._thumbnail(row_id)
        with contextlib.suppress(FileNotFoundError):
            return path.read_bytes()
        content = pictures.thumbnail(self.picture(row_id).read_bytes())
        try:
            write_atomically(path, content)
        except FileNotFoundError:  # the picture is being deleted
            raise
        except OSError as error:  # such as a full disk
            log.warning("cannot write a thumbnail to %s: %s", path.parent, error.strerror)
            return content
        if not self.picture(row_id).exists():  # it was deleted in the meantime
            path.unlink(missing_ok=True)
            raise FileNotFoundError(path)
        return content

    def free_bytes(self) -> int:
        """Return the free space on the disk of the pictures."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self.folder).free

    def keep_reserve(self) -> None:
        """Reserve space for deletions on a full disk, in a file beside the pictures."""
        if not self._reserve.exists() and self.free_bytes() > 10 * RESERVE_BYTES:
            write_atomically(self._reserve, os.urandom(RESERVE_BYTES))  # zeros may take no space

    def release_reserve(self) -> None:
        """Free the reserved space if the disk is full."""
        with contextlib.suppress(FileNotFoundError):
            if shutil.disk_usage(self._reserve).free < RESERVE_BYTES:
                self._reserve.unlink()

    def sizes(self) -> collections.Counter[str]:
        """Return a map of row id -> bytes of all its files."""
        sizes: collections.Counter[str] = collections.Counter()
        for path in self.folder.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):  # deleted in the meantime
                sizes[path.name.partition(".")[0]] += path.stat().st_size
        return sizes

    def remove(self, row_id: str) -> None:
        """Delete the picture, then its thumbnail and partial files of killed processes."""
        self.picture(row_id).unlink(missing_ok=True)
        for path in self.folder.glob(f"{row_id[:2]}/{row_id}.*"):
            path.unlink(missing_ok=True)

    def ids(self, older_than_seconds: float = 0.0) -> Iterator[str]:
        """Yield the row ids of all pictures and thumbnails that are at least `older_than_seconds` old."""
        for path in self._older("*.jpg", older_than_seconds):
            yield path.name.partition(".")[0]

    def remove_parts(self, older_than_seconds: float) -> None:
        """Delete partial files of killed processes."""
        for path in self._older("*.part", older_than_seconds):
            path.unlink(missing_ok=True)

    @property
    def _reserve(self) -> pathlib.Path:
        return self.folder.with_name("reserve")

    def _thumbnail(self, row_id: str) -> pathlib.Path:
        return self.folder / row_id[:2] / f"{row_id}.small.jpg"

    def _older(self, pattern: str, seconds: float) -> list[pathlib.Path]:
        cutoff, older = time.time() - seconds, []
        for path in self.folder.glob(f"*/{pattern}"):
            with contextlib.suppress(FileNotFoundError):  # a visitor deleted it in the meantime
                if path.stat().st_mtime <= cutoff:
                    older.append(path)
        return older


def write_atomically(path: pathlib.Path, content: bytes) -> None:
    """Write a file that only its owner may read, under a temporary name until it is complete and on the disk.

    Raises:
        OSError: the file cannot be written; no part of it remains, and the error names its folder.
    """
    part = None
    try:
        handle, name = tempfile.mkstemp(prefix=f"{path.stem}.", suffix=".part", dir=path.parent)
        part = pathlib.Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        part = path
        sync(path.parent)
    except OSError as error:  # such as a full disk
        if part:
            part.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path.parent)) from error


def sync(folder: pathlib.Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
