"""Choice of the winner among the scenarios, by their out-of-fold predictions."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import cast

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
        parameters: backbone -> number of parameters of its whole model, which settles ties.

    Raises:
        PilahError: a scenario has no complete predictions, or they are not those of `study`.
    """
    check_complete(trials_dir, scenario_list)
    rows = [read_row(trials_dir, scenario, study) for scenario in scenario_list]
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
        str(scenario.number)
        for scenario in scenario_list
        if not (trial_folder.path(trials_dir, scenario.number) / trial_folder.PREDICTIONS).exists()
    ]
    if missing:
        raise PilahError(
            f"The winner is chosen among all {len(scenario_list)} scenarios, but these have no complete predictions: "
            f"{', '.join(missing)}. See the log for the reason, then run the same command again: finished folds are "
            "kept."
        )


def read_row(trials_dir: pathlib.Path, scenario: scenarios.Scenario, study: Study) -> documents.LeaderboardRow:
    """Return a scenario's row, from the predictions in its trial folder.

    Raises:
        PilahError: the predictions are not of the photos of `study`, or not those of the highest probability.
    """
    folder = trial_folder.path(trials_dir, scenario.number)
    matrix = predictions.confusion(folder / trial_folder.PREDICTIONS, study.photo_list, study.classes)
    histories = [artifacts.read_json(trial_folder.fold_history(folder, fold)) for fold in range(study.folds)]
    return make_row(scenario, matrix, study.classes, sum(history["seconds"] for history in histories))


def make_row(
    scenario: scenarios.Scenario, matrix: np.ndarray, classes: Sequence[str], seconds: float
) -> documents.LeaderboardRow:
    """Return a scenario's row, with the macro averages of its matrix summed over folds, int64 [classes, classes]."""
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
    best, *others = rank(rows, parameters)
    reason = f"highest macro F1 of {len(rows)}"
    tied = [row for row in others if row["f1"] == best["f1"]]
    if tied:
        fewer = all(parameters[row["backbone"]] > parameters[best["backbone"]] for row in tied)
        reason += f", tied with {', '.join(str(row['scenario']) for row in tied)}: fewer parameters"
        reason += "" if fewer else ", then the lower number"
    scores = {name: value for name, value in best.items() if name not in ("confusion_matrix", "seconds")}
    return cast(documents.Winner, {**scores, "parameters": parameters[best["backbone"]], "reason": reason})
