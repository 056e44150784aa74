"""The trials of a run folder that were made with the photos and settings that the run has now.

A run that is started again with other settings comes to its trials hours after it has written them down. Until then the
folder holds the trials of the settings before.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

from components.base import artifacts
from components.data import feature_settings, photos
from pipeline import run_folder
from pipeline.config import Config
from pipeline.resolved_settings import Resolved
from tuner import scenarios as scenarios_module
from tuner import trial_settings
from tuner.scenarios import Scenario


def features_are_of_run(
    config: Config, usable: Sequence[photos.Photo], resolved: Resolved | None, backbone: str
) -> bool:
    """Return whether the features of `backbone` were made with the photos and settings of the run, or are not begun."""
    path = config.run_dir / run_folder.features(backbone) / artifacts.SETTINGS
    if not path.exists():
        return True
    return _equal(config, resolved, artifacts.read_json(path), lambda known: _features(config, known, usable, backbone))


def read_settings(
    config: Config, usable: Sequence[photos.Photo], resolved: Resolved | None
) -> dict[int, dict[str, Any]]:
    """Return scenario -> settings of its trial, of the trials that are of this run, finished or not.

    Args:
        usable: the photos that have a record, in the order of the records.
        resolved: None for a run folder of a version that wrote none: its configuration alone is compared.
    """
    numbers = range(1, config.scenario_count + config.refine + 1)
    paths = {number: config.run_dir / run_folder.trial_settings(number) for number in numbers}
    made_with = {number: artifacts.read_json(path) for number, path in paths.items() if path.exists()}
    return {
        number: settings
        for number, settings in made_with.items()
        if (scenario := _scenario(config, number, settings))
        and _equal(config, resolved, settings, functools.partial(expected_settings, config, usable, scenario))
    }


def expected_settings(
    config: Config, usable: Sequence[photos.Photo], scenario: Scenario, resolved: Resolved
) -> dict[str, Any]:
    """Return the settings that the trial of `scenario` has in this run, equal to those of Study.settings."""
    return trial_settings.of_trial(
        scenario,
        config.weight_decay,
        config.epochs,
        config.batch_size,
        config.seed,
        photos.fingerprint(usable),
        config.test_views,
        _of_finetuning(config, resolved, scenario.backbone)
        if scenario.strategy == "finetune"
        else _of_frozen_backbone(config, resolved, usable, scenario.backbone),
    )


def _of_finetuning(config: Config, resolved: Resolved, backbone: str) -> dict[str, Any]:
    return trial_settings.of_finetuning(
        feature_settings.of_augmentation(config.seed, config.flips),
        config.rate_of_finetuning,
        resolved.weights.get(backbone, ""),
        resolved.precision,
        config.image_size_px,
        dataclasses.asdict(config.finetuning),
        resolved.frozen_activations_on_disk,
        resolved.engine,
    )


def _of_frozen_backbone(
    config: Config, resolved: Resolved, usable: Sequence[photos.Photo], backbone: str
) -> dict[str, Any]:
    features = _features(config, resolved, usable, backbone)
    return trial_settings.of_frozen_backbone(config.learning_rate, config.views, features)


def _features(config: Config, resolved: Resolved, usable: Sequence[photos.Photo], backbone: str) -> dict[str, Any]:
    return feature_settings.of_features(
        backbone,
        resolved.weights.get(backbone, ""),
        resolved.engine,
        resolved.precision,
        config.image_size_px,
        [photo.id for photo in usable],
        feature_settings.of_augmentation(config.seed, config.flips),
    )


def _scenario(config: Config, number: int, made_with: dict[str, Any]) -> Scenario | None:
    """Return scenario `number` of the run; None for a refined one whose hyperparameters no searched scenario has.

    The ranking of the search chooses which scenarios are refined, so a refined trial itself tells which one it is.
    """
    searched = scenarios_module.list_scenarios(config.backbones, config.optimizers, config.dropouts, config.strategy)
    if number <= len(searched):
        return searched[number - 1]
    for scenario in searched:
        values = scenarios_module.hyperparameter_values(scenario)
        if values == {name: made_with.get(name) for name in values}:
            return dataclasses.replace(scenario, number=number, strategy="finetune")
    return None


def _equal(
    config: Config,
    resolved: Resolved | None,
    made_with: dict[str, Any],
    expected: Callable[[Resolved], dict[str, Any]],
) -> bool:
    """Return whether `made_with` are the settings that the run has now.

    A run folder of a version that wrote no resolved.json is judged by what its configuration alone tells.
    """
    if resolved:
        return made_with == expected(resolved)
    unresolved = Resolved({}, config.engine, config.precision, False)
    return _without_resolved(config, made_with) == _without_resolved(config, expected(unresolved))


def _without_resolved(config: Config, settings: dict[str, Any]) -> dict[str, Any]:
    """Return `settings`, those of the features in them too, without what `config` alone does not tell."""
    left_out = {"weights", "trunk", *(name for name in ("engine", "precision") if getattr(config, name) == "auto")}
    return {
        name: _without_resolved(config, value) if name == "features" else value
        for name, value in settings.items()
        if name not in left_out
    }
