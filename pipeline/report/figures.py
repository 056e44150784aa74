"""A run folder -> every number of the report, in one structure that is also report/figures.json."""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.base import artifacts, metrics
from components.data import photos
from pipeline import resolved_settings, run_folder, trials
from pipeline.config import Config
from pipeline.report import comparisons, findings, statistics, winner
from tuner import predictions

SETTINGS = ("scenario", "backbone", "optimizer", "dropout", "strategy")
SHOWN = (
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
    "test_views",
    "image_size_px",
    "backbones",
    "optimizers",
    "dropouts",
)
SCORES = ("precision", "recall", "f1", "accuracy")


def compute(config: Config) -> dict[str, Any]:
    """The figures of a run, however far it has come.

    Scenarios stand best first, those whose folds are not all there left out. "winner" and what compares with it is
    None until the leaderboard is made of the very predictions that are there.
    """
    run_dir, total = config.run_dir, config.scenario_count + config.refine
    usable = run_folder.usable_photos(run_dir)
    fingerprint = photos.fingerprint(usable)
    settings = trials.read_settings(config, usable, resolved_settings.read(run_dir))
    paths = {number: run_dir / run_folder.predictions(number) for number in settings}
    found = {number: predictions.read(path) for number, path in paths.items() if path.exists()}
    board = _board_of(run_dir, found, total)
    rows = board["scenarios"] if board else [_row(settings[number], number, one) for number, one in found.items()]
    first = board["winner"]["scenario"] if board else None  # of several with the same F1, the one that was chosen
    best_first = sorted(rows, key=lambda row: (-row["f1"], row["scenario"] != first, row["scenario"]))
    scenarios = [_scenario(row, found[row["scenario"]], config.seed) for row in best_first]
    if board:
        _compare_with_first(scenarios, found, config.seed)
    return {
        "run": _about(config, settings),
        "progress": {
            "scenarios_done": len(found),
            "scenarios_total": total,
            "folds_done": sum(len(list(path.parent.glob("fold-*.csv"))) for path in paths.values()),
            "folds_total": total * config.folds,
        },
        "classes": _classes(usable, config.folds),
        "scenarios": scenarios,
        "comparisons": comparisons.compute([row for row in scenarios if row["scenario"] <= config.scenario_count]),
        "winner": winner.compute(board["winner"], scenarios, found[first]) if board and first else None,
        **findings.compute(run_dir, fingerprint, board),
    }


def _matrix(found: predictions.Predictions) -> np.ndarray:
    return metrics.confusion(found.actual, found.predicted, len(found.classes))


def _board_of(run_dir: pathlib.Path, found: dict[int, predictions.Predictions], total: int) -> dict[str, Any] | None:
    """leaderboard.json, or None where it is not there or was made from other predictions than those found."""
    path = run_dir / run_folder.LEADERBOARD
    if len(found) < total or not path.exists():
        return None
    board = artifacts.read_json(path)
    matrices = {row["scenario"]: row["confusion_matrix"] for row in board["scenarios"]}
    return board if matrices == {number: _matrix(one).tolist() for number, one in found.items()} else None


def _row(settings: dict[str, Any], number: int, found: predictions.Predictions) -> dict[str, Any]:
    """A scenario's row as the leaderboard will have it, without its time."""
    matrix = _matrix(found)
    scores = metrics.score(matrix, found.classes)
    return {
        "scenario": number,
        **{
            name: settings.get(name, "features") for name in SETTINGS[1:]
        },  # frozen backbones do not name their strategy
        **{name: getattr(scores, name) for name in SCORES},
        "confusion_matrix": matrix.tolist(),
        "seconds": None,
    }


def _scenario(row: dict[str, Any], found: predictions.Predictions, seed: int) -> dict[str, Any]:
    """The row with its interval, its folds and its calibration."""
    low, high = statistics.interval(np.array(row["confusion_matrix"]), seed)
    folds = [
        statistics.macro_f1_of_those_there(
            metrics.confusion(found.actual[here], found.predicted[here], len(found.classes))
        )
        for here in (found.fold == fold for fold in np.unique(found.fold))
    ]
    confidence, right = found.probabilities.max(axis=1), found.predicted == found.actual
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
        "against": None,  # how the winner compares with it
    }


def _compare_with_first(scenarios: list[dict[str, Any]], found: dict[int, predictions.Predictions], seed: int) -> None:
    """Add to all but the first how the first compares with it, p values corrected for their number."""
    first, *others = scenarios
    best, draws = found[first["scenario"]], statistics.draws_for(len(others))
    for row in others:
        other = found[row["scenario"]]
        low, high, p = statistics.difference(
            best.actual, best.predicted, other.predicted, len(best.classes), seed, draws
        )
        only_first, only_other, exact_p = statistics.mcnemar(
            best.predicted == best.actual, other.predicted == best.actual
        )
        row["against"] = {
            "gap": first["f1"] - row["f1"],
            "gap_low": low,
            "gap_high": high,
            "p": p,
            "only_winner_right": only_first,
            "only_other_right": only_other,
            "mcnemar_p": exact_p,
        }
    for name in ("p", "mcnemar_p"):
        for row, p in zip(others, statistics.holm([row["against"][name] for row in others]), strict=True):
            row["against"][f"{name}_holm"] = p
    for row in others:
        row["against"]["told_apart"] = bool(row["against"]["p_holm"] < statistics.SIGNIFICANCE)
        row["against"]["mcnemar_told_apart"] = bool(row["against"]["mcnemar_p_holm"] < statistics.SIGNIFICANCE)


def _about(config: Config, settings: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    """Return what a reader has to know of the run; no path, so that the report can be handed on.

    Args:
        settings: scenario -> settings of its trial.
    """
    run_dir = config.run_dir
    weights, precision = _weights_and_precision(run_dir, settings)
    kinds = collections.Counter(row["kind"] for row in run_folder.read_rows(run_dir, run_folder.DUPLICATES))
    return {
        "name": run_dir.name,
        **{name: getattr(config, name) for name in SHOWN},
        "finetuning": _finetuning(config) if config.finetunes else None,
        "drawn": not config.images,
        "random_weights": resolved_settings.random_backbones(weights),
        "precision": precision,
        "copies": kinds["duplicate"],
        "conflicts": kinds["conflict"],
        "rejects": len(run_folder.read_rows(run_dir, run_folder.REJECTS)),
    }


def _weights_and_precision(
    run_dir: pathlib.Path, settings: Mapping[int, dict[str, Any]]
) -> tuple[Mapping[str, str], list[str]]:
    """Return backbone -> fingerprint of its weights, and the dtypes that backbones compute in."""
    if resolved := resolved_settings.read(run_dir):
        return resolved.weights, [resolved.precision]
    # a run folder of a version that wrote no resolved.json: its trials tell
    used = [trial.get("features", trial) for trial in settings.values()]
    return {one["backbone"]: one["weights"] for one in used}, sorted({one["precision"] for one in used})


def _finetuning(config: Config) -> dict[str, Any]:
    return {**dataclasses.asdict(config.finetuning), "finetuning_rate": config.rate_of_finetuning}


def _classes(usable: Sequence[photos.Photo], folds: int) -> list[dict[str, Any]]:
    """Photos of each class, and of each fold of it."""
    counts = collections.Counter((photo.label, photo.fold) for photo in usable)
    return [
        {"name": name, "photos": sum(per_fold), "folds": per_fold}
        for name in photos.class_names(usable)
        for per_fold in [[counts[name, fold] for fold in range(folds)]]
    ]
