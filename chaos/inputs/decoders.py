"""One damaged photo through what a run does (records of the dataset) and what the page does (a decoding process)."""

import io
import logging.handlers
import re

import numpy as np
import tensorflow as tf
from PIL import Image

from components.base.settings import MAX_PIXELS
from components.data import images, resize
from web import decoding, pictures

SQUARE_PX = 32
MAX_DIFFERENCE = 16  # mean difference of two pictures, in levels of 255; the page's JPEG is not lossless
# Not for a person: addresses (but not sizes, such as "0x805306368 pixels"), tracebacks, objects and nothing.
UNCLEAR = re.compile(r"\b0x[0-9a-f]{6,}\b(?! pixels)|Traceback|\n|<.* object|^$")
Result = tuple[str, str | None]  # reason or "accepted"; and what is wrong with the treatment of the file, if anything

_decoder = decoding.Decoder(MAX_PIXELS)
_page_errors = logging.handlers.BufferingHandler(capacity=100)  # of the page's log, for one photo
_page_errors.setLevel(logging.ERROR)


def start() -> None:
    """Start the page's decoding process."""
    _decoder.plain(_black_photo((32, 32)))


def warm_up() -> None:
    """Treat a photo of the largest size, for which TensorFlow keeps memory."""
    treat([_black_photo((1024, MAX_PIXELS // 1024))])


def _black_photo(size: tuple[int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size).save(stream, "JPEG")
    return stream.getvalue()


def treat(files: list[bytes]) -> list[Result]:
    """Return what becomes of each file in a run and on the page, where both must be the same."""
    try:
        ingested = resize.make(files, SQUARE_PX, MAX_PIXELS)
    except Exception as error:
        if len(files) > 1:
            return [result for file in files for result in treat([file])]
        return [("failed", f"the run raised {type(error).__name__}: {error}")]
    return [_with_errors(square, file) for square, file in zip(ingested, files, strict=True)]


def _with_errors(square: resize.Square | images.UnusablePhotoError, file: bytes) -> Result:
    """Compare run and page; an error in the page's log, such as a decoder that crashed, is a failure too."""
    _page_errors.flush()
    decoding.log.addHandler(_page_errors)
    try:
        reason, failure = _compared(square, file)
    finally:
        decoding.log.removeHandler(_page_errors)
    if not failure and _page_errors.buffer:
        failure = f"the page logged an error: {_page_errors.buffer[0].getMessage()}"
    return reason, failure


def _compared(square: resize.Square | images.UnusablePhotoError, file: bytes) -> Result:
    try:
        picture = _decoder.plain(file)
    except pictures.BadPictureError as refusal:
        return _refused(square, refusal.reason)
    except Exception as error:
        return "failed", f"the page raised {type(error).__name__}: {error}"
    if isinstance(square, images.UnusablePhotoError):
        return square.reason, f"the page accepts it, the run does not ({square})"
    return "accepted", _wrong_shape(square, picture) or _difference(file, picture)


def _refused(square: resize.Square | images.UnusablePhotoError, reason: str) -> Result:
    if reason == pictures.REFUSALS["too costly"][1]:  # the page limits time and memory, a run does not
        return "too costly", None
    if isinstance(square, resize.Square):
        return "accepted", f"the run accepts it, the page does not ({reason})"
    if pictures.REFUSALS[square.reason][1] != reason:
        return square.reason, f"the run refuses it as {square.reason}, the page as {reason}"
    if UNCLEAR.search(square.detail):
        return square.reason, f"the reason is not clear: {square.detail!r}"
    return square.reason, None


def _wrong_shape(square: resize.Square, picture: bytes) -> str | None:
    """Return what is wrong with the form of an accepted photo, if anything."""
    with Image.open(io.BytesIO(picture)) as page, Image.open(io.BytesIO(square.png)) as run:
        if (page.format, page.mode) != ("JPEG", "RGB") or {"exif", "icc_profile"} & page.info.keys():
            return f"the page's picture is {page.format} {page.mode} with {sorted(page.info)}"
        if run.mode != "RGB" or run.size != (SQUARE_PX, SQUARE_PX):
            return f"the run's square is {run.mode} of {run.size}"
        if max(square.original_size_px) <= images.WEB_SIDE_PX and page.size != square.original_size_px:
            return f"the sizes differ: {square.original_size_px} in the run, {page.size} on the page"
    return None


def _difference(file: bytes, picture: bytes) -> str | None:
    """Return by how much the page's picture is lighter or darker than what the run decodes, if that is too much.

    Not by colours, of which a JPEG has half as many pixels as of levels of grey. The run's faster decoding of JPEG is
    replaced by the usual one, because it overflows where quantization tables are damaged.
    """
    plain, _ = images.plain_bytes(file, MAX_PIXELS)
    with Image.open(io.BytesIO(picture)) as image:
        if min(image.size) < images.MIN_SIDE_PX:  # a strip, which the page has shrunk
            return None
        difference = float(np.abs(_grey(_pixels(plain)) - _grey(image)).mean())
    return f"the pixels differ by {difference:.0f} levels" if difference > MAX_DIFFERENCE else None


def _pixels(plain: bytes) -> Image.Image:
    """Decode what `images.plain_bytes` returns as a run does, but a JPEG exactly."""
    if plain.startswith(b"\xff\xd8"):
        pixels = tf.io.decode_jpeg(plain, channels=3, dct_method="INTEGER_ACCURATE")
    else:
        pixels = tf.io.decode_png(plain, channels=3)
    return Image.fromarray(pixels.numpy())


def _grey(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L").resize((SQUARE_PX, SQUARE_PX)), np.float64)
