"""The pictures on disk, named by row id, outside of the folder of static files."""

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

RESERVE_BYTES = 1024 * 1024  # what SQLite needs to delete rows, several times over
log = logging.getLogger("web")


class PictureStore:
    """A folder of pictures and of thumbnails, which are created when first requested.

    Deleting is complete, whatever else runs at the same time in this process or another. A picture is written once,
    before its row exists: nobody can delete it earlier, and nobody writes it again. Whoever copies a picture (to its
    thumbnail here, to a folder in web/exports.py) first gives the copy its final name, then looks whether the picture
    still exists, and deletes the copy if not. Whoever deletes first deletes the picture, then its copies. If the
    picture was deleted before that look, the copier deletes its copy. If it was deleted after, the copy had its name
    by then, and is deleted next. Only a process that is killed in between leaves a file, which the command doctor
    finds.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder

    def add(self, row_id: str, picture: bytes) -> None:
        """Write a picture atomically."""
        path = self.picture(row_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, picture)
        sync(self.folder)  # else a power failure may lose the name of the file's folder

    def picture(self, row_id: str) -> pathlib.Path:
        return self.folder / row_id[:2] / f"{row_id}.jpg"

    def thumbnail(self, row_id: str) -> bytes:
        """Return the thumbnail, and keep it for the next request if the disk has room for it.

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
            log.warning("%s cannot keep a thumbnail: %s", path.parent, error.strerror)
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
        """Set space aside for deletions on a full disk, in a file beside the pictures."""
        if not self._reserve.exists() and self.free_bytes() > 10 * RESERVE_BYTES:
            write_atomically(self._reserve, os.urandom(RESERVE_BYTES))  # zeros may take no space

    def release_reserve(self) -> None:
        """Give the reserved space up if the disk is full."""
        with contextlib.suppress(FileNotFoundError):
            if shutil.disk_usage(self._reserve).free < RESERVE_BYTES:
                self._reserve.unlink()

    def sizes(self) -> collections.Counter[str]:
        """Return row id -> bytes of all its files."""
        sizes: collections.Counter[str] = collections.Counter()
        for path in self.folder.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):  # deleted in the meantime
                sizes[path.name.partition(".")[0]] += path.stat().st_size
        return sizes

    def remove(self, row_id: str) -> None:
        """Delete the picture, then its thumbnail and what killed processes left of them."""
        self.picture(row_id).unlink(missing_ok=True)
        for path in self.folder.glob(f"{row_id[:2]}/{row_id}.*"):
            path.unlink(missing_ok=True)

    def ids(self, older_than_seconds: float = 0.0) -> Iterator[str]:
        """Yield the row ids of all pictures and thumbnails that are old enough."""
        for path in self._older("*.jpg", older_than_seconds):
            yield path.name.partition(".")[0]

    def remove_parts(self, older_than_seconds: float) -> None:
        """Delete the partial files of processes that were killed."""
        for path in self._older("*.part", older_than_seconds):
            path.unlink(missing_ok=True)

    @property
    def _reserve(self) -> pathlib.Path:
        return self.folder.with_name("reserve")

    def _thumbnail(self, row_id: str) -> pathlib.Path:
        return self.folder / row_id[:2] / f"{row_id}.small.jpg"

    def _older(self, pattern: str, seconds: float) -> list[pathlib.Path]:
        before, older = time.time() - seconds, []
        for path in self.folder.glob(f"*/{pattern}"):
            with contextlib.suppress(FileNotFoundError):  # a visitor deleted it in the meantime
                if path.stat().st_mtime <= before:
                    older.append(path)
        return older


def write_atomically(path: pathlib.Path, content: bytes) -> None:
    """Write a file that only its owner may read, with a temporary name until it is complete and on the disk.

    Raises:
        OSError: it cannot be written, and nothing is left of it; the error names its folder.
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
