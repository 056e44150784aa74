"""Activations of the frozen layers of a backbone, computed once for each view and read from disk in fine-tuning.

For covariance heads, and for fine-tuning on CPUs, where most of a training step is spent in the frozen layers. A GPU
computes the activations faster than a disk reads them.
"""

import concurrent.futures
import logging
import math
import pathlib
import shutil

import keras
import numpy as np

from components.base import artifacts
from components.base.errors import PilahError
from components.models import extraction, features

log = logging.getLogger("pilah")


def load(
    folder: pathlib.Path,
    source: extraction.Source,
    network: extraction.Network,
    *,
    views: int,
    test_views: int,
    executor: concurrent.futures.Executor | None = None,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the frozen activations of augmented views 1 to `views`, and those of the first `test_views` clean ones.

    Each is float16 [photos, ...], mapped from disk, in the order of the records. Missing views are computed first.
    `folder` is emptied before that if a setting that they depend on has changed.

    Args:
        network: the layers below a part of the backbone. In float32 OpenVINO and TensorFlow differ by far less than
            the precision of float16, so that `folder` may contain views of both.
        executor: computes them in other processes, as in extraction.extract.

    Raises:
        PilahError: the disk does not have enough space.
    """
    engine_matters = network.precision != "float32" or network.engine == "mnn"
    artifacts.reset_if_settings_changed(
        folder,
        {
            "unfrozen": network.below,
            "weights": network.weights.fingerprint,
            "precision": network.precision,
            **({"engine": network.engine} if engine_matters else {}),
            "image_size_px": network.image_size_px,
            "photos": artifacts.digest(list(source.ids)),
            **source.augmentation.settings,
        },
    )
    numbers = [*range(1, views + 1), *range(0, -test_views, -1)]
    paths = {view: features.view_path(folder, view) for view in numbers}
    missing = [view for view, path in paths.items() if not path.exists()]
    if missing:
        log.info("%s: computing the activations of the frozen layers for %d views", network.backbone, len(missing))
        values = math.prod(network.build().output_shape[1:])
        _check_space(folder, len(missing) * len(source.ids) * values * network.dtype.itemsize)
        for _ in extraction.write_views(folder, source, network, missing, lambda done, total: None, executor):
            pass
        keras.utils.clear_session()
    arrays = {view: artifacts.read_array(path, mmap_mode="r") for view, path in paths.items()}
    return [arrays[view] for view in range(1, views + 1)], [arrays[-view] for view in range(test_views)]


def _check_space(folder: pathlib.Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise PilahError(
            f"Activations of the frozen layers need {needed_bytes / 1e9:.1f} GB of disk, but only "
            f"{free_bytes / 1e9:.1f} GB are free in {folder}. Free some space, or choose a smaller --image-size or, "
            "without covariance heads, --unfreeze all, which needs none."
        )
