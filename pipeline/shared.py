"""What several stages need, from the configuration and the artifacts of the stages before."""

import functools
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from components.base import artifacts
from components.data import images, photos, records
from components.models import backbones, features, finetune, head, inference
from pipeline import resolved_settings
from pipeline.config import Config
from pipeline.progress import Report
from tuner import choose, cross_validation, workers
from tuner import scenarios as scenarios_module
from tuner import study as study_module

UNREADABLE, IGNORED = "unreadable.csv", "ignored.csv"  # files below --images that are no photos
# answers.json: {"photos": [id, ...], "classes": [...], "scores": [[...], ...]}, as validation compared them
ANSWERS = "answers.json"
TRUNK = "trunk"  # the folder of what stays frozen, while what stands on it trains
log = logging.getLogger("pilah")


def weights(config: Config, backbone: str) -> backbones.Weights:
    """Where the backbone's weights come from; looked up (and downloaded, where that is the way) once a run."""
    return _find_weights(backbone, config.weights_dir, config.allow_random_weights, config.seed)


def look_up_weights(config: Config) -> None:
    """Find every backbone's weights, and say which are random.

    Raises:
        PilahError: some are not at hand, and may not be random.
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
        frozen_activations_on_disk=keeps_trunk(config),
    )


def usable_photos(config: Config) -> list[photos.Photo]:
    """The photos that have a record, in the order of the records."""
    return records.accepted(config.run_dir / "dataset", photos.read(config.run_dir / "photos.csv"))


def some_photos(config: Config, count: int) -> list[photos.Photo]:
    """Up to `count` photos spread over all usable ones; the same ones each time."""
    usable = usable_photos(config)
    count = min(count, len(usable))
    return [usable[index * len(usable) // count] for index in range(count)]


def plain_bytes(config: Config, photo_list: Sequence[photos.Photo]) -> list[bytes]:
    """The photos' bytes, as clients send them.

    Raises:
        PilahError: a photo has changed since it was listed.
    """
    return [images.plain_bytes(photos.read_bytes(photo.path, photo.id), config.max_pixels)[0] for photo in photo_list]


def study(config: Config) -> study_module.Study:
    usable = usable_photos(config)
    return study_module.Study(
        photo_list=usable,
        classes=photos.class_names(usable),
        folds=config.folds,
        features_dir=config.run_dir / "features",
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
    return study_module.Finetuning(
        records=config.run_dir / "dataset",
        weights={name: weights(config, name) for name in config.backbones},
        image_size_px=config.image_size_px,
        learning_rate=config.rate_of_finetuning,
        options=finetune.Options(**config.finetuning_options),
        trunk_dir=config.run_dir / TRUNK if keeps_trunk(config) else None,
        engine=inference.pick(config.engine),
        precision=features.pick_precision(config.precision),
    )


def keeps_trunk(config: Config) -> bool:
    """Whether fine-tuning reads what stays frozen from disk: a GPU computes it faster than a disk gives it back."""
    return config.unfreeze != "all" and not inference.on_gpu()


def scenarios(config: Config) -> list[scenarios_module.Scenario]:
    """Those of the search, in order of number."""
    return scenarios_module.list_scenarios(config.backbones, config.optimizers, config.dropouts, config.strategy)


def refined(config: Config) -> list[scenarios_module.Scenario]:
    """The best `config.refine` of a finished search, to be fine-tuned."""
    if not config.refine:
        return []
    found, settled = scenarios(config), study(config)
    rows = [choose.row(config.run_dir / "trials", one, settled) for one in found]
    best = choose.rank(rows, {name: parameters(config, name) for name in config.backbones})[: config.refine]
    return scenarios_module.refined([found[row["scenario"] - 1] for row in best], len(found))


def winner(config: Config) -> scenarios_module.Scenario:
    """The scenario that leaderboard.json names."""
    chosen = artifacts.read_json(config.run_dir / "leaderboard.json")["winner"]
    names = ("backbone", "optimizer", "dropout", "strategy")
    return scenarios_module.Scenario(chosen["scenario"], *(chosen[name] for name in names))


def frozen_winner(config: Config) -> scenarios_module.Scenario:
    """The winner, or where that was refined the scenario that it was refined from."""
    chosen, names = winner(config), ("backbone", "optimizer", "dropout")
    settings = [getattr(chosen, name) for name in names]
    return next(one for one in scenarios(config) if [getattr(one, name) for name in names] == settings)


def parameters(config: Config, backbone: str) -> int:
    """How many parameters the backbone and its head have together."""
    network, classes = backbones.BACKBONES[backbone], photos.class_names(usable_photos(config))
    return network.parameters + head.parameters(network.channels, len(classes))


def trial_settings(config: Config, scenario_list: Sequence[scenarios_module.Scenario]) -> list[dict[str, Any]]:
    """Everything that the predictions of each scenario depend on."""
    if not scenario_list:
        return []
    settled = study(config)
    return [settled.settings(scenario) for scenario in scenario_list]


def predictions_files(numbers: Iterable[int]) -> list[str]:
    """The predictions of the scenarios `numbers`, as paths in the run folder."""
    return [f"trials/{number:02d}/predictions.csv" for number in numbers]


def cross_validate(config: Config, scenario_list: Sequence[scenarios_module.Scenario], report: Report) -> None:
    """Leave the predictions of every scenario in the run folder, each trained in its folds."""
    settled, trials_dir = study(config), config.run_dir / "trials"
    heads = scenario_list[0].strategy == "features"
    tasks = len(scenario_list) * (1 if heads else settled.folds)
    # without a GPU, a whole backbone keeps all cores busy by itself, and needs 3 GB and more
    alone = not (heads or keeps_trunk(config) or inference.on_gpu())
    processes = 1 if alone else workers.count(tasks)
    cross_validation.search(settled, scenario_list, trials_dir, processes, report)
    choose.check_complete(trials_dir, scenario_list)


def published(config: Config) -> dict[str, Any]:
    """What is to be published, and the floor that it must reach."""
    files = sorted(file for file in (config.run_dir / "export").rglob("*") if file.is_file())
    return {
        "export": artifacts.digest([[file.name, artifacts.file_digest(file)] for file in files]),
        "winner": artifacts.read_json(config.run_dir / "leaderboard.json")["winner"],
        "min_f1": config.min_f1,
    }
