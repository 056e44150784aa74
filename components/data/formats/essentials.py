"""Any photo file -> its essentials, by the parser for its format."""

from collections.abc import Callable

from components.data.formats import bmp, gif, isobmff, jpeg, jpeg2000, parts, png, tiff, webp

SIGNATURE_BYTES = 18  # number of bytes at the start of a file that identify its format
PARSERS = (
    (jpeg.SIGNATURE, jpeg.essentials),
    (png.SIGNATURE, png.essentials),
    (gif.SIGNATURE, gif.essentials),
    (tiff.SIGNATURES, tiff.essentials),
    (jpeg2000.SIGNATURES, jpeg2000.essentials),
)


def of(photo: bytes) -> parts.Essentials:
    """Return the photo without its metadata, its orientation, and other facts for opening it.

    Raises:
        TooManyPartsError: the file has too many parts.
        ValueError: the file is damaged.
    """
    parse = _parser(photo)
    return parse(photo) if parse else parts.Essentials(photo)


def is_photo(start: bytes) -> bool:
    """Return whether a file that starts with these SIGNATURE_BYTES is a photo, possibly a damaged one."""
    return _parser(start) is not None


def _parser(photo: bytes) -> Callable[[bytes], parts.Essentials] | None:
    for signature, parse in PARSERS:
        if photo.startswith(signature):
            return parse
    for is_of_format, parse in ((bmp.is_bmp, bmp.essentials), (webp.is_webp, webp.essentials)):
        if is_of_format(photo):
            return parse
    return isobmff.essentials if isobmff.is_photo(photo) else None
