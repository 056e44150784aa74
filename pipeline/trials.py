"""The trials and features in a run folder that were made with the current photos and settings of the run.

A run that is started again with other settings replaces its trials only hours later. Until then the folder holds trials
of the previous settings.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Any

from components.base import artifacts, settings
from components.base.errors import PilahError
from components.data import feature_settings, photos
from pipeline import run_folder
from pipeline.config import Config
from pipeline.resolved_settings import Resolved
from tuner import scenarios as scenarios_module
from tuner import search_space, trial_settings
from tuner.scenarios import Scenario


def is_of_other_version(run_dir: pathlib.Path) -> bool:
    """Return whether another version of Pilah trained all trials of the run, with another head or other seeds."""
    current = {"head": trial_settings.HEAD, "seeds": trial_settings.SEEDS}
    stored = [artifacts.read_json(path) for path in run_dir.glob(f"{run_folder.TRIALS}/*/{artifacts.SETTINGS}")]
    return bool(stored) and not any(current.items() <= settings.items() for settings in stored)


def check_version(run_dir: pathlib.Path) -> None:
    """Raise PilahError if another version of Pilah trained all trials: they would count as not finished."""
    if is_of_other_version(run_dir):
        raise PilahError(
            f"Another version of Pilah trained the models of {run_dir}, and this one cannot compare them. Use that "
            "version, or train them again with run --overwrite."
        )


def features_match(
    config: Config, usable: Sequence[photos.Photo], resolved: Resolved | None, backbone: settings.Backbone
) -> bool:
    """Return whether the features of `backbone` were computed with the current settings, or do not exist yet."""
    path = config.run_dir / run_folder.features(backbone) / artifacts.SETTINGS
    if not path.exists():
        return not any(path.parent.glob("*.npy"))
    expected = _features(config, usable, backbone, resolved or _unresolved(config))
    return _equal(config, resolved, artifacts.read_json(path, dict[str, Any]), expected)


def searched_scenarios(config: Config, *, with_diverged: bool = False) -> list[Scenario]:
    """Return the scenarios of the search, in order of number; those of an oracle as far as it has chosen them."""
    if space := config.search_space:
        trials_dir = config.run_dir / run_folder.TRIALS
        return search_space.scenarios_of(trials_dir, space, with_diverged=with_diverged)
    assert isinstance(config.dropouts, tuple)
    return scenarios_module.list_scenarios(
        config.backbones, config.optimizers, config.dropouts, config.strategy, config.hidden_units
    )


def read_settings(
    config: Config, usable: Sequence[photos.Photo], resolved: Resolved | None
) -> dict[int, dict[str, Any]]:
    """Return scenario -> settings of its trial, of all trials with the current settings, finished or not.

    Args:
        usable: photos that have a record, in the order of the records.
        resolved: None for a run folder of a version that wrote no resolved.json.
    """
    matching, searched = {}, searched_scenarios(config, with_diverged=True)
    fingerprint = functools.cache(lambda: photos.fingerprint(usable))  # once, if there are trials: it can take seconds
    for number in (*config.searched_numbers, *config.refined_numbers):
        path = config.run_dir / run_folder.trial_settings(number)
        settings = artifacts.read_json(path, dict[str, Any]) if path.exists() else {}
        if settings and (scenario := _scenario(config, searched, number, settings)):
            expected = expected_settings(config, usable, scenario, resolved or _unresolved(config), fingerprint())
            if _equal(config, resolved, settings, expected):
                matching[number] = settings
    return matching


def expected_settings(
    config: Config, usable: Sequence[photos.Photo], scenario: Scenario, resolved: Resolved, fingerprint: str
) -> dict[str, Any]:
    """Return the settings that the trial of `scenario` has in this run, equal to those of Study.settings.

    Args:
        fingerprint: photos.fingerprint of `usable`.
    """
    if scenario.strategy == "finetune":
        of_strategy = trial_settings.of_finetuning(
            augmentation=feature_settings.of_augmentation(config.seed, config.flips, config.augmentation),
            learning_rate=config.rate_of_finetuning,
            weights=resolved.weights.get(scenario.backbone, ""),
            precision=resolved.precision,
            image_size_px=config.image_size_px,
            options=config.finetuning,
            frozen_activations_on_disk=resolved.frozen_activations_on_disk,
            engine=resolved.engines.get(scenario.backbone, config.engine),
            covariance_weights={
                head.backbone: resolved.weights.get(head.backbone, "") for head in config.finetuning.covariance_heads
            },
        )
    else:
        features = _features(config, usable, scenario.backbone, resolved)
        rate = scenario.learning_rate or config.learning_rate
        assert isinstance(rate, float)
        of_strategy = trial_settings.of_frozen_backbone(rate, config.views, features)
    return trial_settings.of_trial(scenario, config, fingerprint, of_strategy)


def _features(
    config: Config, usable: Sequence[photos.Photo], backbone: settings.Backbone, resolved: Resolved
) -> dict[str, Any]:
    return feature_settings.of_features(
        backbone=backbone,
        weights=resolved.weights.get(backbone, ""),
        engine=resolved.engines.get(backbone, config.engine),
        precision=resolved.precision,
        image_size_px=config.image_size_px,
        photo_ids=[photo.id for photo in usable],
        augmentation=feature_settings.of_augmentation(config.seed, config.flips, config.augmentation),
    )


def _scenario(config: Config, searched: Sequence[Scenario], number: int, settings: dict[str, Any]) -> Scenario | None:
    """Return scenario `number` of the run; None if the search has chosen no such scenario.

    The ranking of the search decides which scenarios are refined, so a refined trial is identified by its settings.
    """
    if number <= config.scenario_count:
        return next((scenario for scenario in searched if scenario.number == number), None)
    for scenario in scenarios_module.refined(searched, 0):
        if scenarios_module.hyperparameter_values(scenario).items() <= settings.items():
            return dataclasses.replace(scenario, number=number)
    return None


def _equal(config: Config, resolved: Resolved | None, settings: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Return whether the settings are equal, of those that the configuration alone determines if `resolved` is None."""
    if resolved:
        return settings == expected
    return _without_resolved(config, settings) == _without_resolved(config, expected)


def _unresolved(config: Config) -> Resolved:
    return Resolved(weights={}, engines={}, precision=config.precision, frozen_activations_on_disk=False)


def _without_resolved(config: Config, settings: dict[str, Any]) -> dict[str, Any]:
    """Return `settings`, and the settings of the features in them, without those that depend on the machine."""
    left_out = {
        "weights",
        "covariance_weights",
        "trunk",
        *(name for name in ("engine", "precision") if getattr(config, name) == "auto"),
    }
    return {
        name: _without_resolved(config, value) if name == "features" else value
        for name, value in settings.items()
        if name not in left_out
    }
