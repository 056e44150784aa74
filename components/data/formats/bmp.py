"""BMP: the limit of those that are compressed by run lengths, which Pillow decodes slowly."""

from components.data.formats import parts

SIGNATURE = b"BM"
HEADER_BYTES = (12, 40, 52, 56, 64, 108, 124)  # of the versions of its second header, which begins with this number
RUN_LENGTHS = (1, 2)  # values of the compression
MAX_RUN_LENGTH_BYTES = 2 * 1024 * 1024


def is_bmp(photo: bytes) -> bool:
    return photo.startswith(SIGNATURE) and int.from_bytes(photo[14:18], "little") in HEADER_BYTES


def essentials(photo: bytes) -> parts.Essentials:
    """Return a BMP unchanged.

    Raises:
        TooManyPartsError: it is compressed by run lengths, and too large.
    """
    if int.from_bytes(photo[14:18], "little") >= 40 and int.from_bytes(photo[30:34], "little") in RUN_LENGTHS:
        parts.check(len(photo), MAX_RUN_LENGTH_BYTES)
    return parts.Essentials(photo)
