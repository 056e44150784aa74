"""Evaluation of a served model on photos that it was not trained on: its scores, and metrics from them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from components.audit import answer_sets
from components.base import documents, metrics, statistics
from components.base.answers import Answers
from components.base.errors import PilahError
from components.data import class_names, images, photos, resize

BATCH_SIZE = 32
ECE_SEED = 0  # of the draws of a perfectly calibrated model

Classify = Callable[[Sequence[bytes]], Answers]


def check_classes(folder_names: Sequence[str], classes: Sequence[str]) -> None:
    """Raise PilahError if a folder is not named after a class of the model: its photos could only count as wrong."""
    unknown = sorted(set(folder_names) - set(classes))
    if unknown or not folder_names:
        raise PilahError(
            f"The classes in --images must be among the model's, {class_names.joined(classes)} (got "
            f"{class_names.joined(unknown) or 'none'}). Rename or remove the others."
        )


def score(
    files: Sequence[tuple[str, str]],
    classify: Classify,
    *,
    classes: Sequence[str],
    max_pixels: int,
    progress: Callable[[int, int], None],
) -> tuple[Answers | None, list[int], list[tuple[int, str]]]:
    """Return the model's answers for each usable file.

    Args:
        files: path and id of each photo.
        classes: names of the classes in the order of the scores, from model.json.

    Returns:
        Answers for m files, None if no file is usable; their rows in `files`; and (row, reason) of each unusable file.

    Raises:
        PilahError: a photo has changed since it was listed, or the model has other classes.
    """
    answers: list[Answers] = []
    usable: list[int] = []
    unusable: list[tuple[int, str]] = []
    for start in range(0, len(files), BATCH_SIZE):
        batch: dict[int, bytes] = {}
        for row, (path, photo_id) in enumerate(files[start : start + BATCH_SIZE], start=start):
            try:
                batch[row] = images.plain_bytes(photos.read_bytes(path, photo_id), max_pixels)[0]
            except images.UnusablePhotoError as error:
                unusable.append((row, error.reason))
        results = resize.each(list(batch.values()), lambda files: _answers(classify, files, classes))
        for row, result in zip(batch, results, strict=True):
            if isinstance(result, images.UnusablePhotoError):
                unusable.append((row, result.reason))
            else:
                usable.append(row)
                answers.append(result)
        progress(min(start + BATCH_SIZE, len(files)), len(files))
    return _joined(answers) if answers else None, usable, unusable


def _answers(classify: Classify, files: Sequence[bytes], classes: Sequence[str]) -> list[Answers]:
    """Return the answer for each file."""
    answers = classify(files)
    if answers.class_names != list(classes):
        raise PilahError(
            f"The model's classes are {answers.class_names}, but its model.json lists {list(classes)}. Push the model "
            "again."
        )
    return [
        Answers(
            answers.scores[row : row + 1],
            answers.class_names,
            None if answers.in_set is None else answers.in_set[row : row + 1],
            None if answers.typicality is None else answers.typicality[row : row + 1],
        )
        for row in range(len(files))
    ]


def _joined(answers: Sequence[Answers]) -> Answers:
    def join(name: str) -> Any:
        values = [getattr(answer, name) for answer in answers]
        return None if values[0] is None else np.concatenate(values)

    return Answers(join("scores"), answers[0].class_names, join("in_set"), join("typicality"))


def figures(actual: np.ndarray, answers: Answers) -> dict[str, Any]:
    """Return macro averages, accuracy, metrics of each class and the confusion matrix (rows = actual class) for JSON.

    Classes without photos are left out of the averages; photos predicted as one of them count as wrong. "ece" is the
    expected calibration error, and "ece_by_chance" that of a perfectly calibrated model with the same probabilities.
    "sets" and "flagged" are None for a model that an earlier version exported.

    Args:
        actual: int64 [photos], in [0, classes).
    """
    classes, predicted = answers.class_names, answers.scores.argmax(axis=1)
    matrix = metrics.confusion(actual, predicted, len(classes))
    scores = metrics.score(matrix, classes)
    per_class = [
        {
            "class": name,
            "photos": count,
            "precision": scores.class_precision[row],
            "recall": scores.class_recall[row],
            "recall_interval": statistics.share_interval(matrix[row, row], count),
            "f1": scores.class_f1[row],
            "flagged": _flagged(answers, actual == row),
        }
        for row, (name, count) in enumerate(zip(classes, matrix.sum(axis=1).tolist(), strict=True))
        if count
    ]
    averages = {name: float(np.mean([row[name] for row in per_class])) for name in ("precision", "recall", "f1")}
    present = matrix.sum(axis=1) > 0
    confidence, right = answers.scores.max(axis=1).astype(float), predicted == actual
    return {
        "photos": len(actual),
        **averages,
        "f1_interval": statistics.interval(matrix) if present.all() else None,
        "accuracy": scores.accuracy,
        "accuracy_interval": statistics.share_interval(float(right.sum()), len(actual)),
        "ece": statistics.expected_calibration_error(statistics.reliability(confidence, right)),
        "ece_by_chance": statistics.calibration_error_by_chance(confidence, ECE_SEED),
        "sets": None if answers.in_set is None else answer_sets.figures(answers.in_set, actual, classes),
        "flagged": _flagged(answers, np.ones(len(actual), bool)),
        "missing_classes": [name for name, is_present in zip(classes, present, strict=True) if not is_present],
        "per_class": per_class,
        "confusion_matrix": matrix.tolist(),
    }


def _flagged(answers: Answers, rows: np.ndarray) -> documents.Share | None:
    return None if answers.typicality is None else answer_sets.flagged(answers.typicality[rows])
