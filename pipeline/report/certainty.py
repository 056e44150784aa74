"""Levels of certainty of an answer, with thresholds from scores in cross-validation."""

from typing import Any

import numpy as np
import sklearn.isotonic

# The page states a single class for "sure" answers, so that at most 1 in 10 of the least certain of them may be wrong.
# It names a second class for "probable" ones, of which most must still be right.
SURE_CHANCE = 0.9
PROBABLE_CHANCE = 0.6
MIN_ANSWERS = 20  # of fewer, the share that is right is known only within 20 percentage points or more


def levels(confidence: np.ndarray, right: np.ndarray) -> list[dict[str, Any]]:
    """Return name, lowest score, and counts of answers and right answers of each level, the most certain first.

    "sure" begins at the lowest score whose answers are right with a chance of 90 %, "probable" at the one of 60 %. The
    chance at a score is estimated by isotonic regression, so that the least certain answers of a level reach it too,
    and not only their average. A level with fewer than 20 answers is joined with the next. "unsure" is the rest, from
    0; it is always listed, even without answers, because later answers may have lower scores.

    Args:
        confidence: float64 [photos], the highest score of each answer, in [0, 1].
        right: bool [photos], whether the answer is right.
    """
    chance = _chance_right(confidence, right)
    result: list[dict[str, Any]] = []
    rest = np.ones(len(confidence), bool)  # answers of no level so far
    for name, lowest_chance in (("sure", SURE_CHANCE), ("probable", PROBABLE_CHANCE)):
        in_level = rest & (chance >= lowest_chance)
        if in_level.sum() >= MIN_ANSWERS:
            result.append(_level(name, float(confidence[in_level].min()), right[in_level]))
            rest &= ~in_level
    return [*result, _level("unsure", 0.0, right[rest])]


def _chance_right(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the chance that the answers of each confidence are right, float64 [photos], which rises with it."""
    if not len(confidence):
        return np.zeros(0)
    return sklearn.isotonic.IsotonicRegression().fit_transform(confidence, right)


def _level(name: str, from_score: float, right: np.ndarray) -> dict[str, Any]:
    return {"name": name, "from_score": from_score, "answers": len(right), "right": int(right.sum())}
