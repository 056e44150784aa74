"""Photo files -> the squares that are trained on, as PNGs, a batch of photos at a time."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence

import tensorflow as tf

from components.data import images

PHOTOS_AT_ONCE = 16  # beside a call's own cost a photo's is small, and so is a batch of photos in memory


@dataclasses.dataclass(frozen=True)
class Square:
    """What is trained on: a PNG, since nothing may be lost, and the upright (width, height) that the photo had."""

    png: bytes
    original_size_px: tuple[int, int]


def make(files: Sequence[bytes], image_size_px: int, max_pixels: int) -> list[Square | images.UnusablePhotoError]:
    """For each file its photo checked, turned upright, brought to RGB and resized, or why it cannot be used."""
    plain: dict[int, tuple[bytes, tuple[int, int]]] = {}  # place in the list -> photo and its size
    made: dict[int, Square | images.UnusablePhotoError] = {}
    for place, file in enumerate(files):
        try:
            plain[place] = images.plain_bytes(file, max_pixels)
        except images.UnusablePhotoError as error:
            made[place] = error
    pngs = images.each([content for content, _ in plain.values()], lambda photos: _pngs(photos, image_size_px))
    for (place, (_, size_px)), png in zip(plain.items(), pngs, strict=True):
        made[place] = png if isinstance(png, images.UnusablePhotoError) else Square(png, size_px)
    return [made[place] for place in range(len(files))]


def _pngs(photos: Sequence[bytes], image_size_px: int) -> Iterable[bytes]:
    return _pngs_of(image_size_px)(tf.constant(photos)).numpy()


@functools.cache
def _pngs_of(image_size_px: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Strings [n] -> strings [n], in order: one call, traced once, in which Python waits for nothing.

    A thread makes each call. tf.data, and nothing else within one process, keeps the resize from splitting itself over
    the threads of the other calls.
    """
    options = tf.data.Options()
    options.threading.max_intra_op_parallelism = 1
    options.autotune.enabled = False

    @tf.function(input_signature=(tf.TensorSpec((None,), tf.string),))
    def pngs_of(photos: tf.Tensor) -> tf.Tensor:
        pngs = tf.data.Dataset.from_tensor_slices(photos).map(
            lambda photo: tf.io.encode_png(images.decode_and_resize(photo, image_size_px), compression=1)
        )
        return pngs.batch(tf.size(photos, tf.int64)).with_options(options).get_single_element()

    return pngs_of
