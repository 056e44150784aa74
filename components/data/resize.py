"""Photos -> square model inputs: the resize shared by records and serving, in batches."""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import tensorflow as tf

from components.data import images

PHOTOS_AT_ONCE = 16  # enough to make the overhead of a call negligible, and few enough for memory
CAUSE = re.compile(r"(?:.*(?:Map: |}} ))?(.*?)\s*(?:\n|\[|$)", re.DOTALL)  # in a message: what the decoder says
Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Square:
    """The pixels to train on, as a lossless PNG, and the upright (width, height) of the original photo."""

    png: bytes
    original_size_px: tuple[int, int]


def make(files: Sequence[bytes], image_size_px: int, max_pixels: int) -> list[Square | images.UnusablePhotoError]:
    """Check, normalize and resize each photo file; return its square, or the error if it is unusable."""
    plain: dict[int, tuple[bytes, tuple[int, int]]] = {}  # index in `files` -> photo and its size
    squares: dict[int, Square | images.UnusablePhotoError] = {}
    for index, file in enumerate(files):
        try:
            plain[index] = images.plain_bytes(file, max_pixels)
        except images.UnusablePhotoError as error:
            squares[index] = error
    pngs = each([content for content, _ in plain.values()], lambda photos: _pngs(photos, image_size_px))
    for (index, (_, size_px)), png in zip(plain.items(), pngs, strict=True):
        squares[index] = png if isinstance(png, images.UnusablePhotoError) else Square(png, size_px)
    return [squares[index] for index in range(len(files))]


def each(
    photos: Sequence[bytes], run_batch: Callable[[Sequence[bytes]], Iterable[Result]]
) -> list[Result | images.UnusablePhotoError]:
    """Return the result of `run_batch`, which decodes with TensorFlow, for each plain photo.

    A batch that fails is repeated one photo at a time, to find the photo that TensorFlow cannot decode.
    """
    if not photos:
        return []
    try:
        return list(run_batch(photos))
    except tf.errors.InvalidArgumentError as error:
        if len(photos) == 1:
            return [images.UnusablePhotoError("truncated", _cause(error.message))]
        return [result for photo in photos for result in each([photo], run_batch)]


def _cause(message: str) -> str:
    """Return what a decoder of TensorFlow says, without the names of the operations in which it ran."""
    cause = CAUSE.match(message)
    return (cause and cause[1]) or "TensorFlow cannot decode its pixels"


def decode_and_resize(photo: tf.Tensor, image_size_px: int) -> tf.Tensor:
    """Decode plain photo bytes (string, []) to uint8 RGB [image_size_px, image_size_px, 3], antialiased.

    Both the records and the served signature use it, so that a photo has the same pixels in training and in serving.
    The photo is stretched to a square, as Keras's flow_from_directory does.
    """
    pixels = tf.io.decode_image(photo, channels=3, expand_animations=False)
    pixels.set_shape([None, None, 3])
    pixels = tf.image.resize(pixels, [image_size_px, image_size_px], method="bilinear", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)


def _pngs(photos: Sequence[bytes], image_size_px: int) -> Iterable[bytes]:
    return _pngs_of(image_size_px)(tf.constant(photos)).numpy()


@functools.cache
def _pngs_of(image_size_px: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a function from photos (string [n]) to PNGs (string [n]), in order, traced once and run without the GIL.

    Several threads call it at once. It uses tf.data because nothing else can limit the resize of a call to one thread
    within a process.
    """
    options = tf.data.Options()
    options.threading.max_intra_op_parallelism = 1
    options.autotune.enabled = False

    @tf.function(input_signature=(tf.TensorSpec((None,), tf.string),))
    def pngs_of(photos: tf.Tensor) -> tf.Tensor:
        pngs = tf.data.Dataset.from_tensor_slices(photos).map(
            lambda photo: tf.io.encode_png(decode_and_resize(photo, image_size_px), compression=1)
        )
        return pngs.batch(tf.size(photos, tf.int64)).with_options(options).get_single_element()

    return pngs_of
