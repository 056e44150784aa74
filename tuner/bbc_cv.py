"""Macro F1 of the winner, corrected for the choice of the best scenario on the photos that it is scored on.

This is bootstrap bias-corrected cross-validation, BBC-CV (Tsamardinos, Greasidou and Borboudakis, Bootstrapping the
out-of-sample predictions for efficient and accurate cross-validation, Machine Learning 107, 2018). It trains nothing:
photos are drawn with replacement from the out-of-fold predictions, the best scenario on the drawn photos is chosen, and
it is scored on the photos that were not drawn. docs/method.md says what the correction covers.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import scipy.sparse

from components.base import statistics

BOOTSTRAPS = 1_000
BLOCK_NUMBERS = 4_000_000  # in an array of a block of bootstraps, for bounded memory
TIE = 1e-12  # scores that are closer are equal fractions that were rounded differently


@dataclasses.dataclass(frozen=True)
class CorrectedF1:
    """The corrected macro F1 of the winner and its 95 % interval, each in [0, 1]."""

    f1: float
    low: float
    high: float


def correct(actual: np.ndarray, predicted: np.ndarray, classes: int, seed: int) -> CorrectedF1 | None:
    """Return the corrected macro F1 of the best scenario, or None if all scenarios predict the same.

    The mean score of the scenarios chosen in the bootstraps is computed as macro F1 of the winner on all photos, plus
    the mean difference between the chosen scenario and the winner on the photos that were not drawn. The expectation is
    that of the plain mean, without its random error, which is the same for both, and without the loss of F1 that comes
    from having fewer photos. The interval has the percentiles of the chosen scenarios' scores, as in the paper.

    Args:
        actual: int64 [photos], in [0, classes).
        predicted: int64 [scenarios, photos], in [0, classes); the first of equally good scenarios is chosen.
    """
    distinct = predicted[np.sort(np.unique(predicted, axis=0, return_index=True)[1])]
    if len(distinct) == 1:
        return None
    counts, photos = _Counts(actual, distinct, classes), len(actual)
    f1_of_all = counts.macro_f1(np.ones((1, photos)))
    winner = _best(f1_of_all)[0]
    chosen_f1, winner_f1 = [], []
    for drawn in _bootstraps(photos, max(1, BLOCK_NUMBERS // max(photos, counts.numbers)), seed):
        f1 = counts.macro_f1(drawn == 0)
        chosen_f1.append(f1[_best(counts.macro_f1(drawn)), np.arange(len(drawn))])
        winner_f1.append(f1[winner])
    chosen = np.concatenate(chosen_f1)
    corrected = f1_of_all[winner, 0] + (chosen - np.concatenate(winner_f1)).mean()
    low, high = np.quantile(chosen, [(1 - statistics.LEVEL) / 2, (1 + statistics.LEVEL) / 2])
    return CorrectedF1(float(np.clip(corrected, 0, 1)), float(low), float(high))


class _Counts:
    """The counts of right answers and of predictions of each scenario and class, by photo."""

    def __init__(self, actual: np.ndarray, predicted: np.ndarray, classes: int):
        scenarios, photos = predicted.shape
        self.numbers = scenarios * classes
        self._shape = scenarios, classes, -1
        self._actual = np.eye(classes, dtype=np.float32)[actual]
        cell = np.arange(scenarios)[:, None] * classes + predicted
        photo = np.broadcast_to(np.arange(photos), predicted.shape)
        self._predicted = _matrix(cell.ravel(), photo.ravel(), (self.numbers, photos))
        right = predicted == actual
        self._right = _matrix(cell[right], photo[right], (self.numbers, photos))

    def macro_f1(self, weights: np.ndarray) -> np.ndarray:
        """Return macro F1 with each photo counted as often as its weight, float64 [scenarios, rows of weights].

        It is the mean over the classes that have photos. Classes without photos count 0 for every scenario, so that
        they do not change which one is the best.

        Args:
            weights: [n, photos], not all 0 in a row.
        """
        columns = np.ascontiguousarray(weights.T, np.float32)  # exact for counts below 2^24
        actual = self._actual.T @ columns
        right, predicted = ((matrix @ columns).reshape(self._shape) for matrix in (self._right, self._predicted))
        class_f1 = np.divide(2 * right, np.maximum(actual + predicted, 1), dtype=np.float64)
        return class_f1.sum(axis=1) / (actual > 0).sum(axis=0)


def _matrix(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> scipy.sparse.csr_array:
    return scipy.sparse.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape)


def _best(f1: np.ndarray) -> np.ndarray:
    """Return the first of the best scenarios in each column, int64 [n], of F1, float64 [scenarios, n]."""
    return (f1 >= f1.max(axis=0) - TIE).argmax(axis=0)


def _bootstraps(photos: int, block: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each photo is drawn, int64 [n, photos], `BOOTSTRAPS` rows in all.

    Rows that drew every photo are left out, because they leave none to be scored. This happens with few photos alone.
    """
    generator = np.random.default_rng(seed)
    for start in range(0, BOOTSTRAPS, block):
        rows = min(block, BOOTSTRAPS - start)
        cells = generator.integers(0, photos, (rows, photos)) + photos * np.arange(rows)[:, None]
        drawn = np.bincount(cells.ravel(), minlength=rows * photos).reshape(rows, photos)
        yield drawn[(drawn == 0).any(axis=1)]
