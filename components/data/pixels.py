"""The pixels of all photos in one file, and the batches that training and prediction read from it in any order."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from components.base import artifacts
from components.data import augment, records

BATCH_SIZE = 32  # of what is decoded or predicted at once
# While it tunes itself, the iterator of a fit of two minutes takes half a minute or more to end (TensorFlow 2.20).
OPTIONS = tf.data.Options()
OPTIONS.autotune.enabled = False


@dataclasses.dataclass(frozen=True)
class Examples:
    """What is learnt from, row by row in the order of the records.

    Attributes:
        pixels: uint8 [photos, size, size, 3]; it may stand on disk, a batch at a time is read.
        labels: int64 [photos], in [0, classes).
        trunk: views 1 and on as they leave a backbone's trunk, float16 [photos, ...] each, to train on in place of
            the pixels; see frozen_activations.load.
    """

    ids: Sequence[str]
    pixels: np.ndarray
    labels: np.ndarray
    trunk: Sequence[np.ndarray] | None = None


def load(records_dir: pathlib.Path, photo_ids: Sequence[str]) -> np.ndarray:
    """The pixels of all records, uint8 [photos, size, size, 3], in their order, read from disk as they are asked for.

    The first call decodes the records into pixels.npy beside them, which goes when they are written anew: decoded
    once for all epochs and folds, and shuffled whole, for 150 KB of disk a photo of 224x224.

    Args:
        photo_ids: ids that the records must have, in order.
    """
    path = records_dir / "pixels.npy"
    if not path.exists():
        found: list[str] = []
        pictures = records.read(records_dir)
        size = pictures.element_spec["image"].shape
        batches = pictures.map(lambda record: (record["id"], record["image"]), tf.data.AUTOTUNE).batch(BATCH_SIZE)
        with artifacts.writing_array(path, (len(photo_ids), *size), np.uint8) as write:
            for ids, pixels in batches.prefetch(2).as_numpy_iterator():
                write(pixels)
                found += [photo_id.decode() for photo_id in ids]
            if found != list(photo_ids):
                raise RuntimeError(f"Records must be those of the photos, in order: {len(found)} records are not.")
    pixels = np.load(path, mmap_mode="r")
    if len(pixels) != len(photo_ids):
        raise RuntimeError(
            f"{path} holds {len(pixels)} photos, and there are {len(photo_ids)}. Delete it and run again."
        )
    return pixels


def augmented(
    examples: Examples,
    rows: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    view: int,
    augmentation: augment.Augmentation,
    batch: int,
) -> tf.data.Dataset:
    """Batches of (pixels, target, weight) of `rows` as they look in `view`, in the order given, the last one short.

    Where `examples` have a trunk, its activations stand in place of pixels.

    Args:
        rows: int64 [m]; targets and weights, float32 [m, ...], stand in the same order.
        view: from 1.
    """
    if examples.trunk:
        activations = examples.trunk[view - 1]
        ready = tf.data.Dataset.from_tensor_slices((rows, targets, weights)).batch(batch)
        return _ahead(ready, lambda rows, *rest: (_read(activations, rows), *rest))
    maps = augment.transforms([examples.ids[row] for row in rows], view, augmentation, examples.pixels.shape[1])
    ready = tf.data.Dataset.from_tensor_slices((rows, maps, targets, weights)).batch(batch)

    def read(rows: tf.Tensor, maps: tf.Tensor, *rest: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return augment.apply(_read(examples.pixels, rows), maps), *rest

    return _ahead(ready, read)


def clean(pixels: np.ndarray, rows: np.ndarray) -> tf.data.Dataset:
    """Batches of the pixels of `rows` as they are, in the order given, the last one short."""
    ready = tf.data.Dataset.from_tensor_slices(rows).batch(BATCH_SIZE)
    return _ahead(ready, lambda rows: _read(pixels, rows))


def _ahead(ready: tf.data.Dataset, read: Callable[..., object]) -> tf.data.Dataset:
    """What `read` makes of each element, made while the one before is worked on."""
    return ready.map(read, tf.data.AUTOTUNE).prefetch(2).with_options(OPTIONS)


def _read(array: np.ndarray, rows: tf.Tensor) -> tf.Tensor:
    read = tf.numpy_function(lambda rows: np.asarray(array[rows]), [rows], array.dtype)
    return tf.ensure_shape(read, [None, *array.shape[1:]])
