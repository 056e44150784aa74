"""Any photo file -> what its pixels need of it, by the walk for its format."""

from components.data.formats import bmp, gif, isobmff, jpeg, jpeg2000, parts, png, tiff, webp


def of(photo: bytes) -> parts.Essentials:
    """Return the photo without its metadata, its orientation, and what else opening it takes.

    Raises:
        TooManyPartsError: it has parts out of proportion.
        ValueError: it is damaged.
    """
    for signature, walk in (
        (jpeg.SIGNATURE, jpeg.essentials),
        (png.SIGNATURE, png.essentials),
        (gif.SIGNATURE, gif.essentials),
        (bmp.SIGNATURE, bmp.essentials),
        (tiff.SIGNATURES, tiff.essentials),
        (jpeg2000.SIGNATURES, jpeg2000.essentials),
    ):
        if photo.startswith(signature):
            return walk(photo)
    if webp.is_webp(photo):
        return webp.essentials(photo)
    if photo.startswith(isobmff.SIGNATURE, 4):
        return isobmff.essentials(photo)
    return parts.Essentials(photo)
