"""Comparisons between scenarios: with the winner, and of the values of backbone, optimizer and dropout."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.report import max_t
from tuner import predictions

SETTINGS = ("backbone", "optimizer", "dropout")
NOISE_DRAWS = 5_000  # each used with both signs

Answers = Mapping[int, predictions.Predictions]  # scenario -> its predictions, of the same photos in the same order


def with_winner(numbers: Sequence[int], answers: Answers, seed: int) -> dict[int, dict[str, Any]]:
    """Return scenario -> comparison with the winner, which is the first of `numbers`, for each of the others.

    The p values and intervals hold for all pairs of scenarios with different answers, not only for those with the
    winner, because any scenario could have been chosen.
    """
    if len(numbers) < 2:
        return {}
    rows, row_of = np.unique([answers[number].predicted for number in numbers], axis=0, return_inverse=True)
    row = dict(zip(numbers, row_of.ravel().tolist(), strict=True))
    pairs = list(itertools.combinations(range(len(rows)), 2))
    column_of = {pair: column for column, pair in enumerate(pairs)}
    first, *others = numbers
    shown = [column for pair, column in column_of.items() if row[first] in pair]
    compared = compare_rows(answers[first], [(rows[i], rows[j]) for i, j in pairs], seed, shown) if pairs else None
    return {
        number: {
            **_difference(compared, column_of, row[first], row[number]),
            **_discordant(answers[first], answers[number]),
        }
        for number in others
    }


def compare_rows(
    answers: predictions.Predictions,
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    seed: int,
    shown: Sequence[int] | None = None,
) -> max_t.Differences:
    """Compare macro F1 of each pair of predictions, int64 [photos] each, of the photos of `answers`."""
    return max_t.compare(_contributions(answers, pairs), len(answers.actual), seed, shown)


def _difference(
    compared: max_t.Differences | None, column_of: Mapping[tuple[int, int], int], first: int, second: int
) -> dict[str, Any]:
    """Return the difference of row `first` minus row `second`, without an interval for a row and itself."""
    if compared is None or first == second:
        return {"gap": 0.0, "gap_low": None, "gap_high": None, "p": 1.0, "told_apart": False}
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
    compared = max_t.compare(np.stack(means, axis=1), len(means[0]), seed)
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


def selection_bias(answers: Answers, rivals: Sequence[int], seed: int) -> dict[str, float] | None:
    """Return by how much the winner's macro F1 is too high on average, because it was chosen on the same photos.

    Noise with the covariance of the scenarios' F1 is drawn (signs of the photos, as in max_t), and that of the highest
    is averaged. "low" adds it to the F1 of all scenarios, as a bootstrap does (Tibshirani and Tibshirani, A Bias
    Correction for the Minimum Error Rate in Cross-Validation, 2009), which is too little where some are equally good;
    "high" supposes that all rivals are equally good.

    Args:
        rivals: the scenarios that may be as good as the winner, with it.

    Returns:
        "low" and "high", with 0 <= low <= high; or None where nothing was chosen, because all scenarios answer alike,
        or where a rival makes no mistake, so that its noise cannot be estimated from these photos.
    """
    effects, f1 = zip(
        *(max_t.photo_effects(each.actual, each.predicted, len(each.classes)) for each in answers.values()), strict=True
    )
    numbers = list(answers)
    among = [numbers.index(number) for number in rivals]
    alike = len(np.unique([each.predicted for each in answers.values()], axis=0)) == 1
    if alike or any(np.array_equal(answers[number].predicted, answers[number].actual) for number in rivals):
        return None
    matrix, low, high = np.stack(effects, axis=1).astype(np.float32), 0.0, 0.0
    for signs in max_t.sign_blocks(matrix.shape, NOISE_DRAWS, seed):
        for noise in (signs @ matrix, -signs @ matrix):
            chosen = (np.array(f1) + noise).argmax(axis=1)
            low += float(noise[np.arange(len(noise)), chosen].sum())
            high += float(noise[:, among].max(axis=1).sum())
    low = max(0.0, low / (2 * NOISE_DRAWS))
    return {"low": low, "high": max(low, high / (2 * NOISE_DRAWS))}
