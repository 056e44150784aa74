"""Comparisons between scenarios: with the winner, and of the values of backbone, optimizer and dropout."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.report import max_t
from tuner import predictions

SETTINGS = ("backbone", "optimizer", "dropout")
DRAWS = 9_999  # of the noise that chooses a winner

Answers = Mapping[int, predictions.Predictions]  # scenario -> its predictions, of the same photos in the same order


def with_winner(numbers: Sequence[int], answers: Answers, seed: int) -> dict[int, dict[str, Any]]:
    """Return scenario -> comparison with the winner, which is the first of `numbers`, for each of the others.

    The p values and intervals hold for all pairs of scenarios with different answers, not only for those with the
    winner, because any scenario could have been chosen.
    """
    first, *others = numbers
    row_of, column_of, compared = of_all_pairs([answers[number] for number in numbers], seed)
    return {
        number: {
            **_difference(compared, column_of, row_of[0], row_of[index]),
            **_discordant(answers[first], answers[number]),
        }
        for index, number in enumerate(others, start=1)
    }


def of_all_pairs(
    answers: Sequence[predictions.Predictions], seed: int
) -> tuple[list[int], dict[tuple[int, int], int], max_t.Differences]:
    """Return the row of each scenario, equal for equal answers, the column of each pair of rows, and the columns."""
    rows, row_of = np.unique([each.predicted for each in answers], axis=0, return_inverse=True)
    pairs = list(itertools.combinations(range(len(rows)), 2))
    contributions = _contributions(answers[0], [(rows[i], rows[j]) for i, j in pairs])
    return row_of.ravel().tolist(), {pair: i for i, pair in enumerate(pairs)}, max_t.compare(contributions, seed)


def _difference(
    compared: max_t.Differences, column_of: Mapping[tuple[int, int], int], first: int, second: int
) -> dict[str, Any]:
    """Return the difference of row `first` minus row `second`; equal rows do not differ."""
    if first == second:
        return {"gap": 0.0, "gap_low": 0.0, "gap_high": 0.0, "p": 1.0, "told_apart": False}
    column = column_of[min(first, second), max(first, second)]
    gap, low, high, p = (float(values[column]) for values in (compared.gap, compared.low, compared.high, compared.p))
    if first > second:
        gap, low, high = -gap, -high, -low
    return {"gap": gap, "gap_low": low, "gap_high": high, "p": p, "told_apart": p < max_t.SIGNIFICANCE}


def _discordant(first: predictions.Predictions, second: predictions.Predictions) -> dict[str, int]:
    """Return the photos that only one of the two got right."""
    right, other_right = (answers.predicted == answers.actual for answers in (first, second))
    return {
        "only_winner_right": int((right & ~other_right).sum()),
        "only_other_right": int((other_right & ~right).sum()),
    }


def of_settings(scenarios: list[dict[str, Any]], answers: Answers, seed: int) -> dict[str, Any]:
    """Return setting -> its values, best mean first, and the gap between the first and the last of them.

    The p value and interval of the gap hold for all pairs of values of the setting, because the two extremes were
    chosen. Empty without scenarios.
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
    compared = max_t.compare(np.stack(means, axis=1), seed)
    return result | _difference(compared, {pair: column for column, pair in enumerate(pairs)}, 0, len(groups) - 1)


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


def _mean_contributions(group: Sequence[int], other: Sequence[int], answers: Answers) -> np.ndarray:
    """Return what each photo adds to the difference of the groups' mean macro F1, float64 [photos]."""
    pairs = [(answers[i].predicted, answers[j].predicted) for i, j in itertools.product(group, other)]
    return _contributions(answers[group[0]], pairs).mean(axis=1)


def _contributions(answers: predictions.Predictions, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the contributions of each photo to the difference of each pair of predictions, float64 [photos, pairs]."""
    columns = np.empty((len(answers.actual), len(pairs)))
    for column, (first, second) in enumerate(pairs):
        columns[:, column] = max_t.pair_contributions(answers.actual, first, second, len(answers.classes))
    return columns


def _widest_matched_gap(setting: str, scenarios: list[dict[str, Any]]) -> float | None:
    """Return the widest gap between two scenarios that differ in `setting` alone, or None where no two do."""
    others = [name for name in SETTINGS if name != setting]
    ordered = sorted(scenarios, key=lambda row: [row[name] for name in others])
    matched = [list(rows) for _, rows in itertools.groupby(ordered, lambda row: [row[name] for name in others])]
    gaps = [max(row["f1"] for row in rows) - min(row["f1"] for row in rows) for rows in matched if len(rows) > 1]
    return max(gaps, default=None)


def selection_bias(answers: Answers, rivals: Sequence[int], seed: int) -> dict[str, float]:
    """Return by how much the winner's macro F1 is too high on average, because it was chosen on the same photos.

    Noise with the covariance of the scenarios' F1 is drawn (signs of the photos, as in max_t), and that of the highest
    is averaged. "low" adds it to the F1 of all scenarios, as a bootstrap does (Tibshirani and Tibshirani, A Bias
    Correction for the Minimum Error Rate in Cross-Validation, 2009), which is too little where some are equally good;
    "high" supposes that all rivals are equally good, which is the most that choosing can add.

    Args:
        rivals: the scenarios that may be as good as the winner, with it.
    """
    effects, f1 = zip(
        *(max_t.photo_effects(each.actual, each.predicted, len(each.classes)) for each in answers.values()), strict=True
    )
    signs = np.random.default_rng(seed).integers(0, 2, (DRAWS, len(effects[0])), np.int8).astype(np.float32) * 2 - 1
    noise = signs @ np.stack(effects, axis=1).astype(np.float32)
    chosen = (np.array(f1) + noise).argmax(axis=1)
    among = noise[:, [list(answers).index(number) for number in rivals]]
    return {"low": float(noise[np.arange(DRAWS), chosen].mean()), "high": float(among.max(axis=1).mean())}
