"""How often prediction sets hold the actual class, how large they are, and how certain the answers are."""

from collections.abc import Sequence

import numpy as np

from components.base import documents, settings, statistics


def figures(sets: np.ndarray, actual: np.ndarray, classes: Sequence[str]) -> documents.SetFigures:
    """Return coverage with its interval, overall and of each class with photos, and the sizes of the sets.

    Args:
        sets: bool [photos, classes]. Sets by thresholds of the same photos would flatter.
        actual: int64 [photos], in [0, classes).
    """
    sizes, counts = np.unique(sets.sum(axis=1), return_counts=True)
    of_classes = {name: actual == number for number, name in enumerate(classes) if (actual == number).any()}
    return {
        **_coverage(sets, actual),
        "sizes": {str(size): int(count) for size, count in zip(sizes, counts, strict=True)},
        "per_class": [{"class": name, **_coverage(sets[rows], actual[rows])} for name, rows in of_classes.items()],
    }


def _coverage(sets: np.ndarray, actual: np.ndarray) -> documents.Coverage:
    held = int(sets[np.arange(len(actual)), actual].sum())
    low, high = statistics.share_interval(held, len(actual))
    mean_size = float(sets.sum(axis=1).mean())
    return {"photos": len(actual), "coverage": held / len(actual), "low": low, "high": high, "mean_size": mean_size}


def flagged(typicality: np.ndarray) -> documents.Share:
    """Return the share of untypical photos, with its interval.

    Args:
        typicality: float [photos] in [0, 1], see components/models/typicality.py.
    """
    count = int((typicality < settings.UNTYPICAL_BELOW).sum())
    low, high = statistics.share_interval(count, len(typicality))
    return {"count": count, "share": count / len(typicality), "low": low, "high": high}


def certainty(
    sets: np.ndarray, typicality: np.ndarray, scores: np.ndarray, actual: np.ndarray
) -> list[documents.Level]:
    """Count the answers of each state of the web page, and how many of them are right.

    A "sure" answer has one class and an "unsure" one several; an "untypical" one may have either. A sure or untypical
    answer is right if the most probable class is the actual one, an unsure one if the actual class is in its set.
    """
    untypical = typicality < settings.UNTYPICAL_BELOW
    one_class = sets.sum(axis=1) == 1
    top_is_right = scores.argmax(axis=1) == actual
    in_set = sets[np.arange(len(actual)), actual]
    states = (
        ("sure", ~untypical & one_class, top_is_right),
        ("unsure", ~untypical & ~one_class, in_set),
        ("untypical", untypical, top_is_right),
    )
    return [{"name": name, "answers": int(rows.sum()), "right": int(right[rows].sum())} for name, rows, right in states]
