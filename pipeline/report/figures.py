"""A run folder -> every number of the report, in one structure that is also report/figures.json."""

import collections
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from components import artifacts, metrics, photos
from pipeline import board as board_module
from pipeline.config import FINETUNING, Config
from pipeline.report import comparisons, findings, statistics, winner
from tuner import predictions
from tuner import scenarios as scenarios_module

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
    usable = _usable_photos(run_dir)
    fingerprint = photos.fingerprint(usable)
    found = _read_trials(config, total, fingerprint)
    board = _board_of(run_dir, found, total)
    rows = board["scenarios"] if board else [_row(run_dir, number, one) for number, one in found.items()]
    first = board["winner"]["scenario"] if board else None  # of several with the same F1, the one that was chosen
    best_first = sorted(rows, key=lambda row: (-row["f1"], row["scenario"] != first, row["scenario"]))
    scenarios = [_scenario(row, found[row["scenario"]], config.seed) for row in best_first]
    if board:
        _compare_with_first(scenarios, found, config.seed)
    return {
        "run": _about(config),
        "progress": {
            "scenarios_done": len(found),
            "scenarios_total": total,
            "folds_done": sum(
                len(list(run_dir.glob(f"trials/{number:02d}/fold-*.csv"))) for number in range(1, total + 1)
            ),
            "folds_total": total * config.folds,
        },
        "classes": _classes(usable, config.folds),
        "scenarios": scenarios,
        "comparisons": comparisons.compute([row for row in scenarios if row["scenario"] <= config.scenario_count]),
        "winner": winner.compute(board["winner"], scenarios, found[first]) if board and first else None,
        **findings.compute(run_dir, fingerprint, board),
    }


def _read_trials(config: Config, total: int, photos_and_folds: str) -> dict[int, predictions.Predictions]:
    """Scenario -> its out-of-fold predictions, where all folds are there, and were made as the run has it now."""
    folders = {number: config.run_dir / "trials" / f"{number:02d}" for number in range(1, total + 1)}
    return {
        number: predictions.read(folder / "predictions.csv")
        for number, folder in folders.items()
        if (folder / "predictions.csv").exists()
        and _is_of(config, number, artifacts.read_json(folder / "settings.json"), photos_and_folds)
    }


def _is_of(config: Config, number: int, made_with: dict[str, Any], photos_and_folds: str) -> bool:
    """Whether a trial was made with the photos and settings of the run, as far as the run's configuration tells.

    A run that starts again with others comes to the trials hours after it has written down its configuration.
    """
    strategy = config.strategy if number <= config.scenario_count else "finetune"
    now = {"photos": photos_and_folds, **{name: getattr(config, name) for name in ("epochs", "batch_size", "seed")}}
    if number <= config.scenario_count:
        every = scenarios_module.list_scenarios(config.backbones, config.optimizers, config.dropouts, strategy)
        now |= scenarios_module.hyperparameter_values(every[number - 1])
    if strategy == "features":
        now |= {"views": config.views, "learning_rate": config.learning_rate}
    else:
        now |= {name: getattr(config, name) for name in FINETUNING if name != "finetuning_rate"}
        now |= {"strategy": strategy, "learning_rate": config.rate_of_finetuning}
    same_views = made_with.get("test_views", 1) == config.test_views
    return same_views and now == {name: made_with.get(name) for name in now}


def _matrix(found: predictions.Predictions) -> np.ndarray:
    return metrics.confusion(found.actual, found.predicted, len(found.classes))


def _board_of(run_dir: pathlib.Path, found: dict[int, predictions.Predictions], total: int) -> dict[str, Any] | None:
    """leaderboard.json, or None where it is not there or was made from other predictions than those found."""
    path = run_dir / "leaderboard.json"
    if len(found) < total or not path.exists():
        return None
    board = artifacts.read_json(path)
    matrices = {row["scenario"]: row["confusion_matrix"] for row in board["scenarios"]}
    return board if matrices == {number: _matrix(one).tolist() for number, one in found.items()} else None


def _row(run_dir: pathlib.Path, number: int, found: predictions.Predictions) -> dict[str, Any]:
    """A scenario's row as the leaderboard will have it, without its time."""
    settings = artifacts.read_json(run_dir / "trials" / f"{number:02d}" / "settings.json")
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


def _about(config: Config) -> dict[str, Any]:
    """What a reader has to know of the run; no path, so that the report can be handed on."""
    run_dir = config.run_dir
    kinds = collections.Counter(row["kind"] for row in _rows(run_dir / "duplicates.csv"))
    return {
        "name": run_dir.name,
        **{name: getattr(config, name) for name in SHOWN},
        "finetuning": _finetuning(config) if config.finetunes else None,
        "drawn": not config.images,
        "random_weights": board_module.random_backbones(run_dir),
        "precision": sorted({one["precision"] for one in board_module.backbone_settings(run_dir)}),
        "copies": kinds["duplicate"],
        "conflicts": kinds["conflict"],
        "rejects": len(_rows(run_dir / "dataset" / "rejects.csv")),
    }


def _finetuning(config: Config) -> dict[str, Any]:
    return {**{name: getattr(config, name) for name in FINETUNING}, "finetuning_rate": config.rate_of_finetuning}


def _usable_photos(run_dir: pathlib.Path) -> list[photos.Photo]:
    """The photos that have a record; none before there are any."""
    path = run_dir / "photos.csv"
    rejected = {row["id"] for row in _rows(run_dir / "dataset" / "rejects.csv")}
    return [photo for photo in photos.read(path) if photo.id not in rejected] if path.exists() else []


def _classes(usable: Sequence[photos.Photo], folds: int) -> list[dict[str, Any]]:
    """Photos of each class, and of each fold of it."""
    counts = collections.Counter((photo.label, photo.fold) for photo in usable)
    return [
        {"name": name, "photos": sum(per_fold), "folds": per_fold}
        for name in photos.class_names(usable)
        for per_fold in [[counts[name, fold] for fold in range(folds)]]
    ]


def _rows(path: pathlib.Path) -> list[dict[str, str]]:
    return artifacts.read_csv(path) if path.exists() else []
