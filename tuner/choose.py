"""Predictions of all scenarios -> the leaderboard, with a winner and the reason."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from components.base import artifacts, documents, metrics
from components.base.errors import PilahError
from tuner import predictions, scenarios, trial_folder
from tuner.study import Study


def leaderboard(
    trials_dir: pathlib.Path,
    scenario_list: Sequence[scenarios.Scenario],
    study: Study,
    parameters: Mapping[str, int],
) -> documents.Leaderboard:
    """Return the leaderboard: scenarios in order of number, and the winner.

    Args:
        parameters: backbone -> parameters of its whole model, which settles ties.

    Raises:
        PilahError: a scenario has no complete predictions, or they are not those of `study`.
    """
    check_complete(trials_dir, scenario_list)
    rows = [row(trials_dir, scenario, study) for scenario in scenario_list]
    return {
        "classes": list(study.classes),
        "photos": len(study.photo_list),
        "folds": study.folds,
        "seed": study.seed,
        "strategy": scenario_list[0].strategy,
        "scenarios": rows,
        "winner": winner(rows, parameters),
    }


def check_complete(trials_dir: pathlib.Path, scenario_list: Sequence[scenarios.Scenario]) -> None:
    """Raise PilahError where a scenario has no complete predictions: the others alone must not be compared."""
    missing = [
        scenario.number
        for scenario in scenario_list
        if not (trial_folder.path(trials_dir, scenario.number) / trial_folder.PREDICTIONS).exists()
    ]
    if missing:
        raise PilahError(
            f"A winner is chosen among all {len(scenario_list)} scenarios, and these have no complete predictions: "
            f"{', '.join(map(str, missing))}. See the log for why they failed, then run again: finished folds are kept."
        )


def row(trials_dir: pathlib.Path, scenario: scenarios.Scenario, study: Study) -> documents.LeaderboardRow:
    """Return a scenario's row, from its predictions.

    Raises:
        PilahError: the predictions are not of the photos of `study`, or not those of the highest probability.
    """
    folder = trial_folder.path(trials_dir, scenario.number)
    matrix = predictions.confusion(folder / trial_folder.PREDICTIONS, study.photo_list, study.classes)
    seconds = sum(
        artifacts.read_json(trial_folder.fold_history(folder, fold))["seconds"] for fold in range(study.folds)
    )
    return row_of(scenario, matrix, study.classes, seconds)


def row_of(
    scenario: scenarios.Scenario, matrix: np.ndarray, classes: Sequence[str], seconds: float
) -> documents.LeaderboardRow:
    """Return a scenario's row with the macro averages of its matrix summed over folds, int64 [classes, classes]."""
    scores = metrics.score(matrix, classes)
    return {
        "scenario": scenario.number,
        "backbone": scenario.backbone,
        "optimizer": scenario.optimizer,
        "dropout": scenario.dropout,
        "strategy": scenario.strategy,
        "precision": scores.precision,
        "recall": scores.recall,
        "f1": scores.f1,
        "accuracy": scores.accuracy,
        "confusion_matrix": matrix.tolist(),
        "seconds": round(seconds, 3),
    }


def rank(rows: Sequence[documents.LeaderboardRow], parameters: Mapping[str, int]) -> list[documents.LeaderboardRow]:
    """Sort best first: by F1, then by fewer parameters, then by number."""
    return sorted(rows, key=lambda row: (-row["f1"], parameters[row["backbone"]], row["scenario"]))


def winner(rows: Sequence[documents.LeaderboardRow], parameters: Mapping[str, int]) -> documents.Winner:
    """Return the best row, without its matrix and time, and why it won."""
    first, *others = rank(rows, parameters)
    reason = f"highest macro F1 of {len(rows)}"
    tied = [other for other in others if other["f1"] == first["f1"]]
    if tied:
        fewer = all(parameters[other["backbone"]] > parameters[first["backbone"]] for other in tied)
        reason += f", tied with {', '.join(str(other['scenario']) for other in tied)}: " + (
            "fewer parameters" if fewer else "fewer parameters, then the lower number"
        )
    return {
        "scenario": first["scenario"],
        "backbone": first["backbone"],
        "optimizer": first["optimizer"],
        "dropout": first["dropout"],
        "strategy": first["strategy"],
        "precision": first["precision"],
        "recall": first["recall"],
        "f1": first["f1"],
        "accuracy": first["accuracy"],
        "parameters": parameters[first["backbone"]],
        "reason": reason,
    }
