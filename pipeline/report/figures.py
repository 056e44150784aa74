"""The figures of the report: all its numbers, computed from the run folder and saved as report/figures.json."""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.base import documents, metrics, statistics
from components.data import photos
from pipeline import resolved_settings, run_folder, trials
from pipeline.config import Config, to_json
from pipeline.report import calibration, comparisons, findings, hyperparameters, winner
from tuner import choose, predictions, trial_folder
from tuner.scenarios import SEARCHED

SETTINGS = ("scenario", "backbone", "optimizer", "dropout", "strategy")
RUN_SETTINGS = (
    "profile",
    "strategy",
    "refine",
    "seed",
    "folds",
    "group_folds",
    "epochs",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "views",
    "flips",
    "augmentation",
    "test_views",
    "image_size_px",
    "backbones",
    "optimizers",
    "dropouts",
    "hidden_units",
    "oracle",
    "trials",
)
SCORES = ("precision", "recall", "f1", "accuracy")


def compute(config: Config) -> dict[str, Any]:
    """Compute the figures of a run, finished or not.

    Scenarios are sorted best first; unfinished ones are left out. "winner" and the comparisons with it are None until
    the run folder has a leaderboard that was made from its predictions.
    """
    run_dir = config.run_dir
    usable = run_folder.usable_photos(run_dir)
    fingerprint = photos.fingerprint(usable)
    settings = trials.read_settings(config, usable, resolved_settings.read(run_dir))
    paths = {number: run_dir / run_folder.predictions(number) for number in settings}
    answers = {number: predictions.read(path) for number, path in paths.items() if path.exists()}
    leaderboard = _read_leaderboard(run_dir, answers)
    # an oracle may choose fewer scenarios than it may try
    total = len(answers) if leaderboard else config.scenario_count + config.refine
    rows = (
        leaderboard["scenarios"]
        if leaderboard
        else [
            _row(settings[number], number, answers[number], config.oracle != "grid" and number <= config.trials)
            for number in answers
        ]
    )
    best = leaderboard["winner"]["scenario"] if leaderboard else None
    best_first = choose.best_first(rows, best)
    numbers = [row["scenario"] for row in best_first]
    with_winner = comparisons.with_winner(numbers, answers, config.seed) if best else {}
    same_as = comparisons.identical(numbers, answers)
    scenarios = [
        _scenario(row, answers[row["scenario"]])
        | {"same_as": same_as[row["scenario"]], "against": with_winner.get(row["scenario"])}
        for row in best_first
    ]
    search_rows = [row for row in scenarios if row["scenario"] <= config.scenario_count]
    hyperparameter_figures = hyperparameters.compute(search_rows, config.seed)
    calibrated = calibration.summary(run_dir, leaderboard["winner"]["scenario"]) if leaderboard else None
    return {
        "run": _run(config, settings),
        "progress": {
            "scenarios_done": len(answers),
            "scenarios_total": total,
            "folds_done": sum(len(trial_folder.finished_folds(path.parent)) for path in paths.values()),
            "folds_total": total * config.folds,
        },
        "classes": _classes(usable, config.folds),
        "scenarios": scenarios,
        "comparisons": comparisons.of_settings(search_rows, answers, config.seed) if config.oracle == "grid" else {},
        "hyperparameters": hyperparameter_figures,
        "winner": winner.compute(leaderboard["winner"], scenarios, answers, config.seed) if leaderboard else None,
        "calibration": calibrated,
        "least_typical": calibration.least_typical(run_dir) if calibrated else [],
        **findings.compute(run_dir, fingerprint, leaderboard),
    }


def _matrix(answers: predictions.Predictions) -> np.ndarray:
    return metrics.confusion(answers.actual, answers.predicted, len(answers.classes))


def _read_leaderboard(
    run_dir: pathlib.Path, answers: Mapping[int, predictions.Predictions]
) -> documents.Leaderboard | None:
    """Return leaderboard.json, or None if it is missing or was not made from `answers`."""
    path = run_dir / run_folder.LEADERBOARD
    if not answers or not path.exists():
        return None
    leaderboard = run_folder.read_leaderboard(run_dir)
    matrices = {row["scenario"]: row["confusion_matrix"] for row in leaderboard["scenarios"]}
    return leaderboard if matrices == {number: _matrix(answers[number]).tolist() for number in answers} else None


def _row(settings: dict[str, Any], number: int, answers: predictions.Predictions, is_searched: bool) -> dict[str, Any]:
    """Return a scenario's row as in the leaderboard, without its time.

    Args:
        is_searched: whether an oracle has chosen its learning rate, hidden units and epochs.
    """
    matrix = _matrix(answers)
    scores = metrics.score(matrix, answers.classes)
    return {
        "scenario": number,
        # scenarios with a frozen backbone do not name their strategy
        **{name: settings.get(name, "features") for name in SETTINGS[1:]},
        # those of a grid, and refined ones, state only hidden units that differ from the thesis's
        **{name: settings[name] for name in SEARCHED if name in settings and (is_searched or name == "hidden_units")},
        **{name: getattr(scores, name) for name in SCORES},
        "confusion_matrix": matrix.tolist(),
        "seconds": None,
    }


def _scenario(row: Mapping[str, Any], answers: predictions.Predictions) -> dict[str, Any]:
    """Return the row with its confidence interval, F1 of its folds, and calibration error."""
    low, high = statistics.interval(np.array(row["confusion_matrix"]))
    folds = [
        metrics.f1_of_present_classes(
            metrics.confusion(answers.actual[in_fold], answers.predicted[in_fold], len(answers.classes))
        )
        for in_fold in (answers.fold == fold for fold in np.unique(answers.fold))
    ]
    confidence, right = answers.probabilities.max(axis=1), answers.predicted == answers.actual
    return {
        **row,
        "photos": len(right),
        "right": int(right.sum()),
        "f1_low": low,
        "f1_high": high,
        "fold_f1": folds,
        "fold_f1_lowest": min(folds),
        "fold_f1_highest": max(folds),
        "ece": statistics.expected_calibration_error(statistics.reliability(confidence, right)),
    }


def _run(config: Config, settings: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    """Return settings and counts of the run, without paths, because reports are shared.

    Args:
        settings: scenario -> settings of its trial.
    """
    run_dir, settings_json = config.run_dir, to_json(config)
    weights, precision = _weights_and_precision(run_dir, settings)
    duplicates = run_folder.count_duplicates(run_dir)
    return {
        "name": run_dir.name,
        **{name: settings_json[name] for name in RUN_SETTINGS},
        "finetuning": _finetuning(config) if config.finetunes else None,
        "drawn": not config.images,
        "random_weights": resolved_settings.random_backbones(weights),
        "precision": precision,
        "copies": duplicates["duplicate"],
        "conflicts": duplicates["conflict"],
        "rejects": len(run_folder.read_rows(run_dir, run_folder.REJECTS)),
    }


def _weights_and_precision(
    run_dir: pathlib.Path, settings: Mapping[int, dict[str, Any]]
) -> tuple[Mapping[str, str], list[str]]:
    """Return backbone -> fingerprint of its weights, and the dtypes that backbones compute in."""
    if resolved := resolved_settings.read(run_dir):
        return resolved.weights, [resolved.precision]
    # run folders of older versions have no resolved.json, but their trial settings have both
    features = [trial.get("features", trial) for trial in settings.values()]
    weights = {feature["backbone"]: feature["weights"] for feature in features}
    return weights, sorted({feature["precision"] for feature in features})


def _finetuning(config: Config) -> dict[str, Any]:
    return {**dataclasses.asdict(config.finetuning), "finetuning_rate": config.rate_of_finetuning}


def _classes(usable: Sequence[photos.Photo], folds: int) -> list[dict[str, Any]]:
    """Count the photos of each class, in total and by fold."""
    counts = collections.Counter((photo.label, photo.fold) for photo in usable)
    return [
        {"name": name, "photos": sum(per_fold), "folds": per_fold}
        for name in photos.class_names(usable)
        for per_fold in [[counts[name, fold] for fold in range(folds)]]
    ]
