"""Out-of-fold predictions on disk, one row for each photo."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from components.base import artifacts, metrics
from components.base.errors import PilahError
from components.data import photos

COLUMNS = ("id", "label", "fold", "predicted")
ROUNDING = 1e-6  # precision of probabilities on disk
PROBABILITY = "p_"  # prefix of the probability columns, before the class name


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The rows of predictions.csv, in its order.

    Attributes:
        classes: class names in class order.
        actual, predicted: int64 [photos], in [0, classes).
        fold: int64 [photos], the fold that tested the photo, in [0, folds). The file counts from 1.
        probabilities: float64 [photos, classes], to six decimals.
    """

    ids: list[str]
    classes: list[str]
    actual: np.ndarray
    predicted: np.ndarray
    fold: np.ndarray
    probabilities: np.ndarray


def columns(classes: Sequence[str]) -> list[str]:
    """Return the columns: those of COLUMNS, and the probability of each class."""
    return [*COLUMNS, *(f"{PROBABILITY}{name}" for name in classes)]


def write(
    path: pathlib.Path, tested: Sequence[photos.Photo], probabilities: np.ndarray, classes: Sequence[str]
) -> None:
    """Write `probabilities`, float32 [n, classes], of the n photos `tested`."""
    rows = (
        {"id": photo.id, "label": photo.label, "fold": photo.fold + 1, **answer_columns(row, classes)}
        for photo, row in zip(tested, probabilities, strict=True)
    )
    artifacts.write_csv(path, columns(classes), rows)


def answer_columns(probabilities: np.ndarray, classes: Sequence[str]) -> dict[str, str]:
    """Return column -> value of the predicted class and of the `probabilities`, [classes], of one photo."""
    columns = {f"{PROBABILITY}{name}": f"{value:.6f}" for name, value in zip(classes, probabilities, strict=True)}
    return {"predicted": classes[int(probabilities.argmax())], **columns}


def join(fold_files: Sequence[pathlib.Path], photo_list: Sequence[photos.Photo], path: pathlib.Path) -> None:
    """Write the rows of all folds into the file `path`, in the order of `photo_list`.

    Raises:
        PilahError: a photo is missing, or is in two folds.
    """
    rows = [row for file in fold_files for row in artifacts.read_csv(file, COLUMNS)]
    row_of = {row["id"]: row for row in rows}
    if len(rows) != len(photo_list) or row_of.keys() != {photo.id for photo in photo_list}:
        raise PilahError(
            f"Each of the {len(photo_list)} photos must be predicted in exactly one fold, but the fold-*.csv files in "
            f"{path.parent} have {len(rows)} rows of {len(row_of)} photos. Delete these files and run again."
        )
    artifacts.write_csv(path, list(rows[0]), (row_of[photo.id] for photo in photo_list))


def read(path: pathlib.Path) -> Predictions:
    """Read a file that `write` or `join` wrote.

    Raises:
        NotFiniteError: some probabilities are not finite, as in files of earlier versions.
        PilahError: the file is damaged.
    """
    rows = artifacts.read_csv(path, COLUMNS)
    if not rows:
        raise PilahError(f"{path} is damaged: it has no rows. {artifacts.REWRITE}")
    classes = [name.removeprefix(PROBABILITY) for name in rows[0] if name.startswith(PROBABILITY)]
    index_of = {name: index for index, name in enumerate(classes)}
    with artifacts.reading_rows(path):
        answers = Predictions(
            ids=[row["id"] for row in rows],
            classes=classes,
            actual=np.array([index_of[row["label"]] for row in rows]),
            predicted=np.array([index_of[row["predicted"]] for row in rows]),
            fold=np.array([int(row["fold"]) - 1 for row in rows]),
            probabilities=np.array([[float(row[PROBABILITY + name]) for name in classes] for row in rows]),
        )
    metrics.check_finite(answers.probabilities, f"Probabilities in {path}", "Delete the file's folder and run again.")
    return answers


def read_of(path: pathlib.Path, photo_list: Sequence[photos.Photo], classes: Sequence[str]) -> Predictions:
    """Read the predictions of `photo_list`, in its order.

    Raises:
        NotFiniteError: see `read`.
        PilahError: the rows do not match `photo_list` and its order, or a predicted class is not the most probable
            one.
    """
    saved = read(path)
    rows = list(zip(saved.ids, saved.actual.tolist(), saved.fold.tolist(), strict=True))
    expected = [(photo.id, classes.index(photo.label), photo.fold) for photo in photo_list]
    gaps = saved.probabilities.max(axis=1) - saved.probabilities[np.arange(len(rows)), saved.predicted]
    if saved.classes != list(classes) or rows != expected or gaps.max() > ROUNDING:
        raise PilahError(
            f"{path} does not have the predictions of the run's {len(photo_list)} photos. Delete the file and run "
            "again: it is written again from the folds."
        )
    return saved


def confusion(path: pathlib.Path, photo_list: Sequence[photos.Photo], classes: Sequence[str]) -> np.ndarray:
    """Return the confusion matrix summed over folds: int64 [classes, classes], rows = actual class.

    Raises:
        PilahError: see `read_of`.
    """
    saved = read_of(path, photo_list, classes)
    return metrics.confusion(saved.actual, saved.predicted, len(classes))
