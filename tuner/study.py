"""The study: photos, features and training settings that all scenarios of a search share."""

import concurrent.futures
import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from components.base import artifacts
from components.base import settings as settings_module
from components.data import augmentation as augmentation_module
from components.data import photos, pixels
from components.models import backbones, extraction, features, frozen_activations, head
from components.models import finetuning as finetuning_module
from tuner import scenarios, trial_settings


@dataclasses.dataclass(frozen=True)
class Finetuning:
    """Settings and inputs that only strategy `finetune` needs.

    Attributes:
        records: folder of the TFRecords.
        weights: backbone -> its initial weights.
        engines: backbone -> inference engine of its frozen layers, see inference.load.
        frozen_activations_dir: folder that holds a folder for each part of a backbone; None trains on pixels.
        precision: dtype in which backbones compute, see finetuning.Recipe.
    """

    records: pathlib.Path
    weights: Mapping[str, backbones.Weights]
    image_size_px: int
    learning_rate: float
    options: settings_module.Finetuning
    engines: Mapping[str, settings_module.InferenceEngine]
    frozen_activations_dir: pathlib.Path | None = None
    precision: settings_module.ComputeDtype = "float32"


@dataclasses.dataclass(frozen=True)
class Study:
    """The photos with their folds, the features, and how models are trained.

    Attributes:
        photo_list: photos in the order of the features.
        classes: class names in class order.
        features_dir: folder that holds a folder of features for each backbone.
        views: number of augmented views to train heads on; fine-tuning has a new one each epoch.
        learning_rate: learning rate of the heads of scenarios that state none; None if all state one. Fine-tuning has
            its own.
        test_views: number of views over which the scores of a photo are averaged, see tta.transform.
        seed: seed of initial weights, dropout, views and order of photos; it is the same in all scenarios.
        flips: flips in the augmented views, see augmentation.Augmentation.
        augmentation_kind: kind of augmentation, see augmentation.Augmentation.
        finetuning: settings of strategy `finetune`; None if no scenario uses it.
    """

    photo_list: Sequence[photos.Photo]
    classes: Sequence[str]
    folds: int
    features_dir: pathlib.Path
    views: int
    epochs: int
    batch_size: int
    learning_rate: float | None
    weight_decay: float
    seed: int
    test_views: int = 1
    flips: settings_module.Flips = "horizontal"
    augmentation_kind: settings_module.AugmentationKind = "affine"
    finetuning: Finetuning | None = None

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """The class of each photo, int64 [photos] in [0, classes)."""
        index_of = {name: index for index, name in enumerate(self.classes)}
        return np.array([index_of[photo.label] for photo in self.photo_list], np.int64)

    @functools.cached_property
    def fold_of(self) -> np.ndarray:
        """The fold of each photo, int64 [photos] in [0, folds)."""
        return np.array([photo.fold for photo in self.photo_list], np.int64)

    @property
    def augmentation(self) -> augmentation_module.Augmentation:
        return augmentation_module.Augmentation(self.seed, self.flips, self.augmentation_kind)

    @property
    def epochs_of_finetuning(self) -> int:
        """The number of epochs in a fold, summed over all members of the model."""
        assert self.finetuning
        return self.finetuning.options.epochs_of_members(self.epochs)

    def settings(self, scenario: scenarios.Scenario) -> dict[str, Any]:
        """Return everything that the predictions of `scenario` depend on."""
        if scenario.strategy == "finetune":
            assert self.finetuning
            strategy_settings = trial_settings.of_finetuning(
                augmentation=self.augmentation.settings,
                learning_rate=self.finetuning.learning_rate,
                weights=self.finetuning.weights[scenario.backbone].fingerprint,
                precision=self.finetuning.precision,
                image_size_px=self.finetuning.image_size_px,
                options=self.finetuning.options,
                frozen_activations_on_disk=self.finetuning.frozen_activations_dir is not None,
                engine=self.finetuning.engines[scenario.backbone],
                covariance_weights={
                    head.backbone: self.finetuning.weights[head.backbone].fingerprint
                    for head in self.finetuning.options.covariance_heads
                },
            )
        else:
            features_settings = artifacts.read_json(self.features_dir / scenario.backbone / artifacts.SETTINGS)
            rate = self.rate_of(scenario)
            strategy_settings = trial_settings.of_frozen_backbone(rate, self.views, features_settings)
        return trial_settings.of_trial(scenario, self, self._photos_and_folds, strategy_settings)

    def rate_of(self, scenario: scenarios.Scenario) -> float:
        """Return the learning rate of the head of a scenario with a frozen backbone."""
        rate = scenario.learning_rate or self.learning_rate
        assert rate
        return rate

    def epochs_of(self, scenario: scenarios.Scenario) -> int:
        """Return the number of epochs in which the head of a scenario with a frozen backbone is trained."""
        return scenario.epochs or self.epochs

    def new_head(self, scenario: scenarios.Scenario) -> keras.Model:
        """Return a new, compiled head for the features of `scenario`."""
        clean = artifacts.read_array(features.view_path(self.features_dir / scenario.backbone, 0), mmap_mode="r")
        return head.build(
            channels=clean.shape[1],
            classes=len(self.classes),
            optimizer=scenario.optimizer,
            dropout=scenario.dropout,
            hidden_units=scenario.units,
            learning_rate=self.rate_of(scenario),
            weight_decay=self.weight_decay,
            seed=self.seed,
        )

    def recipe(self, scenario: scenarios.Scenario) -> finetuning_module.Recipe:
        """Return the recipe to fine-tune `scenario`."""
        assert self.finetuning
        return finetuning_module.Recipe(
            backbone=scenario.backbone,
            weights=self.finetuning.weights[scenario.backbone],
            image_size_px=self.finetuning.image_size_px,
            classes=len(self.classes),
            optimizer=scenario.optimizer,
            dropout=scenario.dropout,
            hidden_units=scenario.units,
            learning_rate=self.finetuning.learning_rate,
            weight_decay=self.weight_decay,
            epochs=self.epochs,
            batch_size=self.batch_size,
            seed=self.seed,
            precision=self.finetuning.precision,
            options=self.finetuning.options,
            flips=self.flips,
            augmentation_kind=self.augmentation_kind,
            covariance_weights={
                head.backbone: self.finetuning.weights[head.backbone]
                for head in self.finetuning.options.covariance_heads
            },
        )

    def all_pixels(self) -> np.ndarray:
        """Return the pixels of all photos, uint8 [photos, size, size, 3], read from disk on access."""
        assert self.finetuning
        return pixels.load(self.finetuning.records, self._ids)

    def examples(
        self, backbone: settings_module.Backbone, executor: concurrent.futures.Executor | None = None
    ) -> pixels.Examples:
        """Return all photos as training examples for fine-tuning; the first call writes frozen activations, if any.

        Args:
            executor: computes frozen activations in other processes, as in extraction.extract.
        """
        assert self.finetuning
        options, activations, tested = self.finetuning.options, None, None
        if self.finetuning.frozen_activations_dir and options.ensemble:
            counts = self.epochs, self.test_views if options.covariance_heads else 0
            activations, tested = self._frozen_activations(backbone, options.unfreeze, *counts, executor)
        return pixels.Examples(self._ids, self.all_pixels(), self.labels, activations, tested)

    def covariance_activations(
        self, executor: concurrent.futures.Executor | None = None
    ) -> dict[settings_module.FrozenLayers, list[np.ndarray]]:
        """Return the activations that each covariance head reads, of each test-time view, in the order of the photos.

        The first call writes them, into `frozen_activations_dir`. `executor` is as in `examples`.
        """
        assert self.finetuning
        return {
            of_head: self._frozen_activations(*of_head, 0, self.test_views, executor)[1]
            for of_head in self.finetuning.options.covariance_heads
        }

    def _frozen_activations(
        self,
        backbone: settings_module.Backbone,
        part: settings_module.Unfreeze,
        views: int,
        test_views: int,
        executor: concurrent.futures.Executor | None,
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return the activations of `backbone` below `part`, see frozen_activations.load."""
        assert self.finetuning and self.finetuning.frozen_activations_dir
        suffix = "" if part == self.finetuning.options.unfreeze else f"-{part}"
        return frozen_activations.load(
            self.finetuning.frozen_activations_dir / f"{backbone}{suffix}",
            extraction.Source(self.finetuning.records, self._ids, self.augmentation),
            extraction.Network(
                backbone,
                self.finetuning.weights[backbone],
                self.finetuning.image_size_px,
                self.finetuning.engines[backbone],
                self.finetuning.precision,
                below=part,
            ),
            views=views,
            test_views=test_views,
            executor=executor,
        )

    @functools.cached_property
    def _photos_and_folds(self) -> str:
        """The fingerprint of the photos and their folds, computed once, because each trial's settings have it."""
        return photos.fingerprint(self.photo_list)

    @functools.cached_property
    def _ids(self) -> list[str]:
        return [photo.id for photo in self.photo_list]
