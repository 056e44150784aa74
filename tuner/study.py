"""What all scenarios of a search share, and what their predictions depend on."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.base import artifacts, settings
from components.data import augment, photos, pixels
from components.models import backbones, features, finetune, frozen_activations
from tuner import scenarios, trial_settings


@dataclasses.dataclass(frozen=True)
class Finetuning:
    """What strategy `finetune` needs beside photos and folds.

    Attributes:
        records: the folder of the TFRecords.
        weights: backbone -> what it starts from.
        trunk_dir: the folder that holds a folder a backbone of what its trunk gives, where the last stages train alone
            and are to read that from disk; None trains on pixels.
        engine: what runs the trunk, see inference.load.
        precision: in which backbones train, see finetune.Recipe.
    """

    records: pathlib.Path
    weights: Mapping[str, backbones.Weights]
    image_size_px: int
    learning_rate: float
    options: settings.Finetuning
    trunk_dir: pathlib.Path | None = None
    engine: str = "tensorflow"
    precision: str = "float32"


@dataclasses.dataclass(frozen=True)
class Study:
    """The photos with their folds, the features, and how models are trained.

    Attributes:
        photo_list: the photos, in the order of the features.
        classes: class names in class order.
        features_dir: the folder that holds a folder of features a backbone.
        views: number of augmented views to train heads on; fine-tuning has a new one each epoch.
        learning_rate: of heads; fine-tuning has its own.
        test_views: number of views over which the scores of a photo are averaged, see tta.look.
        seed: of first weights, dropout, views and the order of photos; a fold starts alike in every scenario.
        flips: of the augmented views, see augment.Augmentation.
        finetuning: what scenarios of strategy `finetune` need; those of strategy `features` do without.
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
    test_views: int = 1
    flips: str = "horizontal"
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

    @property
    def augmentation(self) -> augment.Augmentation:
        return augment.Augmentation(self.seed, self.flips)

    def settings(self, scenario: scenarios.Scenario) -> dict[str, Any]:
        """Return everything that the predictions of `scenario` depend on."""
        finetunes = scenario.strategy == "finetune"
        return trial_settings.of_trial(
            scenario,
            self.weight_decay,
            self.epochs,
            self.batch_size,
            self.seed,
            photos.fingerprint(self.photo_list),
            self.test_views,
            self._settings_of_finetuning(scenario.backbone) if finetunes else self._settings_of_head(scenario.backbone),
        )

    def _settings_of_finetuning(self, backbone: str) -> dict[str, Any]:
        assert self.finetuning
        return trial_settings.of_finetuning(
            self.augmentation.settings,
            self.finetuning.learning_rate,
            self.finetuning.weights[backbone].fingerprint,
            self.finetuning.precision,
            self.finetuning.image_size_px,
            dataclasses.asdict(self.finetuning.options),
            self.finetuning.trunk_dir is not None,
            self.finetuning.engine,
        )

    def _settings_of_head(self, backbone: str) -> dict[str, Any]:
        features_made = artifacts.read_json(self.features_dir / backbone / artifacts.SETTINGS)
        return trial_settings.of_frozen_backbone(self.learning_rate, self.views, features_made)

    @property
    def epochs_of_finetuning(self) -> int:
        """Of a fold, all members of its ensemble taken together."""
        assert self.finetuning
        return self.epochs * self.finetuning.options.ensemble

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
            self.finetuning.learning_rate,
            self.weight_decay,
            self.epochs,
            self.batch_size,
            self.seed,
            self.finetuning.precision,
            self.finetuning.options,
            self.flips,
        )

    def all_pixels(self) -> np.ndarray:
        """uint8 [photos, size, size, 3], read from disk as they are asked for."""
        assert self.finetuning
        return pixels.load(self.finetuning.records, self._ids)

    def examples(self, backbone: str) -> pixels.Examples:
        """All photos as fine-tuning takes them; the first call makes what it reads from disk."""
        assert self.finetuning
        activations = None
        if self.finetuning.trunk_dir:
            activations = frozen_activations.load(
                self.finetuning.trunk_dir / backbone,
                self.finetuning.records,
                self._ids,
                backbone,
                self.finetuning.options.unfreeze,
                self.finetuning.weights[backbone],
                self.epochs,
                self.augmentation,
                self.finetuning.image_size_px,
                self.finetuning.engine,
                self.finetuning.precision,
            )
        return pixels.Examples(self._ids, self.all_pixels(), self.labels, activations)

    @functools.cached_property
    def _ids(self) -> list[str]:
        return [photo.id for photo in self.photo_list]

    def channels(self, backbone: str) -> int:
        """The width of a backbone's features."""
        return int(np.load(features.view_path(self.features_dir / backbone, 0), mmap_mode="r").shape[1])
