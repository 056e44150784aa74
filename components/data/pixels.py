"""The pixels of all photos in one file, and batches for training and prediction that read it in any order."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from components.base import artifacts
from components.data import augmentation as augmentation_module
from components.data import records

BATCH_SIZE = 32  # photos decoded or predicted at once
# With autotuning, the iterator of a two-minute fit takes half a minute or more to end (TensorFlow 2.20).
OPTIONS = tf.data.Options()
OPTIONS.autotune.enabled = False


@dataclasses.dataclass(frozen=True)
class Examples:
    """Photos to train on, in the order of the records.

    Attributes:
        pixels: uint8 [photos, size, size, 3], in memory or mapped from disk.
        labels: int64 [photos], in [0, classes).
        frozen_activations: views 1 and above, float16 [photos, ...] each, to train on instead of the pixels; see
            frozen_activations.load.
        tested_activations: the same of the test-time views, the first of which has the clean photos; without them
            fine-tuned models are tested from the pixels.
    """

    ids: Sequence[str]
    pixels: np.ndarray
    labels: np.ndarray
    frozen_activations: Sequence[np.ndarray] | None = None
    tested_activations: Sequence[np.ndarray] | None = None


def load(records_dir: pathlib.Path, photo_ids: Sequence[str]) -> np.ndarray:
    """Return the pixels of all records in their order, uint8 [photos, size, size, 3], mapped from disk.

    The first call decodes the records into pixels.npy in their folder; rewriting the records removes it. Records are
    thus decoded only once for all epochs and folds, and can be read in any order, at 150 KB of disk per photo of
    224x224 pixels.

    Args:
        photo_ids: ids that the records must have, in order.

    Raises:
        RuntimeError: the records or pixels.npy are of other photos.
    """
    path = records_dir / "pixels.npy"
    if not path.exists():
        record_ids: list[str] = []
        dataset = records.read(records_dir)
        size = dataset.element_spec["image"].shape
        batches = dataset.map(lambda record: (record["id"], record["image"]), tf.data.AUTOTUNE).batch(BATCH_SIZE)
        with artifacts.writing_array(path, (len(photo_ids), *size), np.uint8) as write:
            for ids, pixels in batches.prefetch(2).as_numpy_iterator():
                write(pixels)
                record_ids += [photo_id.decode() for photo_id in ids]
            if record_ids != list(photo_ids):
                raise RuntimeError(
                    f"The {len(record_ids)} records must be those of the {len(photo_ids)} photos, in order."
                )
    pixels = artifacts.read_array(path, mmap_mode="r")
    if len(pixels) != len(photo_ids):
        raise RuntimeError(f"{path} must have {len(photo_ids)} photos (got {len(pixels)}). Delete it and run again.")
    return pixels


def augmented(
    examples: Examples,
    rows: np.ndarray,
    *,
    targets: np.ndarray,
    weights: np.ndarray,
    view: int,
    augmentation: augmentation_module.Augmentation,
    batch_size: int,
) -> tf.data.Dataset:
    """Return batches of (pixels in `view`, target, sample weight) in the order of `rows`; the last may be smaller.

    Where `examples` have frozen activations, these replace the pixels.

    Args:
        rows: int64 [m], the photos.
        targets: float32 [m, classes], in the order of `rows`.
        weights: float32 [m], in the order of `rows`.
        view: an augmented view, 1 or above.
    """
    if examples.frozen_activations:
        activations = examples.frozen_activations[view - 1]
        batches = tf.data.Dataset.from_tensor_slices((rows, targets, weights)).batch(batch_size)
        return _prefetched(batches, lambda rows, *rest: (_read(activations, rows), *rest))
    ids = [examples.ids[row] for row in rows]
    maps = augmentation_module.transforms(ids, view, augmentation, examples.pixels.shape[1])
    keys = augmentation_module.keys(ids, view, augmentation)
    views = (maps,) if keys is None else (maps, keys)
    batches = tf.data.Dataset.from_tensor_slices((rows, views, targets, weights)).batch(batch_size)

    def read(rows: tf.Tensor, views: tuple[tf.Tensor, ...], *rest: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return augmentation_module.apply(_read(examples.pixels, rows), *views), *rest

    return _prefetched(batches, read)


def clean(pixels: np.ndarray, rows: np.ndarray) -> tf.data.Dataset:
    """Return batches of the pixels of `rows`, not augmented, in the order of `rows`; the last may be smaller."""
    batches = tf.data.Dataset.from_tensor_slices(rows).batch(BATCH_SIZE)
    return _prefetched(batches, lambda rows: _read(pixels, rows))


def _prefetched(batches: tf.data.Dataset, read: Callable[..., object]) -> tf.data.Dataset:
    """Return `batches` mapped by `read`, with the next batches read in the background."""
    return batches.map(read, tf.data.AUTOTUNE).prefetch(2).with_options(OPTIONS)


def _read(array: np.ndarray, rows: tf.Tensor) -> tf.Tensor:
    selected = tf.numpy_function(lambda rows: np.asarray(array[rows]), [rows], array.dtype)
    return tf.ensure_shape(selected, [None, *array.shape[1:]])
