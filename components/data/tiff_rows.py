"""Rows of a TIFF that libtiff skips because they are damaged, which then show what was in memory."""

import hashlib
from collections.abc import Callable

from PIL import Image

# Pillow's names of the compressions whose decoders skip what they cannot decode; the others fail
TOLERANT_COMPRESSIONS = ("tiff_ccitt", "group3", "group4", "tiff_raw_16", "jpeg", "tiff_jpeg")
STRIPS = (1, 2, 3, 4, 6, 8)  # numbers of strips of the sizes of memory that is filled
MAX_FILLED_BYTES = 1_000_000  # larger memory is new and zero
COPIES = 16  # of each size
ROWS_PX = 64  # of which there is a copy at a time


def check(open_image: Callable[[], Image.Image]) -> None:
    """Raise ValueError if an image is decoded to other pixels in memory that was filled with other bytes."""
    if pixels_digest(open_image, b"\x5a") != pixels_digest(open_image, b"\xa5"):
        raise ValueError("some rows of the TIFF are damaged")


def pixels_digest(open_image: Callable[[], Image.Image], filler: bytes) -> bytes:
    """Return the digest of the pixels, decoded into memory that was filled with `filler` before."""
    digest = hashlib.sha256()
    with open_image() as image:
        levels = image.width * image.height * len(image.getbands())
        sizes = {levels // bits // strips for bits in (1, 8) for strips in STRIPS}
        blocks = [filler * size for size in sizes if size <= MAX_FILLED_BYTES for _ in range(COPIES)]
        del blocks  # freed, so that the decoder gets some of them
        for top in range(0, image.height, ROWS_PX):
            digest.update(image.crop((0, top, image.width, min(top + ROWS_PX, image.height))).tobytes())
    return digest.digest()
