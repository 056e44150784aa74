"""The layers below a backbone's last stage, run once a view: what they give is read from disk while that stage trains.

For CPUs, where they are most of the work of a step. A GPU runs them faster than a disk gives back what they gave.
"""

import logging
import pathlib
from collections.abc import Sequence

import keras
import numpy as np

from components import artifacts, augment, backbones, engines, features

log = logging.getLogger("pilah")


def load(
    folder: pathlib.Path,
    records: pathlib.Path,
    photo_ids: Sequence[str],
    backbone: str,
    weights: backbones.Weights,
    views: int,
    seed: int,
    image_size_px: int,
    engine: str,
) -> list[np.ndarray]:
    """Augmented views 1 to `views` of all photos as the trunk leaves them, read from disk as they are asked for.

    Each is float16 [photos, ...], in the order of the records. Those that `folder` lacks are computed first, unless
    anything that they depend on has changed: then it is emptied, and all are. ResNet50 takes 400 KB a photo and view.

    Args:
        photo_ids: ids in the order of the records.
        engine: "openvino" or "tensorflow". Either computes in float32, and they differ by far less than float16 rounds.
    """
    artifacts.claim(
        folder,
        {
            "weights": weights.fingerprint,
            "image_size_px": image_size_px,
            "photos": artifacts.digest(list(photo_ids)),
            "seed": seed,
            "augmentation": augment.RECIPE,
        },
    )
    paths = {view: features.view_path(folder, view) for view in range(1, views + 1)}
    missing = [view for view, path in paths.items() if not path.exists()]
    if missing:
        log.info("%s: running what stays frozen, once for each of %d views", backbone, len(missing))
        model = backbones.build(backbone, weights, image_size_px, "float32")
        forward = engines.load(engine, backbones.split(model, backbone)[0], "float32")
        for view in missing:
            for _ in features.write_view(paths[view], records, photo_ids, forward, view, seed, np.float16):
                pass
        keras.utils.clear_session()
    return [np.load(path, mmap_mode="r") for path in paths.values()]
