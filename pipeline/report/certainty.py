"""Levels of certainty of an answer, with thresholds from scores in cross-validation."""

from typing import Any

import numpy as np

# The page states a single class for "sure" answers, so at most 1 in 20 may be wrong, the usual level for a risk that
# people accept unseen. It names a second class for "probable" ones, of which most must still be right.
SURE_SHARE_RIGHT = 0.95
PROBABLE_SHARE_RIGHT = 0.70
MIN_ANSWERS = 20  # of fewer, the share that is right is known only within 20 percentage points or more


def levels(confidence: np.ndarray, right: np.ndarray) -> list[dict[str, Any]]:
    """Return name, lowest score, and counts of answers and right answers of each level, the most certain first.

    "sure" begins at the lowest score from which at least 95 % of the answers were right, "probable" at the lowest one
    from which at least 70 % of the answers below "sure" were. A level without 20 such answers is left out. "unsure" is
    the rest, from 0; it is always there, even without answers, because later answers may have lower scores.

    Args:
        confidence: float64 [photos], the highest score of each answer, in [0, 1].
        right: bool [photos], whether the answer is right.
    """
    found: list[dict[str, Any]] = []
    below = np.ones(len(confidence), bool)  # answers of no level so far
    for name, share in (("sure", SURE_SHARE_RIGHT), ("probable", PROBABLE_SHARE_RIGHT)):
        threshold = _lowest_score(confidence[below], right[below], share)
        if threshold is not None:
            in_level = below & (confidence >= threshold)
            found.append(_level(name, threshold, right[in_level]))
            below &= ~in_level
    return [*found, _level("unsure", 0.0, right[below])]


def _lowest_score(confidence: np.ndarray, right: np.ndarray, share: float) -> float | None:
    """Return the lowest score from which at least `share` of 20 answers or more were right, or None."""
    order = np.argsort(-confidence, kind="stable")
    scores, answers = confidence[order], np.arange(1, len(order) + 1)
    last_of_score = np.append(scores[1:] != scores[:-1], True)[: len(scores)]  # equal scores are of one level
    fits = last_of_score & (answers >= MIN_ANSWERS) & (np.cumsum(right[order]) / answers >= share)
    return float(scores[np.flatnonzero(fits)[-1]]) if fits.any() else None


def _level(name: str, from_score: float, right: np.ndarray) -> dict[str, Any]:
    return {"name": name, "from_score": from_score, "answers": len(right), "right": int(right.sum())}
