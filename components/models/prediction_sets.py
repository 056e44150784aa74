"""Prediction sets with stated coverage, by class-conditional cross-conformal prediction. Needs no TensorFlow.

A set has the most probable class, and each other class whose calibrated probability reaches the threshold of that
class. The thresholds come from out-of-fold probabilities, so that among new photos of each class, sets hold the actual
class with at least the stated probability: Sadinle, Lei and Wasserman (2019), "Least ambiguous set-valued classifiers
with bounded error levels", for thresholds of each class; Vovk (2015), "Cross-conformal predictors", for scores of
several folds. A photo whose actual class is the most probable one counts as held by any threshold, because sets are
never empty. Sets therefore hold more than stated of a class that is recognised more often than that.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import optimize

COVERAGES = (0.9, 0.95, 0.99)
MIN_PROBABILITY = 1e-7  # files round probabilities to six decimals, so that some are 0
TEMPERATURES = (0.05, 20.0)  # bounds of the search
SEPARATOR = "/"  # of the classes of a set in a CSV file; their names have blanks and commas, but no slash


@dataclasses.dataclass(frozen=True)
class Rule:
    """How sets are made of probabilities.

    Attributes:
        temperature: divides the logarithms of the probabilities, see `calibrated`.
        thresholds: float64 [classes] in [0, 1], of calibrated probabilities. With 0 a class is in every set, because
            it has too few photos for the coverage; with 1 it is only in sets of photos of which it is the most probable
            class.
    """

    temperature: float
    thresholds: np.ndarray


def fit(probabilities: np.ndarray, actual: np.ndarray, fold: np.ndarray, coverage: float) -> Rule:
    """Return the rule whose sets hold the actual class of at least the share `coverage` of the photos of each class.

    Args:
        probabilities: float64 [photos, classes], out-of-fold.
        actual: int64 [photos], in [0, classes).
        fold: int64 [photos], the fold that tested each photo.
        coverage: in (0, 1).
    """
    temperature = fit_temperature(probabilities, actual, fold)
    scores = calibrated(probabilities, temperature)
    of_actual = scores[np.arange(len(actual)), actual]
    of_actual[actual == scores.argmax(axis=1)] = 1.0
    counts = range(scores.shape[1])
    return Rule(temperature, np.array([_threshold(of_actual[actual == number], coverage) for number in counts]))


def _threshold(scores: np.ndarray, coverage: float) -> float:
    """Return the highest threshold that enough of the `scores` of a class reach, with conformal's correction for n."""
    enough = math.ceil(coverage * (len(scores) + 1))
    return float(np.sort(scores)[-enough]) if enough <= len(scores) else 0.0


def members(probabilities: np.ndarray, rule: Rule) -> np.ndarray:
    """Return whether each class is in the set of each photo, bool [photos, classes]."""
    scores = calibrated(probabilities, rule.temperature)
    most_probable = np.eye(scores.shape[1], dtype=bool)[scores.argmax(axis=1)]
    return most_probable | (scores >= rule.thresholds)


def as_text(in_set: np.ndarray, classes: Sequence[str]) -> str:
    """Return the classes of one set, bool [classes], for a CSV file: "glass/paper"."""
    return SEPARATOR.join(name for name, is_in_set in zip(classes, in_set, strict=True) if is_in_set)


def cross_fitted(probabilities: np.ndarray, actual: np.ndarray, fold: np.ndarray, coverage: float) -> np.ndarray:
    """Return the sets of each fold's photos by the rule of the other folds, bool [photos, classes]."""
    sets = np.zeros(probabilities.shape, bool)
    for tested in (fold == number for number in np.unique(fold)):
        rule = fit(probabilities[~tested], actual[~tested], fold[~tested], coverage)
        sets[tested] = members(probabilities[tested], rule)
    return sets


def calibrated(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return the softmax of the logarithms of `probabilities`, [photos, classes], divided by `temperature`."""
    clipped = np.maximum(probabilities, MIN_PROBABILITY)
    # relative to the largest one, as the powers of 100 small probabilities would all be 0 in float32
    powers = (clipped / clipped.max(axis=1, keepdims=True)) ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def fit_temperature(probabilities: np.ndarray, actual: np.ndarray, fold: np.ndarray) -> float:
    """Return the temperature with the lowest log loss, or 1 if that of other folds does not lower it in a fold.

    Temperature scaling is of Guo et al. (2017), "On calibration of modern neural networks".
    """
    scaled = scaled_by_other_folds(probabilities, actual, fold)
    if not log_loss(scaled, actual) < log_loss(probabilities, actual):
        return 1.0
    return _best_temperature(probabilities, actual)


def scaled_by_other_folds(probabilities: np.ndarray, actual: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return the photos of each fold calibrated by the best temperature of the other folds, [photos, classes].

    With a single fold there are no others, and the probabilities are returned unchanged.
    """
    scaled, numbers = probabilities.copy(), np.unique(fold)
    for tested in (fold == number for number in numbers if len(numbers) > 1):
        scaled[tested] = calibrated(probabilities[tested], _best_temperature(probabilities[~tested], actual[~tested]))
    return scaled


def _best_temperature(probabilities: np.ndarray, actual: np.ndarray) -> float:
    result = optimize.minimize_scalar(
        lambda logarithm: log_loss(calibrated(probabilities, math.exp(logarithm)), actual),
        bounds=tuple(map(math.log, TEMPERATURES)),
        method="bounded",
    )
    return math.exp(result.x)


def log_loss(probabilities: np.ndarray, actual: np.ndarray) -> float:
    """Return the mean negative logarithm of the probability of the actual class."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(actual)), actual], MIN_PROBABILITY)).mean())
