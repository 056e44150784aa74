"""Comparison of many scenarios on the same photos: p values and confidence intervals that hold for all pairs at once.

The difference of two scenarios' macro F1 is a sum over photos (see `pair_contributions`). If two scenarios are equally
good, each photo's contribution is taken to be as likely to have the other sign, so signs drawn at random show how large
differences arise by chance. The signs of a photo are the same for all pairs, which keeps the correlation of the pairs,
and each draw yields its largest standardized difference. This is max-T in its single-step form (Westfall and Young,
Resampling-Based Multiple Testing, 1993; Romano and Wolf, Exact and Approximate Stepwise Methods for Multiple Hypothesis
Testing, JASA 2005). The family contains every pair, which accounts for a winner chosen on the same photos. For the
accuracy of one pair it is McNemar's exact test. docs/method.md has the assumptions and simulated error rates.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import scipy.stats

SIGN_DRAWS = 99_999
MORE_SIGN_DRAWS = 499_999  # where a p value is so close to 0.05 that the verdict would depend on the draws
MIN_SIGN_DRAWS = 1_999
MAX_PRODUCTS = 1e12  # about a minute; many scenarios and photos get fewer draws
BLOCK_NUMBERS = 4_000_000  # in a block of draws
SIGNIFICANCE = 0.05  # familywise
ROUNDING = 1e-5  # relative, of the float32 sums; a tie with the observation counts as at least as large

Blocks = Callable[[], Iterable[np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Differences:
    """Differences of a family, with intervals and p values that hold for all of them at once.

    Attributes:
        gap: float64 [differences], in [-1, 1].
        low, high: float64 [differences], in [-1, 1], simultaneous 95 % confidence intervals.
        p: float64 [differences], adjusted, in (0, 1]. Below 0.05 exactly if the interval does not contain 0.
    """

    gap: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


def pair_contributions(actual: np.ndarray, first: np.ndarray, second: np.ndarray, classes: int) -> np.ndarray:
    """Return what each photo adds to macro F1 of `first` minus macro F1 of `second`, float64 [photos].

    They sum to the difference, change sign when the two are exchanged, and are 0 if both predict the same. For one
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


def _counts(actual: np.ndarray, predicted: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return actual, correctly predicted, and actual + predicted photos of each class, int64 [classes]."""
    photos_of = np.bincount(actual, minlength=classes)
    hits = np.bincount(actual[predicted == actual], minlength=classes)
    return photos_of, hits, photos_of + np.bincount(predicted, minlength=classes)


def compare(contributions: np.ndarray, photos: int, seed: int, reported: Sequence[int] | None = None) -> Differences:
    """Compare a family of differences, each the sum of a column of `contributions`, float64 [n, differences].

    The other arguments are as in `compare_blocks`.
    """
    return compare_blocks(lambda: [contributions], photos, seed, reported)


def compare_blocks(blocks: Blocks, photos: int, seed: int, reported: Sequence[int] | None = None) -> Differences:
    """Compare a family of differences whose contributions do not fit in memory.

    Scenarios with the same answers to these photos may answer other photos differently. Therefore the standard error
    counts one more photo with different answers, of the average weight 1 / photos (as Agresti and Min, Simple Improved
    Confidence Intervals for Comparing Matched Proportions, 2005), and no p value is below that of a normal
    distribution: random signs of a few photos can give a smaller one.

    Args:
        blocks: returns the contributions of the photos in blocks of differences; photos without any may be left out.
        photos: number of all photos, at least n.
        reported: indices of the differences in the report, whose verdicts must not depend on the draws; None for all.
    """
    sums = [(block.sum(axis=0), (block**2).sum(axis=0), block.any(axis=1)) for block in blocks()]
    gaps, squares, have_any = zip(*sums, strict=True)
    gap, error = np.concatenate(gaps), np.sqrt(np.concatenate(squares) + 1 / photos**2)
    contributing, observed = np.any(have_any, axis=0), np.abs(gap) / error
    numbers = int(contributing.sum()) * len(gap)

    def standardized() -> Iterator[np.ndarray]:
        start = 0
        for block in blocks():
            yield block[contributing] / error[start : start + block.shape[1]]
            start += block.shape[1]

    largest = largest_by_chance(standardized, seed, draws_for(numbers, SIGN_DRAWS))
    p = _p_values(largest, observed)
    margin = 4 * np.sqrt(SIGNIFICANCE * (1 - SIGNIFICANCE) / len(largest))  # four standard errors of p
    reported_p = p if reported is None else p[list(reported)]
    more_draws = draws_for(numbers, MORE_SIGN_DRAWS)
    if more_draws > len(largest) and (np.abs(reported_p - SIGNIFICANCE) < margin).any():
        largest = largest_by_chance(standardized, seed, more_draws)
        p = _p_values(largest, observed)
    at_threshold = int(np.ceil(SIGNIFICANCE * (len(largest) + 1) - 1))  # draws that reach a difference whose p is 0.05
    critical = max(largest[-at_threshold] / (1 - ROUNDING), scipy.stats.norm.isf(SIGNIFICANCE / 2))
    low, high = gap - critical * error, gap + critical * error
    return Differences(gap, np.maximum(low, -1), np.minimum(high, 1), p)


def _p_values(largest: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return the share of draws, counting the observation as one, that are at least as large as each of `observed`."""
    draws = len(largest)
    by_signs = (1 + draws - np.searchsorted(largest, observed * (1 - ROUNDING))) / (draws + 1)
    return np.maximum(by_signs, 2 * scipy.stats.norm.sf(observed))


def largest_by_chance(standardized: Blocks, seed: int, draws: int) -> np.ndarray:
    """Return the largest absolute column sum for each draw of signs of the rows, float32 [draws], ascending.

    Args:
        standardized: returns float64 [photos, differences] in blocks of differences, the first one not the smallest,
            with at least one difference.
    """
    largest, shape = np.zeros(draws, np.float32), None
    for block in standardized():
        rows, start = block.astype(np.float32), 0
        shape = shape or rows.shape  # the signs depend on it, and must be the same for all blocks
        for signs in sign_blocks(shape, draws, seed):
            sums = np.abs(signs @ rows).max(axis=1)
            part = slice(start, start := start + len(sums))
            largest[part] = np.maximum(largest[part], sums)
    return np.sort(largest)


def draws_for(numbers: int, max_draws: int) -> int:
    """Return the draws for a matrix of `numbers` numbers: within `MAX_PRODUCTS`, but at least `MIN_SIGN_DRAWS`."""
    return int(np.clip(MAX_PRODUCTS / max(1, numbers), min(MIN_SIGN_DRAWS, max_draws), max_draws))


def sign_blocks(shape: tuple[int, ...], draws: int, seed: int) -> Iterator[np.ndarray]:
    """Yield signs for `draws` draws, float32 [block, photos], in blocks that fit a product with [photos, columns]."""
    generator, step = np.random.default_rng(seed), max(1, BLOCK_NUMBERS // max(1, *shape))
    for start in range(0, draws, step):
        bits = generator.integers(0, 256, (min(step, draws - start), -(-shape[0] // 8)), np.uint8)
        yield np.unpackbits(bits, axis=1, count=shape[0]).astype(np.float32) * 2 - 1
