"""What all scenarios of a search share, and what their predictions depend on."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from components import artifacts, features, photos
from tuner import scenarios


@dataclasses.dataclass(frozen=True)
class Study:
    """The photos with their folds, the features, and how heads are trained.

    Attributes:
        photo_list: the photos, in the order of the features.
        classes: class names in class order.
        features_dir: the folder that holds a folder of features a backbone.
        views: number of augmented views to train on.
        seed: of first weights, dropout and the order of photos; a fold starts alike in every scenario.
    """

    photo_list: Sequence[photos.Photo]
    classes: Sequence[str]
    folds: int
    features_dir: pathlib.Path
    views: int
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """int64 [photos], in [0, classes)."""
        number = {name: index for index, name in enumerate(self.classes)}
        return np.array([number[photo.label] for photo in self.photo_list], np.int64)

    @functools.cached_property
    def fold_of(self) -> np.ndarray:
        """int64 [photos], in [0, folds)."""
        return np.array([photo.fold for photo in self.photo_list], np.int64)

    def settings(self, scenario: scenarios.Scenario) -> dict[str, Any]:
        """Everything that the predictions of `scenario` depend on."""
        return {
            "backbone": scenario.backbone,
            "optimizer": scenario.optimizer,
            "dropout": scenario.dropout,
            "weight_decay": self.weight_decay if scenario.optimizer == "AdamW" else 0.0,
            "learning_rate": self.learning_rate,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "views": self.views,
            "seed": self.seed,
            "photos": photos.fingerprint(self.photo_list),
            "features": artifacts.read_json(self.features_dir / scenario.backbone / "settings.json"),
        }

    def channels(self, backbone: str) -> int:
        """The width of a backbone's features."""
        return int(np.load(features.view_path(self.features_dir / backbone, 0), mmap_mode="r").shape[1])
