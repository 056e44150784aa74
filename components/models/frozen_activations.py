"""The layers of a backbone that stay frozen, run once a view: what they give is read from disk while the others train.

For CPUs, where they are most of the work of a step. A GPU runs them faster than a disk gives back what they gave.
"""

import logging
import math
import pathlib
import shutil
from collections.abc import Sequence

import keras
import numpy as np

from components.base import artifacts
from components.base.errors import PilahError
from components.data import augment
from components.models import backbones, features, inference

BYTES = np.dtype(np.float16).itemsize
log = logging.getLogger("pilah")


def load(
    folder: pathlib.Path,
    records_dir: pathlib.Path,
    photo_ids: Sequence[str],
    backbone: str,
    unfrozen: str,
    weights: backbones.Weights,
    views: int,
    augmentation: augment.Augmentation,
    image_size_px: int,
    engine: str,
    precision: str,
) -> list[np.ndarray]:
    """Augmented views 1 to `views` of all photos as the trunk leaves them, read from disk as they are asked for.

    Each is float16 [photos, ...], in the order of the records. Those that `folder` lacks are computed first, unless
    anything that they depend on has changed: then it is emptied, and all are.

    Args:
        photo_ids: ids in the order of the records.
        unfrozen: "top" or "top2", the part that the trunk lies below, see backbones.split.
        engine: "openvino" or "tensorflow"; in float32 they differ by far less than float16 rounds, so that views of
            both may lie side by side.
        precision: "float32" or "bfloat16", in which it computes.
    """
    artifacts.reset_if_settings_changed(
        folder,
        {
            "unfrozen": unfrozen,
            "weights": weights.fingerprint,
            "precision": precision,
            **({"engine": engine} if precision != "float32" else {}),
            "image_size_px": image_size_px,
            "photos": artifacts.digest(list(photo_ids)),
            **augmentation.settings,
        },
    )
    paths = {view: features.view_path(folder, view) for view in range(1, views + 1)}
    missing = [view for view, path in paths.items() if not path.exists()]
    if missing:
        log.info("%s: running what stays frozen, once for each of %d views", backbone, len(missing))
        model = backbones.build(backbone, weights, image_size_px, inference.dtype_of_model(engine, precision))
        lower, _ = backbones.split(model, backbone, unfrozen)
        _check_space(folder, len(missing) * len(photo_ids) * math.prod(lower.output_shape[1:]) * BYTES)
        forward = inference.load(engine, lower, precision)
        for view in missing:
            for _ in features.write_view(paths[view], records_dir, photo_ids, forward, view, augmentation, np.float16):
                pass
        keras.utils.clear_session()
    return [np.load(path, mmap_mode="r") for path in paths.values()]


def _check_space(folder: pathlib.Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise PilahError(
            f"Activations of the frozen layers need {needed / 1e9:.1f} GB of disk, and {free / 1e9:.1f} GB are free in "
            f"{folder}. Free some, or choose --unfreeze all, which needs none."
        )
