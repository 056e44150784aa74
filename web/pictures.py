"""Uploaded bytes -> a plain picture that is safe to keep and to forward, or the reason why not."""

import io

import pillow_heif
from PIL import Image, UnidentifiedImageError

pillow_heif.register_heif_opener(thumbnails=False)

FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "GIF", "BMP")
FORMAT_NAMES = "JPEG, PNG, WebP, HEIC, GIF, BMP"
ANIMATED_FORMATS = ("GIF", "PNG", "WEBP")
# What costs a decoder a pass over all pixels (a JPEG's scans: photos have about 10) or over all that it has read (a
# GIF's comments). A crowd of them in a small file takes minutes. The third byte of a scan's head is always 0.
MAX_PARTS = {b"\xff\xd8": (b"\xff\xda\0", 100), b"GIF8": (b"!\xfe", 1000)}  # begin of file -> begin of a part, limit
MIN_SIDE_PX = 16
MAX_SIDE_PX = 1024  # of what is kept: the model looks at 224 x 224 unless told otherwise, people at little more
THUMBNAIL_SIDE_PX = 160
JPEG_QUALITY = 90
ORIENTATION = 0x0112  # EXIF's
TURNS = {  # orientation -> what makes it upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
Image.MAX_IMAGE_PIXELS = None  # the limit below is checked before any pixel is decoded


class BadPictureError(Exception):
    """An upload that is refused.

    `status` is HTTP's: 400 it is broken or not one still picture, 413 it is too large, 415 it is no picture that we
    read, 503 there is no room for it. `reason` is a word for programs and for translation, with `values` to fill in.
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
    _check_parts(upload)
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


def _check_parts(upload: bytes) -> None:
    for begin, (part, limit) in MAX_PARTS.items():
        if upload.startswith(begin) and (count := upload.count(part)) > limit:
            raise BadPictureError(400, "parts", count=count, limit=limit)


def _check(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if min(width, height) < MIN_SIDE_PX:
        raise BadPictureError(400, "small", width=width, height=height, limit=MIN_SIDE_PX)
    if width * height > max_pixels:
        raise BadPictureError(413, "pixels", width=width, height=height, limit=max_pixels // 1_000_000)
    # Phones put a burst into a HEIC and a second view behind a JPEG: there the first picture counts.
    # Not n_frames: to count those of a GIF, Pillow walks through all of them.
    if image.format in ANIMATED_FORMATS and getattr(image, "is_animated", False):
        raise BadPictureError(400, "animated")


def _verify(upload: bytes) -> None:
    """Raise where a PNG's checksums are wrong or its end is missing, which decoding it does not notice."""
    with Image.open(io.BytesIO(upload), formats=("PNG",)) as image:
        image.verify()


def _rgb(image: Image.Image) -> Image.Image:
    image.draft("RGB", (MAX_SIDE_PX, MAX_SIDE_PX))  # a large JPEG is decoded at half or a quarter of its size
    image.load()
    turn = TURNS.get(_orientation(image))
    if image.mode.startswith("I"):
        image = image.point(lambda value: value / 256).convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode in ("1", "P"):  # cannot be made smaller smoothly
        image = image.convert("RGB")
    image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))  # before more copies: 50 million pixels are 200 MB each
    if turn is not None:
        image = image.transpose(turn)
    if image.mode == "RGBA":
        over, image = image, Image.new("RGB", image.size, "white")
        image.paste(over, mask=over.getchannel("A"))
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """By EXIF; ImageOps.exif_transpose writes the whole block anew, and trips over values that no viewer minds."""
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # a block that cannot be read is no reason to refuse a sound picture
        return 1


def _encode(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.info.clear()
    image.save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue()
