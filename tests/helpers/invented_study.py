"""A study of invented features, and what its searches write."""

import pathlib
from typing import Any

import numpy as np

from components.base import artifacts
from components.data import photos
from components.models import features
from tuner import study as study_module

CLASSES = ["glass", "metal", "paper"]
FOLDS = 3
CHANNELS = {"ResNet50": 8, "VGG19": 5}


def make_study(
    features_dir: pathlib.Path, count: int = 27, channels: dict[str, int] = CHANNELS, **changed: Any
) -> study_module.Study:
    """Return a study of `count` photos with alternating classes and informative features."""
    photo_list = [
        photos.Photo(f"{number:016x}", f"/photos/{number}.jpg", CLASSES[number % 3], number // 3 % FOLDS)
        for number in range(count)
    ]
    rng = np.random.default_rng(1)
    for backbone, width in channels.items():
        centres = rng.normal(size=(3, width))
        artifacts.write_json(features_dir / backbone / "settings.json", {"backbone": backbone, "seed": 1})
        for view in range(3):
            activations = centres[np.arange(count) % 3] + rng.normal(size=(count, width))
            np.save(features.view_path(features_dir / backbone, view), activations.astype(np.float32))
    settings: dict[str, Any] = {
        "views": 2,
        "epochs": 2,
        "batch_size": 6,
        "learning_rate": 1e-2,
        "weight_decay": 0.01,
        "seed": 5,
    }
    return study_module.Study(photo_list, CLASSES, FOLDS, features_dir, **{**settings, **changed})


def predictions_in(trials_dir: pathlib.Path) -> dict[str, bytes]:
    """Return path -> bytes of the predictions of every fold and scenario."""
    return {str(path.relative_to(trials_dir)): path.read_bytes() for path in sorted(trials_dir.glob("[0-9]*/*.csv"))}


def times_of_folds(trials_dir: pathlib.Path) -> dict[str, int]:
    """Return path -> modification time of the predictions of every fold."""
    return {
        str(path.relative_to(trials_dir)): path.stat().st_mtime_ns for path in sorted(trials_dir.glob("*/fold-*.csv"))
    }
