"""Records x backbone x view -> pooled activations of the frozen backbone, one file a view."""

import itertools
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import DTypeLike

from components.base import artifacts, metrics
from components.data import augment, feature_settings, records
from components.models import backbones, inference, tta

NOT_FINITE = "Check the weights file, or choose --precision float32 or --engine tensorflow."
BATCH_SIZE = 16  # what a core works on at once; from 1 to 32 it makes little difference


def pick_precision(wanted: str) -> str:
    """The dtype to compute in: as wanted, or for "auto" bfloat16 on GPUs and CPUs that have it, float32 elsewhere."""
    if wanted != "auto":
        return wanted
    if inference.on_gpu():
        return "bfloat16"
    cpu = pathlib.Path("/proc/cpuinfo")  # Linux; elsewhere float32 it is
    flags = cpu.read_text().split() if cpu.exists() else []
    return "bfloat16" if {"avx512_bf16", "amx_bf16"} & set(flags) else "float32"


def extract(
    folder: pathlib.Path,
    records_dir: pathlib.Path,
    photo_ids: Sequence[str],
    backbone: str,
    weights: backbones.Weights,
    views: int,
    test_views: int,
    augmentation: augment.Augmentation,
    image_size_px: int,
    engine: str,
    precision: str,
    progress: Callable[[int, int], None],
) -> None:
    """Write view-00.npy (the photos as they are) to view-NN.npy (augmented, N = views) into `folder`.

    Beside them test-01.npy to test-MM.npy (M = test_views - 1): view 0 is the first test-time view. Each is float32
    [photos, channels], in the order of the records. Those that are there stay, unless anything that they depend on has
    changed: then the folder is emptied first.

    Args:
        photo_ids: ids in the order of the records; an augmented view is drawn from each.
        engine: "openvino" or "tensorflow".
        progress: called with the photos done and to do, over all views that are missing.
    """
    settings = feature_settings.of_features(
        backbone, weights.fingerprint, engine, precision, image_size_px, photo_ids, augmentation.settings
    )
    artifacts.reset_if_settings_changed(folder, settings)
    missing = missing_views(folder, views, test_views)
    if not missing:
        return
    there = len(records.read(records_dir))
    if there != len(photo_ids):
        raise RuntimeError(
            f"There must be a record for each photo: there are {there} records and {len(photo_ids)} photos."
        )
    model = backbones.build(backbone, weights, image_size_px, inference.dtype_of_model(engine, precision))
    forward = inference.load(engine, model, precision)
    for position, view in enumerate(missing):
        started, before = time.monotonic(), position * len(photo_ids)
        for done in write_view(
            view_path(folder, view), records_dir, photo_ids, forward, view, augmentation, np.float32
        ):
            progress(before + done, len(missing) * len(photo_ids))
        seconds = round(time.monotonic() - started, 3)
        artifacts.write_json(view_path(folder, view).with_suffix(".json"), {"seconds": seconds})


def write_view(
    path: pathlib.Path,
    records_dir: pathlib.Path,
    photo_ids: Sequence[str],
    forward: inference.Forward,
    view: int,
    augmentation: augment.Augmentation,
    dtype: DTypeLike,
) -> Iterator[int]:
    """Write what `forward` gives for one view of all photos, [photos, ...]; yields how many are done.

    Args:
        view: 0 is each photo as it is, 1 and on are augmented, -1 and below are test-time views 1 and on.

    Raises:
        NotFiniteError: some are not finite, in `dtype`.
    """
    size_px = records.read(records_dir).element_spec["image"].shape[0]
    maps = augment.transforms(list(photo_ids), max(view, 0), augmentation, size_px)
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
    """The pixels of `pairs`, after a look at the ids beside them."""
    done = 0
    for ids, pixels in pairs.as_numpy_iterator():
        if [photo_id.decode() for photo_id in ids] != list(photo_ids[done : done + len(ids)]):
            raise RuntimeError(f"Records must be in the order of the photo list, and are not from number {done} on.")
        yield pixels
        done += len(ids)


def batches(records_dir: pathlib.Path, maps: np.ndarray, view: int) -> tf.data.Dataset:
    """Batches of (ids string [n], pixels uint8 [n, size, size, 3]) in the records' order, the last one short.

    Args:
        maps: float32 [photos, 8], of the view where it is an augmented one.
        view: as in write_view.
    """
    pictures = records.read(records_dir).map(lambda record: (record["id"], record["image"]), tf.data.AUTOTUNE)
    paired = tf.data.Dataset.zip(pictures, tf.data.Dataset.from_tensor_slices(maps)).batch(BATCH_SIZE)

    def see(picture: tuple[tf.Tensor, tf.Tensor], maps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        ids, pixels = picture
        return ids, augment.apply(pixels, maps) if view > 0 else tta.look(pixels, -view)

    return paired.map(see, tf.data.AUTOTUNE).prefetch(2)


class Views(Sequence[np.ndarray]):
    """The clean view and `views` augmented ones, float32 [photos, channels] each, read from disk when asked for.

    All of them together are 230 MB for 2,500 photos, ResNet50 and 10 views; one is enough to train an epoch on.
    """

    def __init__(self, folder: pathlib.Path, views: int):
        self._paths = [view_path(folder, view) for view in range(views + 1)]

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, view: int) -> np.ndarray:  # type: ignore[override]  # no slices
        return np.load(self._paths[view])


def test_views(folder: pathlib.Path, count: int) -> list[np.ndarray]:
    """The first `count` test-time views, float32 [photos, channels] each; the first is the clean view."""
    return [np.load(view_path(folder, -view)) for view in range(count)]


def view_numbers(views: int, test_views: int) -> list[int]:
    """The clean view, the augmented ones, and the test-time views after the first, as write_view counts them."""
    return [*range(views + 1), *range(-1, -test_views, -1)]


def missing_views(folder: pathlib.Path, views: int, test_views: int) -> list[int]:
    return [view for view in view_numbers(views, test_views) if not view_path(folder, view).exists()]


def view_path(folder: pathlib.Path, view: int) -> pathlib.Path:
    """Where write_view's `view` stands."""
    return folder / (f"view-{view:02d}.npy" if view >= 0 else f"test-{-view:02d}.npy")
