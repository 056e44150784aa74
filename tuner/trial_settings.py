"""Settings of a trial, as stored in trials/NN/settings.json. Needs no TensorFlow.

They include everything that the predictions of the trial depend on. The search trains a trial again if they have
changed, and the report leaves out trials that were trained with other settings.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

from components.base import settings
from tuner import scenarios

# Trials without this setting were trained without BatchNormalization.
HEAD = "Dense(256, relu), BatchNormalization, Dropout, Dense(softmax)"  # 256, or the setting hidden_units
# Trials without this setting were trained with sums such as seed + fold as seeds.
SEEDS = "SeedSequence"
COVARIANCE_HEAD = "ridge regressions with penalty 0.03 on 128 whitened components, softmax of 4 times their outputs"


class Training(Protocol):
    """Settings that the pipeline's Config and the Study have in common."""

    @property
    def weight_decay(self) -> float: ...
    @property
    def epochs(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def test_views(self) -> int: ...


def of_trial(
    scenario: scenarios.Scenario, training: Training, photos_and_folds: str, strategy_settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the settings of the trial of `scenario`.

    Args:
        photos_and_folds: photos.fingerprint of the photos that have a record.
        strategy_settings: settings from `of_frozen_backbone` or `of_finetuning`.
    """
    return {
        "backbone": scenario.backbone,
        "optimizer": scenario.optimizer,
        "dropout": scenario.dropout,
        "weight_decay": training.weight_decay if scenario.optimizer == "AdamW" else 0.0,
        "epochs": scenario.epochs or training.epochs,
        "batch_size": training.batch_size,
        "seed": training.seed,
        "photos": photos_and_folds,
        "head": HEAD,
        "seeds": SEEDS,
        # trials without this setting have one view
        **({"test_views": training.test_views} if training.test_views > 1 else {}),
        # trials without this setting have settings.HIDDEN_UNITS
        **({"hidden_units": scenario.hidden_units} if scenario.hidden_units else {}),
        **strategy_settings,
    }


def of_frozen_backbone(learning_rate: float, views: int, features: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that strategy `features` adds.

    Args:
        features: settings of the features, see feature_settings.of_features.
    """
    return {"learning_rate": learning_rate, "views": views, "features": dict(features)}


def of_finetuning(
    *,
    augmentation: Mapping[str, Any],
    learning_rate: float,
    weights: str,
    precision: str,
    image_size_px: int,
    options: settings.Finetuning,
    frozen_activations_on_disk: bool,
    engine: str,
    covariance_weights: Mapping[str, str],
) -> dict[str, Any]:
    """Return the settings that strategy `finetune` adds.

    Args:
        augmentation: settings from feature_settings.of_augmentation.
        weights: fingerprint of the backbone's initial weights, see backbones.Weights.
        precision: dtype in which the backbone computes, "float32" or "bfloat16".
        frozen_activations_on_disk: whether frozen layers run only once, with their activations saved on disk.
        engine: inference engine of the frozen layers, see inference.load.
        covariance_weights: backbone of each covariance head -> fingerprint of its weights.
    """
    # In float32, OpenVINO and TensorFlow differ by less than the precision of float16, but MNN's Winograd convolutions
    # by about as much. Trials without this setting used OpenVINO.
    differs = engine == "mnn" or (precision != "float32" and engine != "openvino")
    return {
        **augmentation,
        "strategy": "finetune",
        "learning_rate": learning_rate,
        "weights": weights,
        "precision": precision,
        "image_size_px": image_size_px,
        **_stated(options),
        "trunk": "float16" if frozen_activations_on_disk else None,
        **({"engine": engine} if frozen_activations_on_disk and differs else {}),
        **({"covariance_weights": dict(covariance_weights)} if covariance_weights else {}),
        **({"covariance_head": COVARIANCE_HEAD} if covariance_weights else {}),
    }


def _stated(options: settings.Finetuning) -> dict[str, Any]:
    """Return all options but covariance heads, if there are none: trials of earlier versions do not state them."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(options).items()
        if value or name not in ("covariance_top", "covariance_top2")
    }
