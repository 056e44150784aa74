"""Where photos come from: a folder as it is, a zip that is unpacked once, or Kaggle."""

import pathlib
import shutil
import stat
import zipfile
import zlib

from components.errors import PilahError

KAGGLE_DATASET = "asdasdasdasdas/garbage-classification"  # the photos of the thesis, as published on Kaggle
UTF_8_FLAG = 0x800  # of a zip entry: its name is in UTF-8 (APPNOTE.TXT, section 4.4.4, bit 11)


def check(images: pathlib.Path) -> None:
    """Raise where `images` is neither a folder nor a zip."""
    if not images.exists():
        raise PilahError(f"--images must be a folder or a zip: {images} does not exist. Check the path.")
    if not images.is_dir() and not zipfile.is_zipfile(images):
        raise PilahError(f"--images must be a folder or a zip: {images} is neither. Unpack it first.")


def folder_of(images: pathlib.Path, unpacked: pathlib.Path) -> pathlib.Path:
    """The folder that holds the photos: `images` itself, or `unpacked`, where its zip is unpacked once.

    Raises:
        PilahError: the zip cannot be unpacked, or `unpacked` no longer holds what it held.
    """
    check(images)
    if images.is_dir():
        return images
    try:
        with zipfile.ZipFile(images) as archive:
            if unpacked.exists():
                _check_complete(images, archive, unpacked)
            else:
                _unpack(images, archive, unpacked)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:  # damaged, or needs a password
        raise PilahError(f"{images} cannot be unpacked ({error}). Download it again, or unpack it yourself.") from error
    return unpacked


def fetch_kaggle() -> pathlib.Path:
    """The folder to which kagglehub has downloaded the photos of the thesis (about 40 MB, kept between calls)."""
    import kagglehub

    try:
        return pathlib.Path(kagglehub.dataset_download(KAGGLE_DATASET))
    except Exception as error:  # whatever the network or Kaggle objects to, the way out is the same
        raise PilahError(
            f"--fetch-kaggle could not download {KAGGLE_DATASET} ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:300]}). Download its zip by hand and give it as --images."
        ) from error


def _unpack(images: pathlib.Path, archive: zipfile.ZipFile, unpacked: pathlib.Path) -> None:
    files = _files(images, archive)
    part = unpacked.with_name(unpacked.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for entry in (*(entry for entry in archive.infolist() if entry.is_dir()), *files.values()):
        archive.extract(entry, part)
    part.rename(unpacked)


def _check_complete(images: pathlib.Path, archive: zipfile.ZipFile, unpacked: pathlib.Path) -> None:
    expected = set(_files(images, archive))
    present = {path.relative_to(unpacked) for path in unpacked.rglob("*") if path.is_file()}
    if expected != present:
        raise PilahError(
            f"{unpacked} no longer holds the files of {images}: {min(expected ^ present)} is "
            f"{'missing' if expected - present else 'new'}. Delete the folder to unpack the zip again, or give it as "
            "--images."
        )


def _files(images: pathlib.Path, archive: zipfile.ZipFile) -> dict[pathlib.Path, zipfile.ZipInfo]:
    """The files in `archive` by the path below the folder that it is unpacked to; sets the names of its entries right.

    Raises:
        PilahError: two files have one path, the name of a folder is not known, or an entry is a link.
    """
    files: dict[pathlib.Path, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        entry.filename = _true_name(images, entry)
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise PilahError(f"{images} holds the link {entry.filename}. Pack the linked files themselves.")
        # as ZipFile.extract does, so that nothing is written elsewhere
        path = pathlib.Path(*(part for part in entry.filename.split("/") if part not in ("", ".", "..")))
        if entry.is_dir():
            continue
        if path in files:
            raise PilahError(f"{images} holds {path} twice, and only one can be used. Unpack it and give the folder.")
        files[path] = entry
    return files


def _true_name(images: pathlib.Path, entry: zipfile.ZipInfo) -> str:
    """The name of an entry, in UTF-8 where that is valid, though macOS does not set the flag that says so.

    Without the flag zipfile reads a name as cp437, as the specification says and few programs write.
    """
    if entry.flag_bits & UTF_8_FLAG or entry.filename.isascii():
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode()
    except UnicodeError:
        folder, _, _ = entry.filename.rpartition("/")
        if folder.isascii():
            return entry.filename  # the name of a file itself tells no class
    raise PilahError(
        f"{images} has a folder whose name is in an unknown encoding ({folder}, if read as cp437). Unpack it, check "
        "the names of the class folders, and give the folder."
    )
