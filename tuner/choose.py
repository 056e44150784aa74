"""Leaderboard of the scenarios and choice of the winner, from out-of-fold predictions. Needs no TensorFlow."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from components.base import artifacts, documents, metrics
from components.base.errors import PilahError
from tuner import bbc_cv, predictions, scenarios, trial_folder

if TYPE_CHECKING:
    from tuner.study import Study

Row = TypeVar("Row", bound=Mapping[str, Any])


def leaderboard(
    trials_dir: pathlib.Path,
    scenario_list: Sequence[scenarios.Scenario],
    study: "Study",
    parameters: Mapping[int, int],
) -> documents.Leaderboard:
    """Return the leaderboard: scenarios in order of number, and the winner.

    Args:
        parameters: scenario -> number of parameters of its whole model, to break ties.

    Raises:
        PilahError: a scenario has no complete predictions, or they do not belong to `study`.
    """
    check_complete(trials_dir, scenario_list)
    read = [_read(trials_dir, scenario, study) for scenario in scenario_list]
    rows, predicted = [row for row, _ in read], {row["scenario"]: classes for row, classes in read}
    return {
        "classes": list(study.classes),
        "photos": len(study.photo_list),
        "folds": study.folds,
        "seed": study.seed,
        "strategy": scenario_list[0].strategy,
        "scenarios": rows,
        "winner": {**winner(rows, parameters), **corrected_f1(rows, predicted, parameters, study)},
    }


def check_complete(trials_dir: pathlib.Path, scenario_list: Sequence[scenarios.Scenario]) -> None:
    """Raise PilahError if a scenario has no complete predictions, since a winner of the others would mean nothing."""
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


def read_row(trials_dir: pathlib.Path, scenario: scenarios.Scenario, study: "Study") -> documents.LeaderboardRow:
    """Return a scenario's leaderboard row, from the predictions in its trial folder.

    Raises:
        PilahError: the predictions are of other photos than those of `study`, or not the most probable classes.
    """
    return _read(trials_dir, scenario, study)[0]


def _read(
    trials_dir: pathlib.Path, scenario: scenarios.Scenario, study: "Study"
) -> tuple[documents.LeaderboardRow, np.ndarray]:
    """Return a scenario's leaderboard row and the predicted class of each photo, int64 [photos]."""
    folder = trial_folder.path(trials_dir, scenario.number)
    saved = predictions.read_of(folder / trial_folder.PREDICTIONS, study.photo_list, study.classes)
    matrix = metrics.confusion(saved.actual, saved.predicted, len(study.classes))
    paths = [trial_folder.fold_history(folder, fold) for fold in range(study.folds)]
    histories = [artifacts.read_json(path, documents.FoldHistory) for path in paths]
    row = make_row(scenario, matrix, study.classes, sum(history["seconds"] for history in histories))
    return row, saved.predicted


def make_row(
    scenario: scenarios.Scenario, matrix: np.ndarray, classes: Sequence[str], seconds: float
) -> documents.LeaderboardRow:
    """Return a scenario's leaderboard row, from `matrix`, int64 [classes, classes], summed over folds."""
    scores = metrics.score(matrix, classes)
    row = {
        "scenario": scenario.number,
        **scenarios.hyperparameter_values(scenario),
        "strategy": scenario.strategy,
        "precision": scores.precision,
        "recall": scores.recall,
        "f1": scores.f1,
        "accuracy": scores.accuracy,
        "confusion_matrix": matrix.tolist(),
        "seconds": round(seconds, 3),
    }
    return cast(documents.LeaderboardRow, row)


def rank(rows: Sequence[documents.LeaderboardRow], parameters: Mapping[int, int]) -> list[documents.LeaderboardRow]:
    """Sort best first: by exact F1, then by fewer parameters, then by number."""
    return sorted(rows, key=lambda row: (-metrics.exact_f1(row["confusion_matrix"]), *_tie_order(row, parameters)))


def _tie_order(row: documents.LeaderboardRow, parameters: Mapping[int, int]) -> tuple[int, int]:
    return parameters[row["scenario"]], row["scenario"]


def corrected_f1(
    rows: Sequence[documents.LeaderboardRow],
    predicted: Mapping[int, np.ndarray],
    parameters: Mapping[int, int],
    study: "Study",
) -> documents.CorrectedF1:
    """Return the winner's macro F1 corrected for the choice among `rows`; None if they all predict the same.

    Args:
        predicted: scenario -> predicted class of each photo of `study`, int64 [photos].
    """
    in_tie_order = [row["scenario"] for row in sorted(rows, key=lambda row: _tie_order(row, parameters))]
    answers = np.stack([predicted[number] for number in in_tie_order])
    corrected = bbc_cv.correct(study.labels, answers, len(study.classes), study.seed)
    return {
        "f1_corrected": corrected.f1 if corrected else None,
        "f1_corrected_low": corrected.low if corrected else None,
        "f1_corrected_high": corrected.high if corrected else None,
    }


def best_first(rows: Sequence[Row], winner_number: int | None) -> list[Row]:
    """Sort leaderboard rows for display: by exact F1, then the winner before rows tied with it, then by number.

    Args:
        rows: each with "scenario" and "confusion_matrix".
        winner_number: scenario number of the winner; None if there is no winner.
    """

    def key(row: Row) -> tuple[Any, ...]:
        return -metrics.exact_f1(row["confusion_matrix"]), row["scenario"] != winner_number, row["scenario"]

    return sorted(rows, key=key)


def winner(rows: Sequence[documents.LeaderboardRow], parameters: Mapping[int, int]) -> documents.Winner:
    """Return the best row, without its matrix and time, and the reason why it won."""
    best, *others = rank(rows, parameters)
    highest = metrics.exact_f1(best["confusion_matrix"])
    tied = [row for row in others if metrics.exact_f1(row["confusion_matrix"]) == highest]
    reason = f"highest macro F1 of {len(rows)}"
    if tied:
        reason += f", tied with {_numbers(tied)}: {_tie_break(best, tied, parameters)}"
    scores = {name: value for name, value in best.items() if name not in ("confusion_matrix", "seconds")}
    return cast(documents.Winner, {**scores, "parameters": parameters[best["scenario"]], "reason": reason})


def _tie_break(
    best: documents.LeaderboardRow, tied: Sequence[documents.LeaderboardRow], parameters: Mapping[int, int]
) -> str:
    """Return the reason why `best` ranks before the scenarios `tied` with it, as text."""
    larger = [row for row in tied if parameters[row["scenario"]] > parameters[best["scenario"]]]
    equally_large = [row for row in tied if row not in larger]
    if larger and equally_large:
        return f"fewer parameters than {_numbers(larger)}, lower number than {_numbers(equally_large)}"
    return "fewer parameters" if larger else "lower number"


def _numbers(rows: Sequence[documents.LeaderboardRow]) -> str:
    return ", ".join(str(number) for number in sorted(row["scenario"] for row in rows))
