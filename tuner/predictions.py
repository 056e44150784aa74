"""Out-of-fold predictions on disk: one row a photo, in files that are whole or not there."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from components.base import artifacts, metrics
from components.base.errors import PilahError
from components.data import photos

ROUNDING = 1e-6  # of probabilities on disk
PROBABILITY = "p_"  # a column of probabilities is this and the class name


@dataclasses.dataclass(frozen=True)
class Predictions:
    """A predictions.csv, row by row in its order.

    Attributes:
        classes: class names in class order.
        actual, predicted: int64 [photos], in [0, classes).
        fold: int64 [photos], the fold that tested the photo.
        probabilities: float64 [photos, classes], to six decimals.
    """

    ids: list[str]
    classes: list[str]
    actual: np.ndarray
    predicted: np.ndarray
    fold: np.ndarray
    probabilities: np.ndarray


def columns(classes: Sequence[str]) -> list[str]:
    """id, label, fold, predicted, and then the probability of each class under its name."""
    return ["id", "label", "fold", "predicted", *(f"{PROBABILITY}{name}" for name in classes)]


def write(
    path: pathlib.Path, tested: Sequence[photos.Photo], probabilities: np.ndarray, classes: Sequence[str]
) -> None:
    """Write `probabilities`, float32 [n, classes], of the n photos `tested`."""
    artifacts.write_csv(
        path,
        columns(classes),
        (
            {
                "id": photo.id,
                "label": photo.label,
                "fold": photo.fold,
                "predicted": classes[int(row.argmax())],
                **probability_columns(row, classes),
            }
            for photo, row in zip(tested, probabilities, strict=True)
        ),
    )


def probability_columns(probabilities: np.ndarray, classes: Sequence[str]) -> dict[str, str]:
    """Column -> value, of one photo's `probabilities`, [classes]."""
    return {f"{PROBABILITY}{name}": f"{value:.6f}" for name, value in zip(classes, probabilities, strict=True)}


def join(fold_files: Sequence[pathlib.Path], photo_list: Sequence[photos.Photo], path: pathlib.Path) -> None:
    """Put the rows of all folds into one file, in the order of `photo_list`.

    Raises:
        ValueError: a photo is missing, or stands in two folds.
    """
    rows = [row for file in fold_files for row in artifacts.read_csv(file)]
    row_of = {row["id"]: row for row in rows}
    if len(rows) != len(photo_list) or row_of.keys() != {photo.id for photo in photo_list}:
        raise ValueError(
            f"Each photo must be predicted in exactly one fold: there are {len(rows)} rows of {len(row_of)} photos for "
            f"{len(photo_list)}."
        )
    artifacts.write_csv(path, list(rows[0]), (row_of[photo.id] for photo in photo_list))


def read(path: pathlib.Path) -> Predictions:
    """What `write` and `join` wrote.

    Raises:
        NotFiniteError: some probabilities are not finite, as an earlier version let them pass.
    """
    rows = artifacts.read_csv(path)
    classes = [name.removeprefix(PROBABILITY) for name in rows[0] if name.startswith(PROBABILITY)]
    number = {name: index for index, name in enumerate(classes)}
    probabilities = np.array([[float(row[PROBABILITY + name]) for name in classes] for row in rows])
    metrics.check_finite(probabilities, f"Probabilities in {path}", "Delete the file's folder and run again.")
    return Predictions(
        ids=[row["id"] for row in rows],
        classes=classes,
        actual=np.array([number[row["label"]] for row in rows]),
        predicted=np.array([number[row["predicted"]] for row in rows]),
        fold=np.array([int(row["fold"]) for row in rows]),
        probabilities=probabilities,
    )


def confusion(path: pathlib.Path, photo_list: Sequence[photos.Photo], classes: Sequence[str]) -> np.ndarray:
    """The confusion matrix of all rows, folds summed: int64 [classes, classes], rows = actual class.

    Raises:
        NotFiniteError: as `read`.
        PilahError: the rows are not those of `photo_list`, in its order, or a photo is not predicted as the class of
            its highest probability.
    """
    found = read(path)
    rows = zip(found.ids, found.actual.tolist(), found.fold.tolist(), strict=True)
    listed = [(photo.id, classes.index(photo.label), photo.fold) for photo in photo_list]
    best = found.probabilities.max(axis=1) - found.probabilities[np.arange(len(found.ids)), found.predicted]
    if found.classes != list(classes) or list(rows) != listed or best.max() > ROUNDING:
        raise PilahError(
            f"{path} does not hold the predictions of the run's {len(photo_list)} photos. Delete the file and run "
            "again: it is joined from its folds."
        )
    return metrics.confusion(found.actual, found.predicted, len(classes))
