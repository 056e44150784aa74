"""Computes activations: in this process, or in tasks for other processes that see the same folders."""

import concurrent.futures
import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np

from components.base import artifacts, claims, settings
from components.data import augmentation as augmentation_module
from components.data import feature_settings, records
from components.models import backbones, features, frozen_graph, inference

# Whole batches, so that the activations do not depend on the division into tasks.
PHOTOS_PER_TASK = 16 * features.BATCH_SIZE
PROGRESS_SECONDS = 0.5  # between progress updates while other processes compute


@dataclasses.dataclass(frozen=True)
class Network:
    """A frozen backbone, and how it is run.

    Attributes:
        engine: inference engine.
        precision: dtype in which it computes.
        below: part of the backbone, see backbones.split, below which it ends; None for all of it, and pooling.
    """

    backbone: settings.Backbone
    weights: backbones.Weights
    image_size_px: int
    engine: settings.InferenceEngine
    precision: settings.ComputeDtype
    below: settings.Unfreeze | None = None

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the saved activations."""
        return np.dtype(np.float16 if self.below else np.float32)

    def build(self) -> keras.Model:
        """Return the model: uint8 RGB [n, size, size, 3] -> activations [n, ...]."""
        dtype = inference.dtype_of_model(self.engine, self.precision)
        model = backbones.build(self.backbone, self.weights, self.image_size_px, dtype)
        return backbones.split(model, self.backbone, self.below)[0] if self.below else model

    def load(self) -> frozen_graph.Forward:
        """Return the function that computes the activations of batches."""
        return inference.load(self.engine, self.build(), self.precision)


@dataclasses.dataclass(frozen=True)
class Source:
    """The photos whose activations are computed.

    Attributes:
        records: folder of their records.
        ids: ids in the order of the records; the augmented views depend on them.
    """

    records: pathlib.Path
    ids: Sequence[str]
    augmentation: augmentation_module.Augmentation

    def check(self) -> None:
        """Raise RuntimeError if the number of records differs from that of the ids."""
        count = len(records.read(self.records))
        if count != len(self.ids):
            raise RuntimeError(f"{self.records} must have a record of each of {len(self.ids)} photos (got {count}).")


def extract(
    folder: pathlib.Path,
    source: Source,
    network: Network,
    *,
    views: int,
    test_views: int,
    progress: Callable[[int, int], None],
    executor: concurrent.futures.Executor | None = None,
) -> None:
    """Write the features of all views into `folder`, float32 [photos, channels] each, in the order of the records.

    view-00.npy has the clean photos, which are also the first test-time view; view-01.npy to view-NN.npy (N = views)
    the augmented views; test-01.npy to test-MM.npy (M = test_views - 1) the other test-time views. Existing files are
    kept, but `folder` is emptied first if a setting that they depend on has changed.

    Args:
        progress: called with the number of photos done and the total, over all missing views.
        executor: computes them in other processes, which see the same folders; by default this process does.
    """
    settings_of_files = feature_settings.of_features(
        network.backbone,
        network.weights.fingerprint,
        engine=network.engine,
        precision=network.precision,
        image_size_px=network.image_size_px,
        photo_ids=source.ids,
        augmentation=source.augmentation.settings,
    )
    artifacts.reset_if_settings_changed(folder, settings_of_files)
    missing = features.missing_views(folder, views, test_views)
    for view, seconds in write_views(folder, source, network, missing, progress, executor):
        features.write_description(features.view_path(folder, view), seconds)


def write_views(
    folder: pathlib.Path,
    source: Source,
    network: Network,
    views: Sequence[int],
    progress: Callable[[int, int], None],
    executor: concurrent.futures.Executor | None,
) -> Iterator[tuple[int, float]]:
    """Write the activations of each of `views`, [photos, ...] in network.dtype; yield each and its computing seconds.

    Args:
        views: numbered as in features.write_view.
    """
    if not views:
        return
    source.check()
    write = functools.partial(_write_in_tasks, executor) if executor else _write_here
    for view, seconds in write(folder, source, network, views, progress):
        for part in folder.glob(f"{features.view_path(folder, view).stem}-from-*"):
            part.unlink()
        yield view, seconds


def _write_here(
    folder: pathlib.Path,
    source: Source,
    network: Network,
    views: Sequence[int],
    progress: Callable[[int, int], None],
) -> Iterator[tuple[int, float]]:
    forward = network.load()
    for position, view in enumerate(views):
        started, done_before = time.monotonic(), position * len(source.ids)
        for done in features.write_view(
            features.view_path(folder, view),
            source.records,
            source.ids,
            forward=forward,
            view=view,
            augmentation=source.augmentation,
            dtype=network.dtype,
        ):
            progress(done_before + done, len(views) * len(source.ids))
        yield view, time.monotonic() - started


def _write_in_tasks(
    executor: concurrent.futures.Executor,
    folder: pathlib.Path,
    source: Source,
    network: Network,
    views: Sequence[int],
    progress: Callable[[int, int], None],
) -> Iterator[tuple[int, float]]:
    """Let tasks write parts of PHOTOS_PER_TASK photos, and join the parts of each view."""
    starts = range(0, len(source.ids), PHOTOS_PER_TASK)
    parts = [(view, start) for view in views for start in starts]
    tasks = {
        (view, start): executor.submit(_write_part, path, source, start, network, view)
        for view, start in parts
        if not (path := _part_path(folder, view, start)).exists()
    }
    for view in views:
        waiting = [tasks[part] for part in parts if part[0] == view and part in tasks]
        seconds, unfinished = 0.0, set(waiting)  # none if all parts were written before an interruption
        while unfinished:
            done, unfinished = concurrent.futures.wait(waiting, PROGRESS_SECONDS, concurrent.futures.FIRST_EXCEPTION)
            seconds = sum(task.result() for task in done)
            finished = [part for part in parts if part not in tasks or tasks[part].done()]
            photos = sum(min(PHOTOS_PER_TASK, len(source.ids) - start) for _, start in finished)
            progress(photos, len(views) * len(source.ids))
        _join([_part_path(folder, view, start) for start in starts], features.view_path(folder, view), network.dtype)
        yield view, seconds


def _write_part(path: pathlib.Path, source: Source, start: int, network: Network, view: int) -> float:
    """Write the activations of PHOTOS_PER_TASK photos from number `start` on, and return the seconds."""
    started = time.monotonic()
    with claims.claimed(path):
        if path.exists():
            return 0.0
        for _ in features.write_view(
            path,
            source.records,
            source.ids[start : start + PHOTOS_PER_TASK],
            start=start,
            forward=_loaded(network),
            view=view,
            augmentation=source.augmentation,
            dtype=network.dtype,
        ):
            claims.check()
    return time.monotonic() - started


@functools.lru_cache(maxsize=1)  # tasks come in the order of the backbones
def _loaded(network: Network) -> frozen_graph.Forward:
    return network.load()


def _join(parts: Sequence[pathlib.Path], path: pathlib.Path, dtype: np.dtype) -> None:
    """Write the arrays of `parts`, joined, into the file `path`."""
    arrays = [artifacts.read_array(part, mmap_mode="r") for part in parts]
    shape = (sum(len(array) for array in arrays), *arrays[0].shape[1:])
    with artifacts.writing_array(path, shape, dtype) as write:
        for array in arrays:
            write(array)


def _part_path(folder: pathlib.Path, view: int, start: int) -> pathlib.Path:
    path = features.view_path(folder, view)
    return path.with_name(f"{path.stem}-from-{start:09d}.npy")
