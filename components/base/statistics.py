"""Uncertainty of one scenario's figures: the confidence interval of its macro F1, and its calibration.

Only the photos are random, drawn within their classes. Models are not trained again, so no interval covers another
seed, another split or other training photos. docs/method.md has the simulated coverage.
"""

from collections.abc import Sequence

import numpy as np
import scipy.stats

from components.base import metrics

LEVEL = 0.95  # confidence level of the intervals
BINS = 15  # of confidence, as in Guo et al. 2017
DRAWS = 2000


def interval(matrix: np.ndarray) -> tuple[float, float]:
    """Return the 95 % confidence interval of the macro F1 of `matrix`, int64 [classes, classes] with rows = actual.

    It is Jeffreys's interval of a proportion (Brown, Cai and DasGupta, Interval Estimation for a Binomial Proportion,
    2001) of the effective number of photos, n = F1 (1 - F1) / variance, as in surveys with unequal weights (Franco et
    al., Comparative Study of Confidence Intervals for Proportions in Complex Sample Surveys, 2019). The variance is the
    delta method's, with half a photo right and half a photo wrong added to each class, so that a class without a
    mistake does not count as certain.
    """
    classes, photos = len(matrix), matrix.sum(axis=1, keepdims=True)
    prior = np.full(matrix.shape, 0.5 / max(1, classes - 1))
    np.fill_diagonal(prior, 0.5)
    smoothed = (matrix + prior) * photos / (photos + prior.sum(axis=1, keepdims=True))
    score = macro_f1(smoothed)
    effective = score * (1 - score) / _variance(smoothed)
    return share_interval(macro_f1(matrix) * effective, effective)


def share_interval(successes: float, total: float) -> tuple[float, float]:
    """Return Jeffreys's 95 % interval of the share `successes` / `total`."""
    low, high = scipy.stats.beta.interval(LEVEL, successes + 0.5, total - successes + 0.5)
    return float(low) if successes else 0.0, float(high) if successes < total else 1.0


def macro_f1(matrix: np.ndarray) -> float:
    """Return macro F1 of a matrix of counts or expected counts, float64 [classes, classes]."""
    return metrics.score(matrix, [""] * len(matrix)).f1


def _variance(matrix: np.ndarray) -> float:
    """Return the variance of macro F1 by the delta method, of photos drawn within classes; `matrix` has no empty row.

    F1 of a class is N / D with N = 2 TP and D = actual + predicted, and a photo moves it by (its N - F1 x its D) / D.
    """
    photos, total = matrix.sum(axis=1), matrix.sum(axis=1) + matrix.sum(axis=0)
    f1 = 2 * np.diag(matrix) / total
    # effect of one photo of the row's class that is predicted as the column's class
    effect = (2 * np.eye(len(matrix)) - f1) / total / len(matrix)
    share = matrix / photos[:, None]
    spread = (share * effect**2).sum(axis=1) - (share * effect).sum(axis=1) ** 2
    return float((photos * spread).sum())


def reliability(confidence: np.ndarray, right: np.ndarray) -> list[dict[str, float]]:
    """Return the non-empty confidence bins: edges, photos, mean confidence, and accuracy with its 95 % interval.

    There are 15 bins of equal width, (low, high] (Guo et al., On Calibration of Modern Neural Networks, 2017).
    """
    number = _bin(confidence)
    bins = []
    for index in np.unique(number).tolist():
        in_bin = number == index
        low, high = share_interval(float(right[in_bin].sum()), float(in_bin.sum()))
        bins.append(
            {
                "low": index / BINS,
                "high": (index + 1) / BINS,
                "photos": int(in_bin.sum()),
                "confidence": float(confidence[in_bin].mean()),
                "accuracy": float(right[in_bin].mean()),
                "accuracy_low": low,
                "accuracy_high": high,
            }
        )
    return bins


def expected_calibration_error(bins: Sequence[dict[str, float]]) -> float:
    """Return the mean gap between confidence and accuracy, bins weighted by photos (Naeini et al. 2015)."""
    photos = sum(bin_["photos"] for bin_ in bins)
    return float(sum(bin_["photos"] * abs(bin_["confidence"] - bin_["accuracy"]) for bin_ in bins) / photos)


def confidence_gap(confidence: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Return the mean confidence minus the accuracy as "gap", its "size", and the limit of its size "by_chance".

    A perfectly calibrated model of this `confidence` is within the limit 95 % of the time: the number of its right
    answers is a sum of independent draws, each with the probability of its confidence.
    """
    deviation = np.sqrt((confidence * (1 - confidence)).sum()) / len(confidence)
    gap = float(confidence.mean() - right.mean())
    return {
        "gap": gap,
        "size": abs(gap),
        "by_chance": float(scipy.stats.norm.ppf((1 + LEVEL) / 2) * deviation),
    }


def calibration_error_by_chance(confidence: np.ndarray, seed: int) -> dict[str, float]:
    """Return the mean calibration error of a perfectly calibrated model of this `confidence`, and its 95 % range.

    Each answer is right with the probability of its confidence, as in the consistency resampling of Bröcker and Smith
    (Increasing the Reliability of Reliability Diagrams, 2007), but with the confidences unchanged. The error is above 0
    even then, because bins have few photos.

    Args:
        confidence: float64 [photos], in [0, 1].
    """
    in_bin = np.eye(BINS)[_bin(confidence)]
    generator = np.random.default_rng(seed)
    errors = np.array(
        [
            np.abs((confidence - (generator.random(len(confidence)) < confidence)) @ in_bin).sum() / len(confidence)
            for _ in range(DRAWS)
        ]
    )
    low, high = np.quantile(errors, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"mean": float(errors.mean()), "low": float(low), "high": float(high)}


def _bin(confidence: np.ndarray) -> np.ndarray:
    """Return the number of the bin of each confidence, int64 [photos] in [0, BINS)."""
    return np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)


def coverage(confidence: np.ndarray, right: np.ndarray, thresholds: Sequence[float]) -> list[dict[str, float | None]]:
    """Return, for each threshold, the share of photos with at least that confidence and the accuracy among them.

    This is the risk-coverage curve of El-Yaniv and Wiener 2010, by threshold. Accuracy is None if no photo reaches the
    threshold.
    """
    rows: list[dict[str, float | None]] = []
    for threshold in thresholds:
        answered = confidence >= threshold
        accuracy = float(right[answered].mean()) if answered.any() else None
        rows.append({"threshold": threshold, "coverage": float(answered.mean()), "accuracy": accuracy})
    return rows
