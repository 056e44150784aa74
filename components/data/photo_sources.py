"""Sources of photos: a folder, a zip that is unpacked once, or Kaggle."""

import errno
import lzma
import pathlib
import zipfile
import zlib

from components.base.errors import PilahError
from components.data import folders, unpacking, zip_names

KAGGLE_DATASET = "asdasdasdasdas/garbage-classification"  # the photos of the thesis, as published on Kaggle
# raised by zipfile for a damaged file, an unknown compression method or a missing password
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, UnicodeDecodeError)


def check(images: pathlib.Path) -> None:
    """Raise PilahError if `images` is neither a folder nor a zip."""
    if not folders.is_utf_8(images):
        raise PilahError(f"The path of --images must be UTF-8: {folders.utf_8_text(images)} is not. Rename it.")
    if not images.exists():
        raise PilahError(f"--images must be a folder or a zip: {images} does not exist. Check the path.")
    if not images.is_dir() and not zipfile.is_zipfile(images):
        raise PilahError(f"--images must be a folder or a zip: {images} is neither. Unpack it first.")


def check_encoding(encoding: str | None) -> None:
    """Raise PilahError if `encoding`, the value of --zip-encoding, cannot be an encoding of names in a zip."""
    if encoding is not None:
        zip_names.check_encoding(encoding)


def folder_of(images: pathlib.Path, unpacked: pathlib.Path, encoding: str | None = None) -> pathlib.Path:
    """Return the folder that holds the photos: `images` itself, or `unpacked`, to which a zip is unpacked once.

    Args:
        encoding: encoding of the names in a zip that does not declare it.

    Raises:
        PilahError: the zip cannot be unpacked, or `unpacked` does not hold its files.
    """
    check(images)
    if images.is_dir():
        return images
    try:
        with zipfile.ZipFile(images) as archive:
            contents = unpacking.Zip(images, archive, encoding)
            if not unpacked.exists():
                contents.check_size(unpacked)
                contents.unpack(unpacked)
            contents.check_complete(unpacked)
    except DAMAGED as error:
        raise PilahError(f"{images} cannot be unpacked ({error}). Download it again, or unpack it yourself.") from error
    except OSError as error:
        # None: a damaged bzip2 stream; EINVAL: an entry at an offset that the file does not have
        if error.errno in (None, errno.ENAMETOOLONG, errno.EINVAL):
            raise PilahError(f"{images} cannot be unpacked ({error}). Unpack it yourself.") from error
        raise
    return unpacked


def unpacked_name(digest: str, encoding: str | None) -> str:
    """Return the name of the folder for the zip of `digest`; it includes the encoding, which changes file names."""
    return f"{digest}-{zip_names.normalized(encoding)}" if encoding else digest


def fetch_kaggle() -> pathlib.Path:
    """Download the photos of the thesis with kagglehub (about 40 MB, cached) and return their folder."""
    import kagglehub

    try:
        return pathlib.Path(kagglehub.dataset_download(KAGGLE_DATASET))
    except Exception as error:  # any error of the network or of Kaggle has the same remedy
        raise PilahError(
            f"--fetch-kaggle could not download {KAGGLE_DATASET} ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:300]}). Download its zip by hand and give it as --images."
        ) from error
