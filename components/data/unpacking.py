"""Unpack a zip atomically, with a check of its size before and of its contents after."""

import math
import os
import pathlib
import shutil
import stat
import tempfile
import zipfile
import zlib
from typing import BinaryIO

from components.base import artifacts
from components.base.errors import PilahError
from components.data import folders, zip_names

# Maximum compression ratio. Photos hardly compress, uncompressed drawings do about 20 times, and zeros 1000 times.
MAX_RATIO = 100
RATIO_FREE_BYTES = 100_000_000  # up to this size any ratio is accepted
RESERVE_BYTES = 1_000_000_000  # disk space reserved for the other files of a run
BLOCK_BYTES = 4096  # disk space is allocated in blocks of this size
MAX_DEPTH = 50  # of nested folders
CHUNK_BYTES = 1 << 20
# for other compression methods, where zipfile decompresses a whole chunk at once, to up to 20,000 times its size
SMALL_CHUNK_BYTES = 4096
CHUNKED_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Zip:
    """The files and folders of an open zip.

    Attributes:
        path: path of the zip.
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
        if conflicts := self.folders & self.files.keys():
            raise PilahError(
                f"{path} holds {folders.printable(min(conflicts))} as a file and as a folder. Unpack it and give the "
                "folder."
            )

    def _add(self, entry: zipfile.ZipInfo, name: str) -> None:
        path = zip_names.path_of(name)
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise PilahError(f"{self.path} holds the link {folders.printable(path)}. Pack the linked files themselves.")
        if len(path.parts) > MAX_DEPTH:
            raise PilahError(
                f"{self.path} holds folders {len(path.parts)} levels deep (maximum {MAX_DEPTH}). Unpack it yourself."
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
        """Raise PilahError if the files are too large for the disk of `folder` or the size of the zip (a zip bomb).

        The sizes are those that the zip declares. zipfile does not extract more than that.
        """
        sizes = [entry.file_size for entry in self.files.values()]
        # the smaller one, because entries can share bytes, and a zip can contain bytes of no entry
        packed = min(self.path.stat().st_size, sum(entry.compress_size for entry in self.files.values()))
        if sum(sizes) > max(RATIO_FREE_BYTES, MAX_RATIO * packed):
            raise PilahError(
                f"{self.path} would unpack {_megabytes(packed)} to {_megabytes(sum(sizes))}, more than {MAX_RATIO} "
                "times as much, which photos never do. If you trust it, unpack it and give the folder."
            )
        disk = next(parent for parent in (folder, *folder.parents) if parent.exists())
        needed = sum(BLOCK_BYTES * math.ceil(size / BLOCK_BYTES) for size in sizes)
        disk_stats = os.statvfs(disk)
        free = disk_stats.f_bavail * disk_stats.f_frsize
        if needed + RESERVE_BYTES > free:
            raise PilahError(
                f"{self.path} needs {_megabytes(needed)} when unpacked, and {_megabytes(RESERVE_BYTES)} must remain "
                f"free for the run, but {disk} has only {_megabytes(free)}. Free some space, or choose "
                "another --run-dir."
            )
        if disk_stats.f_files and len(sizes) > disk_stats.f_favail:
            raise PilahError(
                f"{self.path} holds {len(sizes)} files, but the disk of {disk} can take only {disk_stats.f_favail} "
                "more. Remove some files, or choose another --run-dir."
            )

    def unpack(self, folder: pathlib.Path) -> None:
        """Write all files to `folder` atomically; several processes may do this at the same time."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = pathlib.Path(tempfile.mkdtemp(prefix=f"{artifacts.PART}{folder.name}.", dir=folder.parent))
        try:
            for path in sorted(self.folders):
                (part / path).mkdir(parents=True, exist_ok=True)
            for path, entry in self.files.items():
                with self.archive.open(entry) as source, (part / path).open("xb") as target:
                    is_chunked = entry.compress_type in CHUNKED_METHODS
                    shutil.copyfileobj(source, target, CHUNK_BYTES if is_chunked else SMALL_CHUNK_BYTES)
            part.chmod(0o755)
            try:
                part.rename(folder)
            except OSError:
                if not folder.exists():  # otherwise another process was first
                    raise
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def check_complete(self, folder: pathlib.Path) -> None:
        """Raise PilahError unless `folder` holds exactly the files of the zip."""
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
