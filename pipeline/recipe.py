"""The study that a configuration describes: its weights and scenarios, and values that several stages need."""

import dataclasses
import functools
import logging
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.base import artifacts, documents, settings
from components.base.errors import PilahError
from components.data import images, photos
from components.models import (
    backbones,
    extraction,
    features,
    head,
    inference,
    prediction_sets,
    typicality,
    weights_search,
)
from components.publish import export
from pipeline import resolved_settings, run_folder, trials
from pipeline.config import Config
from tuner import choose
from tuner import scenarios as scenarios_module
from tuner import study as study_module
from tuner.scenarios import Scenario

log = logging.getLogger("pilah")


def weights(config: Config, backbone: settings.Backbone) -> backbones.Weights:
    """Return where the backbone's weights come from; they are looked up (or downloaded) once in a run.

    With a cluster, it is a copy in the run folder, which all machines see.
    """
    if config.random_weights:
        return backbones.Weights(None, config.seed)
    original = _find_weights(backbone, config.weights_dir, config.seed)
    return _shared(backbone, original, config.run_dir / run_folder.WEIGHTS) if config.cluster else original


def with_weights(config: Config, is_new: bool) -> Config:
    """Find and check the weights of every backbone, and return the configuration without backbones that have none.

    Only a new run of the profile demo leaves out backbones, because they determine the numbers of the scenarios.

    Raises:
        PilahError: another run lacks the weights of a backbone, no backbone has weights, or a weights file is damaged
            or belongs to another network.
    """
    missing: list[weights_search.NotFoundError] = []
    of_heads = {head.backbone for head in config.finetuning.covariance_heads}
    for name in config.networks:
        try:
            backbones.check_weights(name, weights(config, name))
        except weights_search.NotFoundError as error:
            if config.profile != "demo" or not is_new or name in of_heads:
                raise
            missing.append(error)
    if len(missing) == len(config.networks):
        reasons = "; ".join(dict.fromkeys(failure.reason for failure in missing))
        raise PilahError(
            f"No backbone has ImageNet weights ({reasons}). Put their files, as Keras Applications publishes them, "
            "into a folder and pass it as --weights-dir, or try a run with --random-weights."
        )
    for failure in missing:
        log.info("%s", failure)
        log.warning(
            "%s is left out, because its ImageNet weights were not found. Include it in a new run with --weights-dir.",
            failure.backbone,
        )
    if config.random_weights:
        log.warning("The backbones have RANDOM weights (--random-weights): their scores mean nothing.")
    left_out = [failure.backbone for failure in missing]
    return dataclasses.replace(config, backbones=tuple(name for name in config.backbones if name not in left_out))


_find_weights = functools.cache(weights_search.find)


@functools.cache
def _shared(backbone: settings.Backbone, original: backbones.Weights, folder: pathlib.Path) -> backbones.Weights:
    """Return the weights `original` as a file in `folder`, and copy them there unless it has them."""
    file = original.file or weights_search.cache_path(backbone)
    copy = folder / backbones.BACKBONES[backbone].weights_file
    if not copy.exists() or artifacts.file_digest(copy) != artifacts.file_digest(file):
        with artifacts.atomic_write(copy) as part:
            shutil.copyfile(file, part)
    return backbones.Weights(str(copy), original.seed, is_keras_copy=original.fingerprint == "imagenet")


def engine(config: Config, backbone: settings.Backbone) -> settings.InferenceEngine:
    """Return the inference engine that runs `backbone` frozen.

    Raises:
        PilahError: the engine of the configuration does not work on this machine.
    """
    return inference.pick(config.engine, backbone, features.pick_precision(config.precision))


def network(config: Config, backbone: settings.Backbone) -> extraction.Network:
    """Return `backbone`, frozen, with its weights and the engine that runs it."""
    return extraction.Network(
        backbone,
        weights(config, backbone),
        config.image_size_px,
        engine(config, backbone),
        features.pick_precision(config.precision),
    )


def resolve(config: Config) -> resolved_settings.Resolved:
    """Return the settings that depend on this machine and on the weights files."""
    return resolved_settings.Resolved(
        weights={name: weights(config, name).fingerprint for name in config.networks},
        engines={name: engine(config, name) for name in config.networks},
        precision=features.pick_precision(config.precision),
        frozen_activations_on_disk=frozen_activations_on_disk(config),
    )


def frozen_activations_on_disk(config: Config) -> bool:
    """Return whether fine-tuning reads frozen activations from disk.

    A GPU computes them faster than a disk reads, but covariance heads are fitted to nothing else.
    """
    return config.unfreeze != "all" and (bool(config.finetuning.covariance_heads) or not inference.on_gpu())


def study(config: Config) -> study_module.Study:
    """Return the study on the photos that have a record."""
    usable = run_folder.usable_photos(config.run_dir)
    return study_module.Study(
        photo_list=usable,
        classes=photos.class_names(usable),
        folds=config.folds,
        features_dir=config.run_dir / run_folder.FEATURES,
        views=config.views,
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate if isinstance(config.learning_rate, float) else None,
        weight_decay=config.weight_decay,
        seed=config.seed,
        test_views=config.test_views,
        flips=config.flips,
        augmentation_kind=config.augmentation,
        finetuning=_finetuning(config) if config.finetunes else None,
    )


def _finetuning(config: Config) -> study_module.Finetuning:
    return study_module.Finetuning(
        records=config.run_dir / run_folder.DATASET,
        weights={name: weights(config, name) for name in config.networks},
        image_size_px=config.image_size_px,
        learning_rate=config.rate_of_finetuning,
        options=config.finetuning,
        frozen_activations_dir=config.run_dir / run_folder.FROZEN_ACTIVATIONS
        if frozen_activations_on_disk(config)
        else None,
        engines={name: engine(config, name) for name in config.networks},
        precision=features.pick_precision(config.precision),
    )


def refined(config: Config) -> list[Scenario]:
    """Return the best `config.refine` scenarios of a finished search, to be fine-tuned."""
    if not config.refine:
        return []
    searched, current = trials.searched_scenarios(config), study(config)
    rows = [choose.read_row(config.run_dir / run_folder.TRIALS, scenario, current) for scenario in searched]
    distinct: dict[Scenario, Scenario] = {}  # trials that differ only in learning rate or epochs are fine-tuned alike
    for scenario in _ranked(config, searched, rows):
        (fine_tuned,) = scenarios_module.refined([scenario], 0)
        distinct.setdefault(fine_tuned, scenario)
    if config.refine > len(distinct):
        raise PilahError(
            f"--refine must be at most {len(distinct)}, the number of scenarios in the search that differ in more than "
            f"their learning rate and epochs, because fine-tuning has its own (got {config.refine})."
        )
    return scenarios_module.refined([*distinct.values()][: config.refine], config.scenario_count)


def _ranked(config: Config, searched: Sequence[Scenario], rows: Sequence[documents.LeaderboardRow]) -> list[Scenario]:
    """Return the scenarios `searched`, best first; `rows` are those of the leaderboard, in any order, or more."""
    by_number = {scenario.number: scenario for scenario in searched}
    own_rows = [row for row in rows if row["scenario"] in by_number]
    return [by_number[row["scenario"]] for row in choose.rank(own_rows, parameters(config, searched))]


def winner(config: Config) -> Scenario:
    """Return the winner in leaderboard.json."""
    row: Mapping[str, Any] = run_folder.read_leaderboard(config.run_dir)["winner"]
    stated = {name: row[name] for name in (*scenarios_module.HYPERPARAMETERS, "strategy") if name in row}
    return Scenario(row["scenario"], **stated)


def frozen_winner(config: Config) -> Scenario:
    """Return the winner, or the scenario of the search that it was refined from."""
    best, searched = winner(config), trials.searched_scenarios(config)
    if best.strategy == config.strategy:
        return best
    ranked = _ranked(config, searched, run_folder.read_leaderboard(config.run_dir)["scenarios"])
    return next(row for row in ranked if scenarios_module.refined([row], best.number - 1) == [best])


def embedded_below(config: Config, winner: Scenario) -> settings.Unfreeze | None:
    """Return the part of the backbone below which the model's embedding is taken, see anatomy.with_embedding.

    Below it, layers are frozen. None means the end of the backbone: nothing of it is trained, or all.
    """
    return config.unfreeze if winner.strategy == "finetune" and config.unfreeze != "all" else None


def calibration(config: Config, current: study_module.Study, winner: Scenario) -> export.Calibration:
    """Return what the stage calibration wrote, for the model that is exported."""
    results: documents.Calibration = artifacts.read_json(config.run_dir / run_folder.CALIBRATION, documents.Calibration)
    thresholds = np.array(results["thresholds"][str(results["coverage"])])
    embedding = artifacts.read_array(config.run_dir / run_folder.EMBEDDING, mmap_mode="r")
    return export.Calibration(
        prediction_sets.Rule(results["temperature"], thresholds),
        embedded_below(config, winner),
        typicality.fit(embedding, current.labels),
        typicality.references(artifacts.read_array(config.run_dir / run_folder.DISTANCES)),
    )


def parameters(config: Config, scenario_list: Sequence[Scenario]) -> dict[int, int]:
    """Return scenario -> number of parameters of its backbones and head together, without covariance heads."""
    classes = len(photos.class_names(run_folder.usable_photos(config.run_dir)))
    counts = {}
    for scenario in scenario_list:
        network = backbones.BACKBONES[scenario.backbone]
        counts[scenario.number] = network.parameters + head.parameters(network.channels, classes, scenario.units)
        if scenario.strategy == "finetune":
            others = {head.backbone for head in config.finetuning.covariance_heads} - {scenario.backbone}
            counts[scenario.number] += sum(backbones.BACKBONES[name].parameters for name in others)
    return counts


def trial_settings(config: Config, scenario_list: Sequence[Scenario]) -> list[dict[str, Any]]:
    """Return everything that the predictions of each scenario depend on."""
    current = study(config)
    return [current.settings(scenario) for scenario in scenario_list]


def export_inputs(config: Config) -> dict[str, Any]:
    """Return the inputs that the stages after the export share."""
    return {
        "export": run_folder.export_digest(config.run_dir),
        "winner": run_folder.read_leaderboard(config.run_dir)["winner"],
        "min_f1": config.min_f1,
        "photos": photos.fingerprint(run_folder.usable_photos(config.run_dir)),
    }


def sample_photos(config: Config, count: int) -> list[photos.Photo]:
    """Return up to `count` photos at even distances in the list of usable ones, always the same."""
    usable = run_folder.usable_photos(config.run_dir)
    return [usable[row] for row in photos.spread_rows(len(usable), count)]


def plain_bytes(config: Config, photo_list: Sequence[photos.Photo]) -> list[bytes]:
    """Return the photos as JPEG or PNG bytes that the served model decodes.

    Raises:
        PilahError: a photo has changed since it was listed.
    """
    return [images.plain_bytes(photos.read_bytes(photo.path, photo.id), config.max_pixels)[0] for photo in photo_list]
