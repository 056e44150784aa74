"""Configuration -> the study: weights, scenarios, and what the stages share of them."""

import functools
import logging
from collections.abc import Sequence
from typing import Any

from components.data import images, photos
from components.models import backbones, features, head, inference
from pipeline import resolved_settings, run_folder
from pipeline.config import Config
from tuner import choose
from tuner import scenarios as scenarios_module
from tuner import study as study_module
from tuner.scenarios import Scenario

log = logging.getLogger("pilah")


def weights(config: Config, backbone: str) -> backbones.Weights:
    """Return where the backbone's weights come from; they are looked up (or downloaded) once a run."""
    return _find_weights(backbone, config.weights_dir, config.allow_random_weights, config.seed)


def look_up_weights(config: Config) -> None:
    """Find the weights of every backbone, and log which are random.

    Raises:
        PilahError: some are missing, and may not be random.
    """
    for name in config.backbones:
        if not weights(config, name).source:
            log.warning("%s has RANDOM weights, as ImageNet's are not at hand: its scores say nothing about it", name)


_find_weights = functools.cache(backbones.find_weights)


def resolve(config: Config) -> resolved_settings.Resolved:
    """Return what the configuration leaves to this machine and to the weights at hand."""
    return resolved_settings.Resolved(
        weights={name: weights(config, name).fingerprint for name in config.backbones},
        engine=inference.pick(config.engine),
        precision=features.pick_precision(config.precision),
        frozen_activations_on_disk=_frozen_activations_on_disk(config),
    )


def study(config: Config) -> study_module.Study:
    usable = run_folder.usable_photos(config.run_dir)
    return study_module.Study(
        photo_list=usable,
        classes=photos.class_names(usable),
        folds=config.folds,
        features_dir=config.run_dir / run_folder.FEATURES,
        views=config.views,
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        seed=config.seed,
        test_views=config.test_views,
        flips=config.flips,
        finetuning=_finetuning(config) if config.finetunes else None,
    )


def _finetuning(config: Config) -> study_module.Finetuning:
    on_disk = _frozen_activations_on_disk(config)
    return study_module.Finetuning(
        records=config.run_dir / run_folder.DATASET,
        weights={name: weights(config, name) for name in config.backbones},
        image_size_px=config.image_size_px,
        learning_rate=config.rate_of_finetuning,
        options=config.finetuning,
        trunk_dir=config.run_dir / run_folder.FROZEN_ACTIVATIONS if on_disk else None,
        engine=inference.pick(config.engine),
        precision=features.pick_precision(config.precision),
    )


def _frozen_activations_on_disk(config: Config) -> bool:
    """Return whether fine-tuning reads frozen activations from disk: a GPU computes them faster than a disk."""
    return config.unfreeze != "all" and not inference.on_gpu()


def scenarios(config: Config) -> list[Scenario]:
    """Return the scenarios of the search, in order of number."""
    return scenarios_module.list_scenarios(config.backbones, config.optimizers, config.dropouts, config.strategy)


def refined(config: Config) -> list[Scenario]:
    """Return the best `config.refine` scenarios of a finished search, to be fine-tuned."""
    if not config.refine:
        return []
    searched, its_study = scenarios(config), study(config)
    rows = [choose.row(config.run_dir / run_folder.TRIALS, scenario, its_study) for scenario in searched]
    best = choose.rank(rows, {name: parameters(config, name) for name in config.backbones})[: config.refine]
    return scenarios_module.refined([searched[row["scenario"] - 1] for row in best], len(searched))


def winner(config: Config) -> Scenario:
    """Return the scenario that leaderboard.json names."""
    row = run_folder.read_leaderboard(config.run_dir)["winner"]
    return Scenario(row["scenario"], row["backbone"], row["optimizer"], row["dropout"], row["strategy"])


def frozen_winner(config: Config) -> Scenario:
    """Return the winner, or, where it was refined, the scenario that it was refined from."""
    values = scenarios_module.hyperparameter_values(winner(config))
    return next(row for row in scenarios(config) if scenarios_module.hyperparameter_values(row) == values)


def parameters(config: Config, backbone: str) -> int:
    """Return how many parameters the backbone and its head have together."""
    network, classes = backbones.BACKBONES[backbone], photos.class_names(run_folder.usable_photos(config.run_dir))
    return network.parameters + head.parameters(network.channels, len(classes))


def trial_settings(config: Config, scenario_list: Sequence[Scenario]) -> list[dict[str, Any]]:
    """Return everything that the predictions of each scenario depend on."""
    if not scenario_list:
        return []
    its_study = study(config)
    return [its_study.settings(scenario) for scenario in scenario_list]


def sample_photos(config: Config, count: int) -> list[photos.Photo]:
    """Return up to `count` photos at even distances in the list of usable ones; the same ones each time."""
    usable = run_folder.usable_photos(config.run_dir)
    count = min(count, len(usable))
    return [usable[index * len(usable) // count] for index in range(count)]


def plain_bytes(config: Config, photo_list: Sequence[photos.Photo]) -> list[bytes]:
    """Return the photos as bytes that the served model decodes.

    Raises:
        PilahError: a photo has changed since it was listed.
    """
    return [images.plain_bytes(photos.read_bytes(photo.path, photo.id), config.max_pixels)[0] for photo in photo_list]
