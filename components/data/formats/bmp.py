"""BMP: a size limit for run-length encoding, which Pillow decodes slowly."""

from components.data.formats import parts

SIGNATURE = b"BM"
HEADER_BYTES = (12, 40, 52, 56, 64, 108, 124)  # sizes of the versions of the second header, which starts with its size
RUN_LENGTHS = (1, 2)  # values of the compression field
MAX_RUN_LENGTH_BYTES = 2 * 1024 * 1024


def is_bmp(photo: bytes) -> bool:
    return photo.startswith(SIGNATURE) and int.from_bytes(photo[14:18], "little") in HEADER_BYTES


def essentials(photo: bytes) -> parts.Essentials:
    """Return a BMP unchanged.

    Raises:
        TooManyPartsError: the file is run-length encoded and too large.
    """
    if int.from_bytes(photo[14:18], "little") >= 40 and int.from_bytes(photo[30:34], "little") in RUN_LENGTHS:
        parts.check(len(photo), MAX_RUN_LENGTH_BYTES)
    return parts.Essentials(photo)
