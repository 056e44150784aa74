"""Comparisons between scenarios: with the winner, and of the values of backbone, optimizer and dropout."""

import collections
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.report import max_t
from tuner import predictions
from tuner.scenarios import HYPERPARAMETERS

SETTINGS = ("backbone", "optimizer", "dropout")
MATRIX_NUMBERS = 25_000_000  # in a block of contributions, for bounded memory; 100 scenarios of 2,500 photos have fewer

Answers = Mapping[int, predictions.Predictions]  # scenario -> its predictions, of the same photos in the same order


def with_winner(numbers: Sequence[int], answers: Answers, seed: int) -> dict[int, dict[str, Any]]:
    """Compare each other scenario with the winner, and return scenario -> comparison.

    The p values and intervals hold for all pairs of scenarios with different answers, not only for those with the
    winner, because any scenario could have been chosen.

    Args:
        numbers: the scenarios, the winner first.
    """
    if len(numbers) < 2:
        return {}
    rows, row_numbers = np.unique([answers[number].predicted for number in numbers], axis=0, return_inverse=True)
    row_of = dict(zip(numbers, row_numbers.ravel().tolist(), strict=True))
    pairs = list(itertools.combinations(range(len(rows)), 2))
    column_of = {pair: column for column, pair in enumerate(pairs)}
    winner, *others = numbers
    reported = [column for pair, column in column_of.items() if row_of[winner] in pair]
    compared_rows = [(rows[i], rows[j]) for i, j in pairs]
    differences = compare_rows(answers[winner], compared_rows, seed, reported) if pairs else None
    return {
        number: {
            **_difference(differences, column_of, row_of[winner], row_of[number]),
            **_discordant(answers[winner], answers[number]),
        }
        for number in others
    }


def identical(numbers: Sequence[int], answers: Answers) -> dict[int, int]:
    """Return scenario -> the first of `numbers` that predicts the same class for every photo, often itself."""
    first: dict[bytes, int] = {}
    return {number: first.setdefault(answers[number].predicted.tobytes(), number) for number in numbers}


def compare_rows(
    answers: predictions.Predictions,
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    seed: int,
    reported: Sequence[int] | None = None,
) -> max_t.Differences:
    """Compare macro F1 of each pair of predictions, int64 [photos] each, for the photos of `answers`.

    Args:
        reported: see max_t.compare.
    """
    step = max(1, MATRIX_NUMBERS // len(answers.actual))

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, len(pairs), step):
            yield _contributions(answers, pairs[start : start + step])

    return max_t.compare_blocks(blocks, len(answers.actual), seed, reported)


def _difference(
    differences: max_t.Differences | None, column_of: Mapping[tuple[int, int], int], first: int, second: int
) -> dict[str, Any]:
    """Return the difference of row `first` minus row `second`, without an interval if they are the same row."""
    if differences is None or first == second:
        return {"gap": 0.0, "gap_low": None, "gap_high": None, "p": 1.0, "told_apart": False}
    column = column_of[min(first, second), max(first, second)]
    gap, low, high, p = (
        float(values[column]) for values in (differences.gap, differences.low, differences.high, differences.p)
    )
    if first > second:
        gap, low, high = -gap, -high, -low
    return {"gap": gap, "gap_low": low, "gap_high": high, "p": p, "told_apart": p < max_t.SIGNIFICANCE}


def _discordant(first: predictions.Predictions, second: predictions.Predictions) -> dict[str, int]:
    """Count the photos that only one of the two scenarios classified correctly."""
    right, other_right = (answers.predicted == answers.actual for answers in (first, second))
    return {
        "only_winner_right": int((right & ~other_right).sum()),
        "only_other_right": int((other_right & ~right).sum()),
    }


def of_settings(scenarios: list[dict[str, Any]], answers: Answers, seed: int) -> dict[str, Any]:
    """Return setting -> its values, best mean first, and the gap between the best and the worst value.

    The p value and interval of the gap hold for all pairs of values of the setting, because the best and the worst
    were selected by their results. The mapping is empty if there are no scenarios.
    """
    return {setting: _compare(setting, scenarios, answers, seed) for setting in SETTINGS} if scenarios else {}


def _compare(setting: str, scenarios: list[dict[str, Any]], answers: Answers, seed: int) -> dict[str, Any]:
    values = list(dict.fromkeys(row[setting] for row in scenarios))
    groups = [_group(value, [row for row in scenarios if row[setting] == value]) for value in values]
    groups.sort(key=lambda group: -group["mean"])
    numbers = [[row["scenario"] for row in scenarios if row[setting] == group["value"]] for group in groups]
    pairs = list(itertools.combinations(range(len(groups)), 2))
    result = {
        "values": groups,
        "matched": _widest_matched_gap(setting, scenarios),
        "next_best": max((group["best"] for group in groups[1:]), default=None),
    }
    if not pairs:
        return result
    means = [_mean_contributions(numbers[i], numbers[j], answers) for i, j in pairs]
    differences = max_t.compare(np.stack(means, axis=1), len(means[0]), seed)
    return result | _difference(differences, {pair: column for column, pair in enumerate(pairs)}, 0, len(groups) - 1)


def _group(value: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
    f1 = [row["f1"] for row in rows]
    return {
        "value": value,
        "scenarios": len(rows),
        "best": max(f1),
        "mean": float(np.mean(f1)),
        "worst": min(f1),
        "spread": max(f1) - min(f1),
    }


def _mean_contributions(first: Sequence[int], second: Sequence[int], answers: Answers) -> np.ndarray:
    """Return each photo's contribution to the difference of two groups' mean macro F1, float64 [photos]."""
    pairs = [(answers[i].predicted, answers[j].predicted) for i, j in itertools.product(first, second)]
    return _contributions(answers[first[0]], pairs).mean(axis=1)


def _contributions(answers: predictions.Predictions, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return each photo's contribution to the difference of each pair of predictions, float64 [photos, pairs]."""
    columns = np.empty((len(answers.actual), len(pairs)))
    for column, (first, second) in enumerate(pairs):
        columns[:, column] = max_t.pair_contributions(answers.actual, first, second, len(answers.classes))
    return columns


def _widest_matched_gap(setting: str, scenarios: list[dict[str, Any]]) -> float | None:
    """Return the widest gap between two scenarios that differ only in `setting`, or None if no two do."""
    others = [name for name in HYPERPARAMETERS if name != setting]
    matched = collections.defaultdict(list)
    for row in scenarios:
        matched[tuple(row.get(name) for name in others)].append(row)
    gaps = [
        max(row["f1"] for row in rows) - min(row["f1"] for row in rows) for rows in matched.values() if len(rows) > 1
    ]
    return max(gaps, default=None)
