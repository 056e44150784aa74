"""Activations of the frozen layers of a backbone, computed once for each view and read from disk in fine-tuning.

For use on CPUs, where most of a training step is spent in the frozen layers. A GPU computes the activations faster than
a disk reads them.
"""

import logging
import math
import pathlib
import shutil
from collections.abc import Sequence

import keras
import numpy as np

from components.base import artifacts, settings
from components.base.errors import PilahError
from components.data import augmentation as augmentation_module
from components.models import backbones, features, inference

BYTES = np.dtype(np.float16).itemsize
log = logging.getLogger("pilah")


def load(
    folder: pathlib.Path,
    records_dir: pathlib.Path,
    photo_ids: Sequence[str],
    *,
    backbone: settings.Backbone,
    unfreeze: settings.Unfreeze,
    weights: backbones.Weights,
    views: int,
    augmentation: augmentation_module.Augmentation,
    image_size_px: int,
    engine: settings.InferenceEngine,
    precision: settings.ComputeDtype,
) -> list[np.ndarray]:
    """Return the frozen activations of augmented views 1 to `views`, float16 [photos, ...] each, mapped from disk.

    They are in the order of the records. Missing views are computed first. `folder` is emptied before that if a setting
    that they depend on has changed.

    Args:
        photo_ids: ids in the order of the records.
        unfreeze: the part above the frozen layers, "top" or "top2", see backbones.split.
        engine: inference engine. In float32 OpenVINO and TensorFlow differ by far less than the precision of float16,
            so that `folder` may contain views of both.
        precision: dtype in which the frozen layers compute.

    Raises:
        PilahError: the disk does not have enough space.
    """
    artifacts.reset_if_settings_changed(
        folder,
        {
            "unfrozen": unfreeze,
            "weights": weights.fingerprint,
            "precision": precision,
            **({"engine": engine} if precision != "float32" or engine == "mnn" else {}),
            "image_size_px": image_size_px,
            "photos": artifacts.digest(list(photo_ids)),
            **augmentation.settings,
        },
    )
    paths = {view: features.view_path(folder, view) for view in range(1, views + 1)}
    missing = {view: path for view, path in paths.items() if not path.exists()}
    if missing:
        log.info("%s: computing the activations of the frozen layers for %d views", backbone, len(missing))
        model = backbones.build(backbone, weights, image_size_px, inference.dtype_of_model(engine, precision))
        lower, _ = backbones.split(model, backbone, unfreeze)
        _check_space(folder, len(missing) * len(photo_ids) * math.prod(lower.output_shape[1:]) * BYTES)
        forward = inference.load(engine, lower, precision)
        for view, path in missing.items():
            written = features.write_view(
                path, records_dir, photo_ids, forward=forward, view=view, augmentation=augmentation, dtype=np.float16
            )
            for _ in written:
                pass
        keras.utils.clear_session()
    return [artifacts.read_array(path, mmap_mode="r") for path in paths.values()]


def _check_space(folder: pathlib.Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise PilahError(
            f"Activations of the frozen layers need {needed_bytes / 1e9:.1f} GB of disk, but only "
            f"{free_bytes / 1e9:.1f} GB are free in {folder}. Free some space, or choose --unfreeze all, which "
            "needs none."
        )
