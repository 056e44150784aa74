"""Comparison of many scenarios that answered the same photos: p values and intervals that hold for all pairs at once.

The difference of two scenarios' macro F1 is a sum over photos (see `pair_contributions`). If two scenarios are equally
good, each photo's contribution is as likely to have the other sign, so signs drawn at random show how large
differences arise by chance. The signs of a photo are the same for all pairs, which keeps the correlation of the pairs,
and the largest standardized difference of each draw is recorded: max-T (Westfall and Young, Resampling-Based Multiple
Testing, 1993; Romano and Wolf, Exact and Approximate Stepwise Methods for Multiple Hypothesis Testing, JASA 2005). A
winner chosen on the same photos is thereby allowed for, because the family holds every pair. For the accuracy of two
scenarios this is McNemar's exact test. docs/METHOD.md has the assumptions and simulated error rates.
"""

import dataclasses

import numpy as np

DRAWS = 99_999
MORE_DRAWS = 999_999  # where a p value is so close to 0.05 that the verdict would depend on the draws
FEWEST_DRAWS = 1_999
MOST_PRODUCTS = 1e12  # about a minute; more scenarios or photos get fewer draws
NUMBERS_AT_ONCE = 4_000_000  # limits memory to tens of megabytes
SIGNIFICANCE = 0.05  # familywise
ROUNDING = 1e-5  # relative, of the float32 sums; ties count as at least as large


@dataclasses.dataclass(frozen=True)
class Differences:
    """Differences of a family, with what holds for all of them at once.

    Attributes:
        gap: float64 [differences].
        low, high: float64 [differences], simultaneous 95 % confidence intervals.
        p: float64 [differences], adjusted; at least 1 / (draws + 1). Below 0.05 exactly where 0 is outside of the
            interval.
    """

    gap: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


def pair_contributions(actual: np.ndarray, first: np.ndarray, second: np.ndarray, classes: int) -> np.ndarray:
    """Return what each photo adds to macro F1 of `first` minus macro F1 of `second`, float64 [photos].

    They sum to the difference, change sign when the two are exchanged, and are 0 where both predict the same. For one
    class let F = N / D of each, N = 2 TP and D = actual + predicted. Then F1 - F2 = (N1 - N2 - F (D1 - D2)) / D with F
    and D the means of the two, because F1 D1 - F2 D2 = F (D1 - D2) + D (F1 - F2); N and D are counts of photos.

    Args:
        actual, first, second: int64 [photos], in [0, classes), actual and predicted classes of the same photos; every
            class is actual.
    """
    (_, hits, total), (_, other_hits, other_total) = (_counts(actual, row, classes) for row in (first, second))
    f1 = hits / total + other_hits / other_total  # mean of the two
    mean_total = (total + other_total) / 2

    def added(predicted: np.ndarray) -> np.ndarray:
        return (2 * (predicted == actual) - f1[predicted]) / (mean_total[predicted] * classes)

    return np.where(first == second, 0.0, added(first) - added(second))


def photo_effects(actual: np.ndarray, predicted: np.ndarray, classes: int) -> tuple[np.ndarray, float]:
    """Return how much each photo moves macro F1 from its mean within the photo's class, float64 [photos], and macro F1.

    It is the influence function of macro F1 for photos drawn within their classes; the effects of a class sum to 0.

    Args:
        actual, predicted: int64 [photos], in [0, classes), where every class is actual.
    """
    photos_of, hits, total = _counts(actual, predicted, classes)
    f1 = 2 * hits / total
    effect = (2 * (predicted == actual) - f1[predicted]) / (total[predicted] * classes)
    return effect - (np.bincount(actual, effect, classes) / photos_of)[actual], float(f1.mean())


def _counts(actual: np.ndarray, predicted: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return actual, correctly predicted, and actual + predicted photos of each class, int64 [classes]."""
    photos_of = np.bincount(actual, minlength=classes)
    hits = np.bincount(actual[predicted == actual], minlength=classes)
    return photos_of, hits, photos_of + np.bincount(predicted, minlength=classes)


def compare(contributions: np.ndarray, seed: int) -> Differences:
    """Compare a family of differences, each the sum of a column of `contributions`, float64 [photos, differences]."""
    gap, error = contributions.sum(axis=0), np.sqrt((contributions**2).sum(axis=0))
    varies = error > 0  # the others are of equal answers
    if not varies.any():
        return Differences(gap, gap, gap, np.ones(len(gap)))
    standardized, observed = contributions[:, varies] / error[varies], np.abs(gap[varies]) / error[varies]
    largest = largest_by_chance(standardized, seed, DRAWS)
    unsure = 4 * np.sqrt(SIGNIFICANCE * (1 - SIGNIFICANCE) / len(largest))  # standard errors of p
    if (np.abs(_p_values(largest, observed) - SIGNIFICANCE) < unsure).any():
        largest = largest_by_chance(standardized, seed, MORE_DRAWS)
    p = np.ones(len(gap))
    p[varies] = _p_values(largest, observed)
    most = int(np.ceil(SIGNIFICANCE * (len(largest) + 1) - 1))  # draws that reach a difference whose p is 0.05
    reach = error * largest[-most] / (1 - ROUNDING)
    return Differences(gap, gap - reach, gap + reach, p)


def _p_values(largest: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return the share of draws, and of the observation itself, that are at least as large as each of `observed`."""
    draws = len(largest)
    return (1 + draws - np.searchsorted(largest, observed * (1 - ROUNDING))) / (draws + 1)


def largest_by_chance(standardized: np.ndarray, seed: int, most_draws: int) -> np.ndarray:
    """Return the largest absolute sum over the columns for each draw of signs of the rows, float32 [draws], ascending.

    Args:
        standardized: float64 [photos, differences], each column of length 1.
    """
    rows = standardized[standardized.any(axis=1)].astype(np.float32)
    draws = int(np.clip(MOST_PRODUCTS / rows.size, min(FEWEST_DRAWS, most_draws), most_draws))
    generator, largest = np.random.default_rng(seed), np.empty(draws, np.float32)
    step = max(1, NUMBERS_AT_ONCE // max(rows.shape))
    for start in range(0, draws, step):
        block = largest[start : start + step]
        signs = generator.integers(0, 2, (len(block), len(rows)), np.int8).astype(np.float32) * 2 - 1
        block[:] = np.abs(signs @ rows).max(axis=1)
    return np.sort(largest)
