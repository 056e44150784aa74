"""Features: pooled activations of a frozen backbone for all records, one file for each view."""

import itertools
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import DTypeLike

from components.base import artifacts, documents, metrics, settings
from components.data import augmentation as augmentation_module
from components.data import feature_settings, records
from components.models import backbones, frozen_graph, inference, tta

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


def extract(
    folder: pathlib.Path,
    records_dir: pathlib.Path,
    photo_ids: Sequence[str],
    *,
    backbone: settings.Backbone,
    weights: backbones.Weights,
    views: int,
    test_views: int,
    augmentation: augmentation_module.Augmentation,
    image_size_px: int,
    engine: settings.InferenceEngine,
    precision: settings.ComputeDtype,
    progress: Callable[[int, int], None],
) -> None:
    """Write the activations of all views into `folder`, float32 [photos, channels] each, in the order of the records.

    view-00.npy has the clean photos, which are also the first test-time view; view-01.npy to view-NN.npy (N = views)
    the augmented views; test-01.npy to test-MM.npy (M = test_views - 1) the other test-time views. Existing files are
    kept, but `folder` is emptied first if a setting that they depend on has changed.

    Args:
        photo_ids: ids in the order of the records; the augmented views depend on them.
        engine: inference engine.
        progress: called with the number of photos done and the total, over all missing views.
    """
    settings_of_files = feature_settings.of_features(
        backbone,
        weights.fingerprint,
        engine=engine,
        precision=precision,
        image_size_px=image_size_px,
        photo_ids=photo_ids,
        augmentation=augmentation.settings,
    )
    artifacts.reset_if_settings_changed(folder, settings_of_files)
    missing = missing_views(folder, views, test_views)
    if not missing:
        return
    record_count = len(records.read(records_dir))
    if record_count != len(photo_ids):
        raise RuntimeError(f"{records_dir} must have a record of each of {len(photo_ids)} photos (got {record_count}).")
    model = backbones.build(backbone, weights, image_size_px, inference.dtype_of_model(engine, precision))
    forward = inference.load(engine, model, precision)
    for position, view in enumerate(missing):
        started, done_before = time.monotonic(), position * len(photo_ids)
        written = write_view(
            view_path(folder, view),
            records_dir,
            photo_ids,
            forward=forward,
            view=view,
            augmentation=augmentation,
            dtype=np.float32,
        )
        for done in written:
            progress(done_before + done, len(missing) * len(photo_ids))
        seconds = round(time.monotonic() - started, 3)
        path = view_path(folder, view)
        artifacts.write_json(path.with_suffix(".json"), {"seconds": seconds, "digest": artifacts.file_digest(path)})


def write_view(
    path: pathlib.Path,
    records_dir: pathlib.Path,
    photo_ids: Sequence[str],
    *,
    forward: frozen_graph.Forward,
    view: int,
    augmentation: augmentation_module.Augmentation,
    dtype: DTypeLike,
) -> Iterator[int]:
    """Write the output of `forward` for one view of all photos, [photos, ...]; yield the number of photos done.

    Args:
        view: 0 for the clean photos, 1 and above for augmented views, -1 and below for test-time views 1 and above.

    Raises:
        NotFiniteError: some activations are not finite in `dtype`.
    """
    size_px = records.read(records_dir).element_spec["image"].shape[0]
    maps = augmentation_module.transforms(list(photo_ids), max(view, 0), augmentation, size_px)
    pixels = _checked(batches(records_dir, maps, view), photo_ids)
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


def batches(records_dir: pathlib.Path, maps: np.ndarray, view: int) -> tf.data.Dataset:
    """Return batches of (ids string [n], pixels uint8 [n, size, size, 3]) in the order of the records.

    Args:
        maps: float32 [photos, 8], see augmentation.transforms; used for augmented views only.
        view: as in write_view.
    """
    photos = records.read(records_dir).map(lambda record: (record["id"], record["image"]), tf.data.AUTOTUNE)
    paired = tf.data.Dataset.zip(photos, tf.data.Dataset.from_tensor_slices(maps)).batch(BATCH_SIZE)

    def transform(photos: tuple[tf.Tensor, tf.Tensor], maps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        ids, pixels = photos
        return ids, augmentation_module.apply(pixels, maps) if view > 0 else tta.transform(pixels, -view)

    return paired.map(transform, tf.data.AUTOTUNE).prefetch(2)


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
    return [view for view in view_numbers(views, test_views) if not _is_intact(view_path(folder, view))]


def _is_intact(path: pathlib.Path) -> bool:
    description = path.with_suffix(".json")
    if not (path.exists() and description.exists()):  # a kill can come between the two
        return False
    # files of earlier versions have no digest
    return artifacts.read_json(description, documents.Timed).get("digest") in (None, artifacts.file_digest(path))


def view_path(folder: pathlib.Path, view: int) -> pathlib.Path:
    """Return the path of `view`, numbered as in write_view."""
    return folder / (f"view-{view:02d}.npy" if view >= 0 else f"test-{-view:02d}.npy")
