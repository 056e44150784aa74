"""Unpacking of a zip: its size is checked before, all of it is written or nothing, and it is checked after."""

import math
import os
import pathlib
import shutil
import stat
import tempfile
import zipfile
import zlib
from typing import BinaryIO

from components.base.errors import PilahError
from components.data import folders, zip_names

# A set of photos is not larger than its zip, and one of uncompressed drawings some 20 times. DEFLATE compresses zeros
# 1000 times.
MAX_RATIO = 100
RATIO_FREE_BYTES = 100_000_000  # a zip of any ratio may hold so much
RESERVE_BYTES = 1_000_000_000  # of the disk, for the other files of a run
BLOCK_BYTES = 4096  # that a small file takes on a disk
MAX_DEPTH = 50  # of folders
CHUNK_BYTES = 1 << 20
# zipfile decompresses a whole chunk of these at once, which can be 20,000 times as large
SMALL_CHUNK_BYTES = 4096
CHUNKED_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Zip:
    """The files and folders of an open zip.

    Attributes:
        path: of the zip.
        archive: the open zip.
        files: path in the zip -> entry.
        folders: paths of the folders.

    Raises:
        PilahError: two entries have the same path, the encoding of a folder's name is unknown, or an entry is a link.
    """

    def __init__(self, path: pathlib.Path, archive: zipfile.ZipFile, encoding: str | None) -> None:
        self.path, self.archive = path, archive
        self.files: dict[pathlib.Path, zipfile.ZipInfo] = {}
        self.folders: set[pathlib.Path] = set()
        entries = archive.infolist()
        for entry, name in zip(entries, zip_names.decoded(path, entries, encoding), strict=True):
            self._add(entry, name)
        if both := self.folders & self.files.keys():
            raise PilahError(
                f"{path} holds {folders.printable(min(both))} as a file and as a folder. Unpack it and give the folder."
            )

    def _add(self, entry: zipfile.ZipInfo, name: str) -> None:
        path = zip_names.path_of(name)
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise PilahError(f"{self.path} holds the link {folders.printable(path)}. Pack the linked files themselves.")
        if len(path.parts) > MAX_DEPTH:
            raise PilahError(
                f"{self.path} holds folders {len(path.parts)} deep, and {MAX_DEPTH} are the most. Unpack it yourself."
            )
        if zip_names.is_folder(name):
            self.folders.add(path)
            return
        if path in self.files or not path.parts:
            raise PilahError(
                f"{self.path} holds {folders.printable(path)} twice, and only one can be used. Unpack it and give "
                "the folder."
            )
        self.files[path] = entry
        self.folders.update(path.parents)

    def check_size(self, folder: pathlib.Path) -> None:
        """Raise where the files are too large for the disk of `folder`, or out of proportion to the zip (a zip bomb).

        The sizes are those that the zip states. No entry becomes larger, as zipfile stops there.
        """
        sizes = [entry.file_size for entry in self.files.values()]
        # entries can share their bytes, and a zip can hold other bytes than those of its entries
        packed = min(self.path.stat().st_size, sum(entry.compress_size for entry in self.files.values()))
        if sum(sizes) > max(RATIO_FREE_BYTES, MAX_RATIO * packed):
            raise PilahError(
                f"{self.path} would unpack {_megabytes(packed)} to {_megabytes(sum(sizes))}, more than {MAX_RATIO} "
                "times as much, which no set of photos does. If you trust it, unpack it and give the folder."
            )
        disk = next(parent for parent in (folder, *folder.parents) if parent.exists())
        needed = sum(BLOCK_BYTES * math.ceil(size / BLOCK_BYTES) for size in sizes)
        state = os.statvfs(disk)
        free = state.f_bavail * state.f_frsize
        if needed + RESERVE_BYTES > free:
            raise PilahError(
                f"{self.path} needs {_megabytes(needed)} when unpacked, and {_megabytes(RESERVE_BYTES)} must remain "
                f"free for the run, but {disk} has only {_megabytes(free)}. Free some, or choose another --run-dir."
            )
        if state.f_files and len(sizes) > state.f_favail:
            raise PilahError(
                f"{self.path} holds {len(sizes)} files, and the disk of {disk} can take {state.f_favail} more. Remove "
                "some, or choose another --run-dir."
            )

    def unpack(self, folder: pathlib.Path) -> None:
        """Write all files to `folder` atomically; several processes may do so at the same time."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = pathlib.Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            for path in sorted(self.folders):
                (part / path).mkdir(parents=True, exist_ok=True)
            for path, entry in self.files.items():
                with self.archive.open(entry) as source, (part / path).open("xb") as target:
                    small = entry.compress_type not in CHUNKED_METHODS
                    shutil.copyfileobj(source, target, SMALL_CHUNK_BYTES if small else CHUNK_BYTES)
            part.chmod(0o755)
            try:
                part.rename(folder)
            except OSError:
                if not folder.exists():  # else another process was first
                    raise
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def check_complete(self, folder: pathlib.Path) -> None:
        """Raise where `folder` does not hold the files of the zip, byte for byte."""
        paths = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}
        different = self.files.keys() ^ paths.keys()
        different = different or {path for path, entry in self.files.items() if not _is_equal(entry, paths[path])}
        if different:
            path = min(different)
            change = "new" if path not in self.files else "missing" if path not in paths else "changed"
            raise PilahError(
                f"{folder} does not hold the files of {self.path}: {folders.printable(path)} is {change}. Delete the "
                "folder to unpack the zip again, or give it as --images."
            )


def _is_equal(entry: zipfile.ZipInfo, path: pathlib.Path) -> bool:
    """Return whether the file `path` has the contents of `entry`."""
    if path.is_symlink() or path.stat().st_size != entry.file_size:
        return False
    with path.open("rb") as file:
        return _crc(file) == entry.CRC


def _crc(file: BinaryIO) -> int:
    checksum = 0
    while chunk := file.read(CHUNK_BYTES):
        checksum = zlib.crc32(chunk, checksum)
    return checksum


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB"
