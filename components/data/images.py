"""Photo bytes -> plain upright 8-bit RGB: the one check and conversion for the run, the web page and the client.

Imports no TensorFlow, since the page and the client load it too; what resizes photos for the model is in resize.py.
"""

import contextlib
import io
import struct
import warnings
from collections.abc import Iterator

import pillow_heif
from PIL import Image, UnidentifiedImageError

from components.base.settings import MAX_PIXELS

SUFFIXES = {  # format that is read, by Pillow's name -> suffixes of its files; all else is "not an image"
    "JPEG": (".jfif", ".jpe", ".jpeg", ".jpg", ".mpo"),  # MPO is a JPEG with more images behind it
    "PNG": (".png",),
    "WEBP": (".webp",),
    "HEIF": (".heic", ".heif"),
    "AVIF": (".avif",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "JPEG2000": (".j2k", ".jp2", ".jpf", ".jpx"),
}
FORMATS = tuple(SUFFIXES)
FORMAT_NAMES = "JPEG, PNG, WebP, HEIC, AVIF, GIF, BMP, TIFF, JPEG 2000"
MULTI_IMAGE_FORMATS = ("MPO", "HEIF")  # of phones, with bursts, previews and depth maps: their first image counts
TENSORFLOW_READS = {("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB"), ("PNG", "L")}  # (format, Pillow mode), upright
MIN_SIDE_PX = 16
# Each part costs a decoder a pass over all pixels (a JPEG's scans: photos have about 10) or over all that it has read
# (a GIF's comments), so that a small file with a crowd of them takes minutes. Byte 3 of a scan's header is always 0.
MAX_PARTS = {b"\xff\xd8": (b"\xff\xda\0", 100), b"GIF8": (b"!\xfe", 1000)}  # start of file -> start of a part, limit
# Of the strips or tiles of a TIFF, 350 bytes of memory each on opening. 52 million pixels are 12,700 tiles of 64 x 64.
MAX_TIFF_VALUES = 50_000
TIFF_BYTE_TYPES = (1, 2, 6, 7)  # types of tags that Pillow reads as one value
PNG_END = b"IEND\xaeB`\x82"
WEB_SIDE_PX = 1024  # of what the page stores and sends: models look at 224 x 224 by default, people at little more
JPEG_QUALITY = 90
EXIF_ORIENTATION = 0x0112
TURNS = {  # EXIF orientation -> what turns the photo upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
pillow_heif.register_heif_opener(thumbnails=False)
Image.MAX_IMAGE_PIXELS = None  # the limit is max_pixels, checked before any pixel is decoded
warnings.filterwarnings("ignore", module="PIL")  # about odd metadata; catch_warnings is not safe in threads


class UnusablePhotoError(Exception):
    """The bytes are not one usable photo.

    `reason` is "empty", "not an image", "truncated", "too small", "too large", "too many parts" or "animated", to count
    by; `values` are the numbers in `detail` by name, to fill into translations.
    """

    def __init__(self, reason: str, detail: str, **values: int):
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.values = reason, detail, values


def plain_bytes(photo: bytes, max_pixels: int = MAX_PIXELS, decode_all: bool = False) -> tuple[bytes, tuple[int, int]]:
    """Return the photo as bytes that TensorFlow decodes to upright RGB, and its upright (width, height) in pixels.

    A grey or RGB JPEG or PNG that is upright is returned unchanged. Anything else is normalized and becomes a lossless
    RGB PNG.

    Args:
        decode_all: decode a JPEG that is returned unchanged, too, to find out whether it is whole. By default its
            header alone is read, for callers who decode it by TensorFlow, which is as strict.

    Raises:
        UnusablePhotoError: the bytes are not one usable photo.
    """
    with _open(photo, max_pixels) as image:
        if decode_all or image.format == "PNG":  # Pillow decodes a PNG for its EXIF anyway
            image.load()
        is_plain = (image.format, image.mode) in TENSORFLOW_READS and not image.has_transparency_data
        if is_plain and _turn(image) is None:
            return photo, image.size
        upright = normalize(image)
    png = io.BytesIO()
    upright.save(png, "PNG", compress_level=1)
    return png.getvalue(), upright.size


def web_jpeg(photo: bytes, max_pixels: int = MAX_PIXELS) -> bytes:
    """Return the JPEG that the page stores and sends: upright RGB, at most 1024 pixels a side, without metadata.

    Raises:
        UnusablePhotoError: the bytes are not one usable photo.
    """
    with _open(photo, max_pixels) as image:
        return encode_jpeg(normalize(image, WEB_SIDE_PX))


def normalize(image: Image.Image, max_side_px: int | None = None) -> Image.Image:
    """Return any opened image as upright 8-bit RGB, shrunk to at most `max_side_px` a side if that is set."""
    if max_side_px:
        image.draft("RGB", (max_side_px, max_side_px))  # decodes a large JPEG at half or a quarter of its size
    image.load()
    turn = _turn(image)  # after load, which turns a TIFF by itself
    image = _to_8_bits(image)
    if max_side_px:
        image.thumbnail((max_side_px, max_side_px))  # before more copies: 50 million pixels are 200 MB each
    if turn is not None:
        image = image.transpose(turn)
    if image.mode == "RGBA":
        over, image = image, Image.new("RGB", image.size, "white")
        image.paste(over, mask=over.getchannel("A"))
    return _convert(image, "RGB")


def encode_jpeg(image: Image.Image) -> bytes:
    """Return the image as a JPEG without metadata."""
    stream = io.BytesIO()
    image.info.clear()
    image.save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue()


@contextlib.contextmanager
def _open(photo: bytes, max_pixels: int) -> Iterator[Image.Image]:
    """Open a photo whose header passes every check; what goes wrong until it is closed is an UnusablePhotoError."""
    if not photo:
        raise UnusablePhotoError("empty", "0 bytes")
    _check_parts(photo)
    try:
        with Image.open(io.BytesIO(photo), formats=FORMATS) as image:
            _check(image, max_pixels)
            if image.format == "PNG":
                _verify_png(photo)
            yield image
    except UnusablePhotoError:
        raise
    except UnidentifiedImageError as error:  # its own text holds a memory address, which differs each time
        raise UnusablePhotoError("not an image", f"none of {FORMAT_NAMES}") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error and more
        raise UnusablePhotoError("truncated", str(error) or type(error).__name__) from error


def _check(image: Image.Image, max_pixels: int) -> None:
    size = {"width": image.width, "height": image.height}
    if min(image.size) < MIN_SIDE_PX:
        detail = f"{image.width}x{image.height} pixels, at least {MIN_SIDE_PX} a side are needed"
        raise UnusablePhotoError("too small", detail, limit=MIN_SIDE_PX, **size)
    if image.width * image.height > max_pixels:
        detail = f"{image.width}x{image.height} pixels, limit {max_pixels}"
        raise UnusablePhotoError("too large", detail, limit=max_pixels, **size)
    # Not n_frames: to count the frames of a GIF, Pillow walks through all of them.
    if image.format not in MULTI_IMAGE_FORMATS and getattr(image, "is_animated", False):
        raise UnusablePhotoError("animated", "more than one frame or page")


def _check_parts(photo: bytes) -> None:
    counts = [(photo.count(part), limit) for start, (part, limit) in MAX_PARTS.items() if photo.startswith(start)]
    if photo.startswith((b"II", b"MM")):
        counts.append((_most_tiff_values(photo), MAX_TIFF_VALUES))
    for count, limit in counts:
        if count > limit:
            detail = f"{count} scans, comments or tiles, limit {limit}"
            raise UnusablePhotoError("too many parts", detail, count=count, limit=limit)


def _most_tiff_values(photo: bytes) -> int:
    """Return the largest number of values of a tag in the first directory of a TIFF or BigTIFF."""
    order, is_big = "<" if photo.startswith(b"II") else ">", photo[2:3] == b"+"
    header, length, entry = (order + part for part in (("8xQ", "Q", "HHQ8x") if is_big else ("4xI", "H", "HHI4x")))
    try:
        (start,) = struct.unpack_from(header, photo)
        (count,) = struct.unpack_from(length, photo, start)
    except struct.error:  # no TIFF, or one that is cut short
        return 0
    first, size = start + struct.calcsize(length), struct.calcsize(entry)
    complete = min(count, max(0, len(photo) - first) // size)
    tags = struct.iter_unpack(entry, photo[first : first + complete * size])
    return max((values for _, kind, values in tags if kind not in TIFF_BYTE_TYPES), default=0)


def _verify_png(photo: bytes) -> None:
    """Raise where a PNG's checksums are wrong or its end is missing, which decoding it does not notice."""
    with Image.open(io.BytesIO(photo), formats=("PNG",)) as image:
        image.verify()
    if PNG_END not in photo:
        raise UnusablePhotoError("truncated", "the end of the PNG is missing")


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Return what turns the image upright by its EXIF, or None.

    ImageOps.exif_transpose would write the EXIF again, and fail on values that no viewer minds.
    """
    try:
        return TURNS.get(image.getexif().get(EXIF_ORIENTATION, 1))
    except Exception:  # EXIF that cannot be read is no reason to refuse a sound photo
        return None


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Return the image in a mode of 8 bits a channel that shrinks smoothly: RGBA where it has transparency."""
    if image.mode.startswith("I") or image.mode == "F":
        level = image.info.pop("transparency", None)
        scale = 1 / 257 if image.mode.startswith("I") else 1.0  # 65535 -> 255
        image = image.convert("F").point(lambda value: value * scale + 0.5).convert("L")
        if level is not None:
            image.info["transparency"] = round(level * scale)
    if image.has_transparency_data:
        return _convert(image, "RGBA")
    return _convert(image, "RGB") if image.mode in ("1", "P") else image


def _convert(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)
