"""Photo bytes -> plain upright 8-bit RGB: the check and conversion shared by the run, the web page and the client.

Imports no TensorFlow, because the page and the client use it too; resize.py resizes photos for the model.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator

import pillow_heif
from PIL import Image, UnidentifiedImageError

from components.base.settings import MAX_PIXELS
from components.data import colour
from components.data.formats import essentials, exif, jpeg, parts, png

SUFFIXES = {  # accepted format, by Pillow's name -> its file suffixes; anything else is "not an image"
    "JPEG": (".jfif", ".jpe", ".jpeg", ".jpg", ".mpo"),  # MPO is a JPEG followed by more images
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
MULTI_IMAGE_FORMATS = ("MPO", "HEIF")  # from phones, with bursts, previews and depth maps; the first image is used
TENSORFLOW_READS = {("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB"), ("PNG", "L")}  # (format, Pillow mode), upright
VERSION = 3  # raise it when photos get other pixels; runs then check their records, see stale_records
MIN_SIDE_PX = 16
# Lower limits for formats whose decoders need more memory: 52 million pixels would take over 600 MB.
FORMAT_MAX_PIXELS = {"JPEG2000": 12_000_000, "WEBP": 25_000_000}
# Others, such as JPEG and fax, are refused: libtiff skips their damaged rows, whose pixels are then undefined.
TIFF_COMPRESSIONS = ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "zstd", "lzma")
PNG_END = b"IEND\xaeB`\x82"
WEB_SIDE_PX = 1024  # longest side of the photos that the page stores and sends; models use 224 x 224 by default
JPEG_QUALITY = 90
FILLER = bytes(254 - (number * 37) % 250 for number in range(256))  # contains no marker, and begins with 1 bits
CHECKED_ROWS_PX = 64  # bottom rows checked in a JPEG without end marker: two rows of its largest blocks
TURNS = {  # EXIF orientation -> transposition that turns the photo upright
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
warnings.filterwarnings("ignore", module="PIL")  # about odd metadata; catch_warnings is not thread-safe


class UnusablePhotoError(Exception):
    """The bytes are not one usable photo.

    `reason` is "empty", "not an image", "truncated", "too small", "too large", "too many parts", "too costly" or
    "animated", for counting; `values` are the numbers in `detail` by name, for translations.
    """

    def __init__(self, reason: str, detail: str, **values: int):
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.values = reason, detail, values


def plain_bytes(photo: bytes, max_pixels: int = MAX_PIXELS, decode_all: bool = False) -> tuple[bytes, tuple[int, int]]:
    """Return the photo as bytes that TensorFlow decodes to upright sRGB, and its upright (width, height) in pixels.

    A grey or RGB JPEG or PNG that is upright and in sRGB keeps its pixels as they are encoded. It loses its metadata,
    as a damaged part of it can stop TensorFlow, and a JPEG gets a missing end marker. Anything else is normalized and
    becomes a lossless RGB PNG.

    Args:
        decode_all: also decode a JPEG that is not normalized, to check that it is complete. By default only its
            header is read, for callers that decode it with TensorFlow, which is as strict.

    Raises:
        UnusablePhotoError: the bytes are not one usable photo.
    """
    with _open(photo, max_pixels) as (image, essential):
        is_plain = essential.is_plain and (image.format, image.mode) in TENSORFLOW_READS
        is_plain = is_plain and essential.orientation == 1 and not image.has_transparency_data
        if is_plain and colour.is_srgb(image.info.get("icc_profile"), image.mode):
            if decode_all or image.format == "PNG":  # the end of a PNG is read only here
                image.load()
            return essential.file, image.size
        upright = _normalize(image, essential.orientation)
    stream = io.BytesIO()
    upright.save(stream, "PNG", compress_level=1)
    return stream.getvalue(), upright.size


def web_jpeg(photo: bytes, max_pixels: int = MAX_PIXELS) -> bytes:
    """Return the JPEG that the page stores and sends: upright sRGB, at most 1024 pixels a side, without metadata.

    Raises:
        UnusablePhotoError: the bytes are not one usable photo.
    """
    return encode_jpeg(upright(photo, max_pixels, WEB_SIDE_PX))


def upright(photo: bytes, max_pixels: int = MAX_PIXELS, max_side_px: int | None = None) -> Image.Image:
    """Return the photo as upright 8-bit sRGB, shrunk to at most `max_side_px` a side if that is set.

    Raises:
        UnusablePhotoError: the bytes are not one usable photo.
    """
    with _open(photo, max_pixels) as (image, essential):
        return _normalize(image, essential.orientation, max_side_px)


def _normalize(opened: Image.Image, orientation: int, max_side_px: int | None = None) -> Image.Image:
    profile, is_grey = opened.info.get("icc_profile"), opened.mode[0] in "1LIF"
    if max_side_px:
        opened.draft("RGB", (max_side_px, max_side_px))  # decodes a large JPEG at half or a quarter of its size
    opened.load()
    if opened.format == "AVIF":  # Pillow converts the orientation in the file to EXIF
        orientation = opened.getexif().get(exif.ORIENTATION, 1)
    image = _to_8_bits(opened)
    if image is not opened:
        opened.close()  # frees its pixels
    if max_side_px:
        image.thumbnail((max_side_px, max_side_px))  # before more copies: 50 million pixels are 200 MB each
    if orientation in TURNS:
        image = image.transpose(TURNS[orientation])
    if image.mode == "RGBA":
        transparent, image = image, Image.new("RGB", image.size, "white")
        image.paste(transparent, mask=transparent.getchannel("A"))
    return _convert(image if is_grey else colour.to_srgb(image, profile), "RGB")


def encode_jpeg(image: Image.Image) -> bytes:
    """Return the image as a JPEG without metadata."""
    stream = io.BytesIO()
    image.info.clear()
    image.save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue()


@contextlib.contextmanager
def _open(photo: bytes, max_pixels: int) -> Iterator[tuple[Image.Image, parts.Essentials]]:
    """Open a photo and check its header; every error until it is closed is raised as UnusablePhotoError."""
    if not photo:
        raise UnusablePhotoError("empty", "0 bytes")
    try:
        essential = essentials.of(photo)
        if essential.stated_size:
            _check_size(*essential.stated_size, max_pixels)
        if essential.is_open_ended:
            essential = essential._replace(file=_with_end_marker(essential.file, max_pixels))
        with _open_image(essential.file) as image:
            _check(image, max_pixels)
            if image.format == "PNG":
                _verify_png(essential.file)
            yield image, essential
    except UnusablePhotoError:
        raise
    except parts.TooManyPartsError as error:
        raise UnusablePhotoError("too many parts", str(error), count=error.count, limit=error.limit) from error
    except MemoryError as error:
        raise UnusablePhotoError("too costly", "there is not enough memory to decode it") from error
    except UnidentifiedImageError as error:  # its own text contains a memory address
        raise UnusablePhotoError("not an image", f"none of {FORMAT_NAMES}") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error and more
        raise UnusablePhotoError("truncated", " ".join(str(error).split()) or type(error).__name__) from error


def _open_image(file: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(file), formats=FORMATS)
    if image.format == "JPEG":
        image.decodermaxblock = len(file)  # with smaller blocks, it would read parts of the file repeatedly
    return image


def _check(image: Image.Image, max_pixels: int) -> None:
    _check_size(*image.size, min(max_pixels, FORMAT_MAX_PIXELS.get(image.format or "", max_pixels)))
    if image.format == "TIFF" and (compression := image.info["compression"]) not in TIFF_COMPRESSIONS:
        detail = f"TIFF with the compression {compression}, in which damage is not detected; save it as JPEG or PNG"
        raise UnusablePhotoError("not an image", detail)
    # Not n_frames, because Pillow reads a whole GIF to count its frames.
    if image.format not in MULTI_IMAGE_FORMATS and getattr(image, "is_animated", False):
        raise UnusablePhotoError("animated", "more than one frame or page")


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if min(width, height) < MIN_SIDE_PX:
        detail = f"{width}x{height} pixels, at least {MIN_SIDE_PX} per side are needed"
        raise UnusablePhotoError("too small", detail, limit=MIN_SIDE_PX, width=width, height=height)
    if width * height > max_pixels:
        detail = f"{width}x{height} pixels, limit {max_pixels}"
        raise UnusablePhotoError("too large", detail, limit=max_pixels, width=width, height=height)


def _with_end_marker(file: bytes, max_pixels: int) -> bytes:
    """Return a JPEG with the end marker that it lacks, if its pixels are complete without it.

    The file is decoded with two different endings: if pixels are missing, the results differ.
    """
    file = file.rstrip(b"\xff")
    bottom_rows = []
    for end in (jpeg.END, FILLER + jpeg.END):
        with _open_image(file + end) as image:
            _check(image, max_pixels)
            bottom_rows.append(image.crop((0, max(0, image.height - CHECKED_ROWS_PX), *image.size)).tobytes())
    if bottom_rows[0] != bottom_rows[1]:
        raise UnusablePhotoError("truncated", "the end of the JPEG is missing, and some of its pixels")
    return file + jpeg.END


def _verify_png(file: bytes) -> None:
    """Raise if a PNG's checksums are wrong, or its end or some pixels are missing, which decoding does not detect."""
    with Image.open(io.BytesIO(file), formats=("PNG",)) as image:
        image.verify()
    if not file.endswith(PNG_END):
        raise UnusablePhotoError("truncated", "the end of the PNG is missing")
    png.check_pixels(file)


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Return the image in an 8-bit mode that can be resized smoothly, RGBA if it has transparency."""
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
