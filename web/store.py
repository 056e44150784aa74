"""The pictures on disk, under names of our own, outside of what the web server hands out by itself."""

import contextlib
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator

from web import pictures


class PictureStore:
    """A folder of pictures, by row id, and of thumbnails, each made when it is first looked at."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder

    def add(self, row_id: str, picture: bytes) -> None:
        """Keep a picture: whole, or not at all."""
        self._write(self.picture(row_id), picture)

    def picture(self, row_id: str) -> pathlib.Path:
        return self.folder / row_id[:2] / f"{row_id}.jpg"

    def thumbnail(self, row_id: str) -> pathlib.Path:
        """The picture in small.

        Raises:
            FileNotFoundError: there is no picture.
        """
        path = self._thumbnail(row_id)
        if not path.exists():
            self._write(path, pictures.thumbnail(self.picture(row_id).read_bytes()))
        return path

    def free_bytes(self) -> int:
        """Free space on the disk of the pictures."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self.folder).free

    def remove(self, row_id: str) -> None:
        for path in (self.picture(row_id), self._thumbnail(row_id)):
            path.unlink(missing_ok=True)

    def ids(self, older_than_seconds: float = 0.0) -> Iterator[str]:
        """Row ids of the pictures and thumbnails there are, but for those kept in the last so many seconds."""
        for path in self._older("*.jpg", older_than_seconds):
            yield path.name.partition(".")[0]

    def remove_parts(self, older_than_seconds: float) -> None:
        """Remove what was being written when a process was killed."""
        for path in self._older("*.part", older_than_seconds):
            path.unlink(missing_ok=True)

    def _thumbnail(self, row_id: str) -> pathlib.Path:
        return self.folder / row_id[:2] / f"{row_id}.small.jpg"

    def _older(self, pattern: str, seconds: float) -> list[pathlib.Path]:
        before, older = time.time() - seconds, []
        for path in self.folder.glob(f"*/{pattern}"):
            with contextlib.suppress(FileNotFoundError):  # its visitor deleted it meanwhile
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
        except OSError:  # the disk is full
            part.unlink(missing_ok=True)
            raise
        for folder in (path.parent, self.folder):  # names are kept in folders: a power cut must not lose them
            _sync(folder)


def _sync(folder: pathlib.Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
