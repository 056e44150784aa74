"""Uncertainty of the figures: bootstrap intervals, paired comparisons of two scenarios, and calibration.

The bootstrap draws photos with replacement (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13
and 16). A confusion matrix only counts photos, so a draw of n photos is a multinomial draw of n counts over its cells:
the same distribution, without touching a photo. Models are not retrained: the intervals do not include what another
seed or another split would change.
"""

from collections.abc import Sequence

import numpy as np
import scipy.stats

DRAWS = 2000  # at least; comparisons take more, see draws_for
DRAWS_AT_ONCE = 200
LEVEL = 0.95  # confidence level of the intervals
SIGNIFICANCE = 0.05  # familywise, of all comparisons together
BINS = 15  # of confidence, as in Guo et al. 2017


def macro_f1(matrices: np.ndarray) -> np.ndarray:
    """Return macro F1 of each confusion matrix: [..., classes, classes] -> [...]. A quotient 0/0 counts as 0."""
    hits = np.diagonal(matrices, axis1=-2, axis2=-1)
    return _mean_f1(hits, matrices.sum(axis=-1) + matrices.sum(axis=-2))


def macro_f1_of_present_classes(matrix: np.ndarray) -> float:
    """Return macro F1 over the classes with photos in a confusion matrix, int64 [classes, classes].

    A fold may have no photo of a small class.
    """
    present = matrix.sum(axis=1) > 0
    return float(_mean_f1(np.diagonal(matrix)[present], (matrix.sum(axis=1) + matrix.sum(axis=0))[present]))


def _mean_f1(hits: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Return the mean over classes of 2 x hits / (actual + predicted): [..., classes] each -> [...]."""
    return np.divide(2 * hits, totals, out=np.zeros(hits.shape), where=totals > 0).mean(axis=-1)


def interval(matrix: np.ndarray, seed: int) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the macro F1 of `matrix`, int64 [classes, classes]."""
    return _percentiles(macro_f1(_redraw(matrix, seed)))


def difference(
    actual: np.ndarray, predicted: np.ndarray, other: np.ndarray, classes: int, seed: int, draws: int = DRAWS
) -> tuple[float, float, float]:
    """Compare macro F1 of `predicted` and `other` by paired bootstrap; return low and high of the difference, and p.

    Low and high are the ends of the 95 % interval. p is two-sided, the level at which the percentile interval first
    touches 0 (Efron and Tibshirani, section 15.4); it is at least 2 / (draws + 1), see `draws_for`.

    Args:
        actual, predicted, other: int64 [photos], in [0, classes), of the same photos in the same order.
    """
    cells, counts = np.unique(np.stack([actual, predicted, other]), axis=1, return_counts=True)
    of_actual, of_predicted, of_other = np.eye(classes)[cells]  # the class of each cell, one-hot
    photos, generator = len(actual), np.random.default_rng(seed)
    gaps = np.empty(draws)
    for start in range(0, draws, DRAWS_AT_ONCE):
        block = gaps[start : start + DRAWS_AT_ONCE]
        drawn = generator.multinomial(photos, counts / photos, len(block))
        first, second = (
            _mean_f1(drawn @ (of_actual * of_answer), drawn @ (of_actual + of_answer))
            for of_answer in (of_predicted, of_other)
        )
        block[:] = first - second
    tail = int(min(np.count_nonzero(gaps <= 0), np.count_nonzero(gaps >= 0)))
    return *_percentiles(gaps), min(1.0, 2 * (tail + 1) / (draws + 1))


def draws_for(comparisons: int) -> int:
    """Return the draws needed for the smallest p to be significant after `holm` multiplies it by `comparisons`."""
    return max(DRAWS, 100 * comparisons)


def mcnemar(right: np.ndarray, other_right: np.ndarray) -> tuple[int, int, float]:
    """Return the photos that only the first got right, those that only the other got right, and McNemar's exact p.

    Under equal accuracy the discordant photos fall on either side like a fair coin (McNemar 1947; for classifiers
    Dietterich 1998, who finds it sound where each model is trained once).
    """
    first, second = int((right & ~other_right).sum()), int((other_right & ~right).sum())
    p = scipy.stats.binomtest(first, first + second).pvalue if first + second else 1.0
    return first, second, float(p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for multiple comparisons by Holm's method (1979), in the same order.

    The smallest is multiplied by their number m, the next by m - 1 and so on, and none falls below the one before.
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(1, np.maximum.accumulate(np.asarray(p_values)[order] * factors))
    return corrected.tolist()


def reliability(confidence: np.ndarray, right: np.ndarray) -> list[dict[str, float]]:
    """Return the non-empty confidence bins, each with edges, photos, mean confidence and accuracy.

    There are 15 of equal width, (low, high] (Guo et al., On Calibration of Modern Neural Networks, 2017).
    """
    number = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    return [
        {
            "low": index / BINS,
            "high": (index + 1) / BINS,
            "photos": int((number == index).sum()),
            "confidence": float(confidence[number == index].mean()),
            "accuracy": float(right[number == index].mean()),
        }
        for index in np.unique(number).tolist()
    ]


def expected_calibration_error(bins: Sequence[dict[str, float]]) -> float:
    """Return the mean gap between confidence and accuracy, bins weighted by photos (Naeini et al. 2015)."""
    photos = sum(bin_["photos"] for bin_ in bins)
    return float(sum(bin_["photos"] * abs(bin_["confidence"] - bin_["accuracy"]) for bin_ in bins) / photos)


def coverage(confidence: np.ndarray, right: np.ndarray, thresholds: Sequence[float]) -> list[dict[str, float | None]]:
    """Return, for each threshold, the share of photos with at least that confidence and the accuracy among them.

    This is the risk-coverage curve of El-Yaniv and Wiener 2010, by threshold. Accuracy is None where no photo is left.
    """
    rows: list[dict[str, float | None]] = []
    for threshold in thresholds:
        answered = confidence >= threshold
        accuracy = float(right[answered].mean()) if answered.any() else None
        rows.append({"threshold": threshold, "coverage": float(answered.mean()), "accuracy": accuracy})
    return rows


def _redraw(counts: np.ndarray, seed: int) -> np.ndarray:
    """Draw the photos of `counts` with replacement `DRAWS` times: int64 [DRAWS, *counts.shape]."""
    total = counts.sum()
    draws = np.random.default_rng(seed).multinomial(total, counts.ravel() / total, DRAWS)
    return draws.reshape(DRAWS, *counts.shape)


def _percentiles(draws: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
