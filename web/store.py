"""The pictures on disk, named by row id, outside of the folder of static files."""

import contextlib
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator

from web import pictures


class PictureStore:
    """A folder of pictures and of thumbnails, which are created when first requested."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder

    def add(self, row_id: str, picture: bytes) -> None:
        """Write a picture atomically."""
        self._write(self.picture(row_id), picture)

    def picture(self, row_id: str) -> pathlib.Path:
        return self.folder / row_id[:2] / f"{row_id}.jpg"

    def thumbnail(self, row_id: str) -> pathlib.Path:
        """Return the path of the thumbnail, and create it if necessary.

        Raises:
            FileNotFoundError: there is no such picture.
        """
        path = self._thumbnail(row_id)
        if not path.exists():
            self._write(path, pictures.thumbnail(self.picture(row_id).read_bytes()))
        return path

    def free_bytes(self) -> int:
        """Return the free space on the disk of the pictures."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self.folder).free

    def remove(self, row_id: str) -> None:
        for path in (self.picture(row_id), self._thumbnail(row_id)):
            path.unlink(missing_ok=True)

    def ids(self, older_than_seconds: float = 0.0) -> Iterator[str]:
        """Yield the row ids of all pictures and thumbnails that are old enough."""
        for path in self._older("*.jpg", older_than_seconds):
            yield path.name.partition(".")[0]

    def remove_parts(self, older_than_seconds: float) -> None:
        """Delete the partial files of processes that were killed."""
        for path in self._older("*.part", older_than_seconds):
            path.unlink(missing_ok=True)

    def _thumbnail(self, row_id: str) -> pathlib.Path:
        return self.folder / row_id[:2] / f"{row_id}.small.jpg"

    def _older(self, pattern: str, seconds: float) -> list[pathlib.Path]:
        before, older = time.time() - seconds, []
        for path in self.folder.glob(f"*/{pattern}"):
            with contextlib.suppress(FileNotFoundError):  # a visitor deleted it in the meantime
                if path.stat().st_mtime <= before:
                    older.append(path)
        return older

    def _write(self, path: pathlib.Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
        part = pathlib.Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError:  # such as a full disk
            part.unlink(missing_ok=True)
            raise
        for folder in (path.parent, self.folder):  # else a power failure may lose the file's name
            _sync(folder)


def _sync(folder: pathlib.Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
