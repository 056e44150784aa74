"""Features: pooled activations of a frozen backbone, in a file for each view. extraction.py computes them."""

import itertools
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import DTypeLike

from components.base import artifacts, documents, metrics, settings
from components.data import augmentation as augmentation_module
from components.data import records
from components.models import frozen_graph, inference, tta

NOT_FINITE = "Check the weights file, or choose --precision float32 or --engine tensorflow."
BATCH_SIZE = 16  # photos; any size from 1 to 32 is about as fast


def pick_precision(precision: settings.Precision) -> settings.ComputeDtype:
    """Return `precision`, or for "auto" bfloat16 on GPUs and CPUs that support it and float32 elsewhere."""
    if precision != "auto":
        return precision
    if inference.on_gpu():
        return "bfloat16"
    cpu = pathlib.Path("/proc/cpuinfo")  # exists only on Linux; other systems use float32
    flags = cpu.read_text().split() if cpu.exists() else []
    return "bfloat16" if {"avx512_bf16", "amx_bf16"} & set(flags) else "float32"


def write_view(
    path: pathlib.Path,
    records_dir: pathlib.Path,
    photo_ids: Sequence[str],
    *,
    forward: frozen_graph.Forward,
    view: int,
    augmentation: augmentation_module.Augmentation,
    dtype: DTypeLike,
    start: int = 0,
) -> Iterator[int]:
    """Write the output of `forward` for one view of some photos, [photos, ...]; yield the number of photos done.

    Args:
        photo_ids: ids of the photos, which follow each other in the records.
        view: 0 for the clean photos, 1 and above for augmented views, -1 and below for test-time views 1 and above.
        start: number of records before them.

    Raises:
        NotFiniteError: some activations are not finite in `dtype`.
    """
    size_px = records.read(records_dir).element_spec["image"].shape[0]
    maps = augmentation_module.transforms(list(photo_ids), max(view, 0), augmentation, size_px)
    keys = augmentation_module.keys(photo_ids, view, augmentation) if view > 0 else None
    pixels = _checked(batches(records_dir, maps, view, start, keys), photo_ids)
    results, done = forward(pixels), 0
    first = next(results)
    with artifacts.writing_array(path, (len(photo_ids), *first.shape[1:]), dtype) as write:
        for activations in itertools.chain([first], results):
            with np.errstate(over="ignore"):  # check_finite reports it
                values = activations.astype(dtype, copy=False)
            metrics.check_finite(values, f"Activations of photos for {path}", NOT_FINITE)
            write(values)
            done += len(activations)
            yield done


def _checked(pairs: tf.data.Dataset, photo_ids: Sequence[str]) -> Iterator[np.ndarray]:
    """Yield the pixels of `pairs`, (ids, pixels), and check that the ids are `photo_ids` in their order."""
    done = 0
    for ids, pixels in pairs.as_numpy_iterator():
        if [photo_id.decode() for photo_id in ids] != list(photo_ids[done : done + len(ids)]):
            raise RuntimeError(f"Records must be in the order of the photo list, but differ after photo {done}.")
        yield pixels
        done += len(ids)


def batches(
    records_dir: pathlib.Path, maps: np.ndarray, view: int, start: int = 0, keys: np.ndarray | None = None
) -> tf.data.Dataset:
    """Return batches of (ids string [n], pixels uint8 [n, size, size, 3]) in the order of the records.

    Args:
        maps: float32 [photos, 8], see augmentation.transforms; used for augmented views only.
        view: as in write_view.
        start: number of records before them.
        keys: int64 [photos], see augmentation.keys; used for augmented views only.
    """
    photos = records.read(records_dir, start, start + len(maps)).map(
        lambda record: (record["id"], record["image"]), tf.data.AUTOTUNE
    )
    of_views = tf.data.Dataset.from_tensor_slices((maps,) if keys is None else (maps, keys))
    paired = tf.data.Dataset.zip(photos, of_views).batch(BATCH_SIZE)

    def transform(photos: tuple[tf.Tensor, tf.Tensor], of_views: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, tf.Tensor]:
        ids, pixels = photos
        return ids, augmentation_module.apply(pixels, *of_views) if view > 0 else tta.transform(pixels, -view)

    return paired.map(transform, tf.data.AUTOTUNE).prefetch(2)


def write_description(path: pathlib.Path, seconds: float) -> None:
    """Write the seconds that a file of activations took, and its digest, next to it."""
    artifacts.write_json(
        path.with_suffix(".json"), {"seconds": round(seconds, 3), "digest": artifacts.file_digest(path)}
    )


class Views(Sequence[np.ndarray]):
    """The clean view and `views` augmented ones, float32 [photos, channels] each, read from disk on access.

    An epoch needs a single view. All together would take 230 MB for 2,500 photos, ResNet50 and 10 views.
    """

    def __init__(self, folder: pathlib.Path, views: int):
        self._paths = [view_path(folder, view) for view in range(views + 1)]

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, view: int) -> np.ndarray:  # type: ignore[override]  # no slices
        return artifacts.read_array(self._paths[view])


def test_views(folder: pathlib.Path, count: int) -> list[np.ndarray]:
    """Return the first `count` test-time views, float32 [photos, channels] each; the first is the clean view."""
    return [artifacts.read_array(view_path(folder, -view)) for view in range(count)]


def view_numbers(views: int, test_views: int) -> list[int]:
    """Return the clean view, the augmented ones and the test-time views after the first, numbered as in write_view."""
    return [*range(views + 1), *range(-1, -test_views, -1)]


def missing_views(folder: pathlib.Path, views: int, test_views: int) -> list[int]:
    """Return the views that are missing in `folder` or whose files have changed."""
    return [view for view in view_numbers(views, test_views) if not is_intact(view_path(folder, view))]


def is_intact(path: pathlib.Path) -> bool:
    """Return whether a file of activations and its description are there, and the file has not changed since."""
    description = path.with_suffix(".json")
    if not (path.exists() and description.exists()):  # a kill can come between the two
        return False
    # files of earlier versions have no digest
    return artifacts.read_json(description, documents.Timed).get("digest") in (None, artifacts.file_digest(path))


def view_path(folder: pathlib.Path, view: int) -> pathlib.Path:
    """Return the path of `view`, numbered as in write_view."""
    return folder / (f"view-{view:02d}.npy" if view >= 0 else f"test-{-view:02d}.npy")
