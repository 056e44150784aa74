"""Confusion matrices summed over folds, and precision, recall, F1 and accuracy from them."""

import dataclasses
import fractions
from collections.abc import Sequence

import numpy as np
from sklearn.metrics import confusion_matrix

from components.base.errors import NotFiniteError


@dataclasses.dataclass(frozen=True)
class Scores:
    """The scores of a confusion matrix, each in [0, 1].

    Attributes:
        precision, recall, f1: macro averages, that is unweighted means over the classes.
        accuracy: share of the photos on the diagonal.
        class_precision, class_recall, class_f1: of each class, in class order.
        never_predicted: classes that were not predicted for any photo; their precision and F1 count as 0.
    """

    precision: float
    recall: float
    f1: float
    accuracy: float
    class_precision: tuple[float, ...]
    class_recall: tuple[float, ...]
    class_f1: tuple[float, ...]
    never_predicted: tuple[str, ...]


def check_finite(values: np.ndarray, name: str, remedy: str) -> None:
    """Raise NotFiniteError if some of `values`, [n, ...], are nan or infinite, since argmax of nan is the first class.

    Args:
        name: plural noun for the values.
        remedy: sentence on what to do.
    """
    rows = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not rows.all():
        raise NotFiniteError(f"{name} must be finite, but {len(rows) - rows.sum()} of {len(rows)} are not. {remedy}")


def confusion(actual: Sequence[int] | np.ndarray, predicted: Sequence[int] | np.ndarray, classes: int) -> np.ndarray:
    """Return the counts, int64 [classes, classes]: rows are actual classes, columns predicted ones."""
    return confusion_matrix(actual, predicted, labels=np.arange(classes))


def score(matrix: np.ndarray, class_names: Sequence[str]) -> Scores:
    """Return the scores of a matrix of counts, rows = actual class. A quotient 0/0 counts as 0.

    Raises:
        ValueError: the matrix is all zeros.
    """
    if not matrix.sum():
        raise ValueError("A confusion matrix must count at least one photo.")
    true_positive = np.diag(matrix)
    actual, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    precision = _divide(true_positive, predicted)
    recall = _divide(true_positive, actual)
    f1 = _divide(2 * true_positive, actual + predicted)  # = 2 TP / (2 TP + FP + FN)
    return Scores(
        precision=float(precision.mean()),
        recall=float(recall.mean()),
        f1=float(f1.mean()),
        accuracy=float(true_positive.sum() / matrix.sum()),
        class_precision=tuple(precision.tolist()),
        class_recall=tuple(recall.tolist()),
        class_f1=tuple(f1.tolist()),
        never_predicted=tuple(name for name, count in zip(class_names, predicted, strict=True) if count == 0),
    )


def f1_of_present_classes(matrix: np.ndarray) -> float:
    """Return the mean F1 of the classes that have photos in `matrix`, int64 [classes, classes].

    For single folds, which may have no photo of a small class.
    """
    class_f1 = score(matrix, [""] * len(matrix)).class_f1
    return float(np.array(class_f1)[matrix.sum(axis=1) > 0].mean())


def exact_f1(matrix: Sequence[Sequence[int]] | np.ndarray) -> fractions.Fraction:
    """Return the macro F1 of a matrix of counts, [classes, classes], as in `score`, without rounding.

    Use it for comparisons, because the last digits of the float depend on the order of the classes.
    """
    counts = np.asarray(matrix)
    totals = (counts.sum(axis=0) + counts.sum(axis=1)).tolist()
    shares = [
        fractions.Fraction(2 * correct, total)
        for correct, total in zip(np.diag(counts).tolist(), totals, strict=True)
        if total
    ]
    return sum(shares, fractions.Fraction(0)) / len(counts)


def _divide(counts: np.ndarray, totals: np.ndarray) -> np.ndarray:
    return np.divide(counts, totals, out=np.zeros(len(counts)), where=totals > 0)
