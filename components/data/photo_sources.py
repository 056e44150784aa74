"""Where photos come from: a folder, a zip that is unpacked once, or Kaggle."""

import errno
import lzma
import pathlib
import shutil
import stat
import tempfile
import zipfile
import zlib

from components.base.errors import PilahError
from components.data import folders

KAGGLE_DATASET = "asdasdasdasdas/garbage-classification"  # the photos of the thesis, as published on Kaggle
# raised by zipfile for a damaged file, an unknown compression method or a missing password
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, UnicodeDecodeError)
UTF_8_FLAG = 0x800  # of a zip entry: its name is in UTF-8 (APPNOTE.TXT, section 4.4.4, bit 11)


def check(images: pathlib.Path) -> None:
    """Raise where `images` is neither a folder nor a zip."""
    if not folders.is_utf_8(images):
        raise PilahError(f"The path of --images must be UTF-8: {folders.utf_8_text(images)} is not. Rename it.")
    if not images.exists():
        raise PilahError(f"--images must be a folder or a zip: {images} does not exist. Check the path.")
    if not images.is_dir() and not zipfile.is_zipfile(images):
        raise PilahError(f"--images must be a folder or a zip: {images} is neither. Unpack it first.")


def folder_of(images: pathlib.Path, unpacked: pathlib.Path) -> pathlib.Path:
    """Return the folder that holds the photos: `images` itself, or `unpacked`, to which a zip is unpacked once.

    Raises:
        PilahError: the zip cannot be unpacked, or `unpacked` does not hold its files.
    """
    check(images)
    if images.is_dir():
        return images
    try:
        with zipfile.ZipFile(images) as archive:
            files = _files(images, archive)
            if not unpacked.exists():
                _unpack(archive, files, unpacked)
            _check_complete(images, files, unpacked)
    except DAMAGED as error:
        raise PilahError(f"{images} cannot be unpacked ({error}). Download it again, or unpack it yourself.") from error
    except OSError as error:
        if error.errno in (None, errno.ENAMETOOLONG):  # None: a damaged bzip2 stream
            raise PilahError(f"{images} cannot be unpacked ({error}). Unpack it yourself.") from error
        raise
    return unpacked


def fetch_kaggle() -> pathlib.Path:
    """Download the photos of the thesis by kagglehub (about 40 MB, cached) and return their folder."""
    import kagglehub

    try:
        return pathlib.Path(kagglehub.dataset_download(KAGGLE_DATASET))
    except Exception as error:  # any error of the network or of Kaggle has the same remedy
        raise PilahError(
            f"--fetch-kaggle could not download {KAGGLE_DATASET} ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:300]}). Download its zip by hand and give it as --images."
        ) from error


def _unpack(archive: zipfile.ZipFile, files: dict[pathlib.Path, zipfile.ZipInfo], unpacked: pathlib.Path) -> None:
    """Unpack all of `archive` to `unpacked` atomically; several processes may do so at the same time."""
    unpacked.parent.mkdir(parents=True, exist_ok=True)
    part = pathlib.Path(tempfile.mkdtemp(prefix=f".{unpacked.name}.", dir=unpacked.parent))
    try:
        for entry in (*(entry for entry in archive.infolist() if entry.is_dir()), *files.values()):
            archive.extract(entry, part)
        part.chmod(0o755)
        try:
            part.rename(unpacked)
        except OSError:
            if not unpacked.exists():  # else another process was first
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _check_complete(images: pathlib.Path, files: dict[pathlib.Path, zipfile.ZipInfo], unpacked: pathlib.Path) -> None:
    """Raise where `unpacked` does not hold the files of the zip `images`, byte for byte."""
    paths = {path.relative_to(unpacked): path for path in unpacked.rglob("*") if path.is_symlink() or not path.is_dir()}
    different = files.keys() ^ paths.keys() or {path for path in files if not _is_equal(files[path], paths[path])}
    if different:
        path = min(different)
        change = "new" if path not in files else "missing" if path not in paths else "changed"
        raise PilahError(
            f"{unpacked} does not hold the files of {images}: {path} is {change}. Delete the folder to unpack the zip "
            "again, or give it as --images."
        )


def _is_equal(entry: zipfile.ZipInfo, path: pathlib.Path) -> bool:
    """Return whether the file `path` has the contents of `entry`."""
    if path.is_symlink() or path.stat().st_size != entry.file_size:
        return False
    return zlib.crc32(path.read_bytes()) == entry.CRC


def _files(images: pathlib.Path, archive: zipfile.ZipFile) -> dict[pathlib.Path, zipfile.ZipInfo]:
    """Return path -> entry of each file in `archive`, after correcting the names of its entries.

    Raises:
        PilahError: two entries have the same path, the encoding of a folder's name is unknown, or an entry is a link.
    """
    files: dict[pathlib.Path, zipfile.ZipInfo] = {}
    folder_paths: set[pathlib.Path] = set()
    for entry in archive.infolist():
        entry.filename = _decoded_name(images, entry)
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise PilahError(f"{images} holds the link {entry.filename}. Pack the linked files themselves.")
        # as in ZipFile.extract, so that nothing is written outside of the folder
        path = pathlib.Path(*(part for part in entry.filename.split("/") if part not in ("", ".", "..")))
        if entry.is_dir():
            folder_paths.add(path)
            continue
        if path in files or not path.parts:
            raise PilahError(f"{images} holds {path} twice, and only one can be used. Unpack it and give the folder.")
        files[path] = entry
        folder_paths.update(path.parents)
    if both := folder_paths & files.keys():
        raise PilahError(f"{images} holds {min(both)} as a file and as a folder. Unpack it and give the folder.")
    return files


def _decoded_name(images: pathlib.Path, entry: zipfile.ZipInfo) -> str:
    """Return the name of an entry, decoded as UTF-8 if that is valid: macOS writes UTF-8 without setting its flag.

    Without the flag, zipfile decodes names as cp437, as the specification says, though few programs write that.
    """
    if entry.flag_bits & UTF_8_FLAG or entry.filename.isascii():
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode()
    except UnicodeError:
        folder, _, _ = entry.filename.rpartition("/")
        if folder.isascii():
            return entry.filename  # the name of the file itself does not matter
    raise PilahError(
        f"{images} has a folder whose name is in an unknown encoding ({folder}, if read as cp437). Unpack it, check "
        "the names of the class folders, and give the folder."
    )
