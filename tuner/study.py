"""What all scenarios of a search share, and what their predictions depend on."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components import artifacts, augment, backbones, features, finetune, photos, pixels
from tuner import scenarios


@dataclasses.dataclass(frozen=True)
class Finetuning:
    """What strategy `finetune` needs beside photos and folds.

    Attributes:
        records: the folder of the TFRecords.
        weights: backbone -> what it starts from.
    """

    records: pathlib.Path
    weights: Mapping[str, backbones.Weights]
    image_size_px: int
    options: finetune.Options

    def settings(self, backbone: str) -> dict[str, Any]:
        """What predictions depend on here and not in strategy `features`."""
        return {
            "strategy": "finetune",
            "weights": self.weights[backbone].fingerprint,
            "precision": "float32",
            "image_size_px": self.image_size_px,
            "augmentation": augment.RECIPE,
            **dataclasses.asdict(self.options),
        }


@dataclasses.dataclass(frozen=True)
class Study:
    """The photos with their folds, the features, and how models are trained.

    Attributes:
        photo_list: the photos, in the order of the features.
        classes: class names in class order.
        features_dir: the folder that holds a folder of features a backbone.
        views: number of augmented views to train on.
        seed: of first weights, dropout and the order of photos; a fold starts alike in every scenario.
        finetuning: given, the backbones train too, and neither features nor `views` are used.
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
    finetuning: Finetuning | None = None

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
            "seed": self.seed,
            "photos": photos.fingerprint(self.photo_list),
            **(self.finetuning.settings(scenario.backbone) if self.finetuning else self._features(scenario.backbone)),
        }

    def _features(self, backbone: str) -> dict[str, Any]:
        features_made = artifacts.read_json(self.features_dir / backbone / "settings.json")
        return {"views": self.views, "features": features_made}

    def recipe(self, scenario: scenarios.Scenario) -> finetune.Recipe:
        """How `scenario` is fine-tuned."""
        assert self.finetuning
        return finetune.Recipe(
            scenario.backbone,
            self.finetuning.weights[scenario.backbone],
            self.finetuning.image_size_px,
            len(self.classes),
            scenario.optimizer,
            scenario.dropout,
            self.learning_rate,
            self.weight_decay,
            self.epochs,
            self.batch_size,
            self.seed,
            self.finetuning.options,
        )

    def examples(self) -> pixels.Examples:
        """All photos as fine-tuning takes them."""
        assert self.finetuning
        ids = [photo.id for photo in self.photo_list]
        return pixels.Examples(ids, pixels.load(self.finetuning.records, ids), self.labels)

    def channels(self, backbone: str) -> int:
        """The width of a backbone's features."""
        return int(np.load(features.view_path(self.features_dir / backbone, 0), mmap_mode="r").shape[1])
