"""Uploaded bytes -> a plain picture that is safe to keep and to forward, or the reason why not."""

import contextlib
import io
import struct

import pillow_heif
from PIL import Image, ImageOps, UnidentifiedImageError

pillow_heif.register_heif_opener(thumbnails=False)

FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "GIF", "BMP")
FORMAT_NAMES = "JPEG, PNG, WebP, HEIC, GIF, BMP"
ANIMATED_FORMATS = ("GIF", "PNG", "WEBP")
MIN_SIDE_PX = 16
MAX_SIDE_PX = 1024  # of what is kept: the model looks at 224 x 224, people at little more
THUMBNAIL_SIDE_PX = 160
JPEG_QUALITY = 90
Image.MAX_IMAGE_PIXELS = None  # the limit below is checked before any pixel is decoded


class BadPictureError(Exception):
    """An upload that is refused.

    `status` is HTTP's: 400 it is broken or not one still picture, 413 it is too large, 415 it is no picture that we
    read. `reason` is a word for programs and for translation, with `values` to fill in.
    """

    def __init__(self, status: int, reason: str, **values: object):
        super().__init__(reason)
        self.status, self.reason, self.values = status, reason, values


def plain(upload: bytes, max_pixels: int) -> bytes:
    """`upload` as an upright RGB JPEG of at most 1024 pixels a side, without metadata, decoded to its last byte.

    The kind is told by content, whatever the file was called. Transparency becomes white.

    Raises:
        BadPictureError: with the status and the reason.
    """
    if not upload:
        raise BadPictureError(400, "empty")
    try:
        with Image.open(io.BytesIO(upload), formats=FORMATS) as image:
            _check(image, max_pixels)
            if image.format == "PNG":
                _verify(upload)
            return _encode(_rgb(image))
    except UnidentifiedImageError as error:
        raise BadPictureError(415, "format", formats=FORMAT_NAMES) from error
    except BadPictureError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error and more on broken files
        raise BadPictureError(400, "broken") from error


def thumbnail(picture: bytes) -> bytes:
    """A JPEG of at most 160 pixels a side of what `plain` gave."""
    with Image.open(io.BytesIO(picture)) as image:
        image.draft("RGB", (THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX))
        image.thumbnail((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX))
        return _encode(image)


def _check(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if min(width, height) < MIN_SIDE_PX:
        raise BadPictureError(400, "small", width=width, height=height, limit=MIN_SIDE_PX)
    if width * height > max_pixels:
        raise BadPictureError(413, "pixels", width=width, height=height, limit=max_pixels // 1_000_000)
    # Phones put a burst into a HEIC and a second view behind a JPEG: there the first picture counts.
    if image.format in ANIMATED_FORMATS and getattr(image, "n_frames", 1) > 1:
        raise BadPictureError(400, "animated", frames=image.n_frames)  # type: ignore[attr-defined]


def _verify(upload: bytes) -> None:
    """Raise where a PNG's checksums are wrong or its end is missing, which decoding it does not notice."""
    with Image.open(io.BytesIO(upload), formats=("PNG",)) as image:
        image.verify()


def _rgb(image: Image.Image) -> Image.Image:
    image.draft("RGB", (MAX_SIDE_PX, MAX_SIDE_PX))  # a large JPEG is decoded at half or a quarter of its size
    image.load()
    with contextlib.suppress(SyntaxError, ValueError, struct.error):  # a damaged EXIF block does not spoil the picture
        image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "I;16", "I;16B", "I;16L", "I;16N"):
        image = image.point(lambda value: value / 256).convert("L")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        over = image.convert("RGBA")
        image = Image.new("RGB", image.size, "white")
        image.paste(over, mask=over.getchannel("A"))
    image = image.convert("RGB")
    image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
    return image


def _encode(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.info.clear()
    image.save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue()
