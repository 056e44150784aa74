"""Any photo file -> what its pixels need of it, by the walk for its format."""

from collections.abc import Callable

from components.data.formats import bmp, gif, isobmff, jpeg, jpeg2000, parts, png, tiff, webp

SIGNATURE_BYTES = 18  # at the start of a file, by which its format is known
WALKS = (
    (jpeg.SIGNATURE, jpeg.essentials),
    (png.SIGNATURE, png.essentials),
    (gif.SIGNATURE, gif.essentials),
    (tiff.SIGNATURES, tiff.essentials),
    (jpeg2000.SIGNATURES, jpeg2000.essentials),
)


def of(photo: bytes) -> parts.Essentials:
    """Return the photo without its metadata, its orientation, and what else opening it takes.

    Raises:
        TooManyPartsError: it has parts out of proportion.
        ValueError: it is damaged.
    """
    walk = _walk(photo)
    return walk(photo) if walk else parts.Essentials(photo)


def is_photo(start: bytes) -> bool:
    """Return whether a file that begins with these SIGNATURE_BYTES is in a format of photos, damaged or not."""
    return _walk(start) is not None


def _walk(photo: bytes) -> Callable[[bytes], parts.Essentials] | None:
    for signature, walk in WALKS:
        if photo.startswith(signature):
            return walk
    for is_of_format, walk in ((bmp.is_bmp, bmp.essentials), (webp.is_webp, webp.essentials)):
        if is_of_format(photo):
            return walk
    return isobmff.essentials if isobmff.is_photo(photo) else None
