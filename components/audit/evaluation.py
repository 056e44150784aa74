"""Evaluation of a served model on photos that it was not trained on: its scores, and metrics from them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from components.base import metrics
from components.base.errors import PilahError
from components.data import class_names, images, photos, resize

BATCH_SIZE = 32

Classify = Callable[[Sequence[bytes]], tuple[np.ndarray, list[str]]]  # photos -> scores [n, classes], class names


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
) -> tuple[np.ndarray, list[int], list[tuple[int, str]]]:
    """Score each usable file by the model.

    Args:
        files: path and id of each photo.
        classes: names of the classes in the order of the scores, from model.json.

    Returns:
        Scores, float32 [m, classes]; their rows in `files`; and (row, reason) of each unusable file.

    Raises:
        PilahError: a photo has changed since it was listed, or the model has other classes.
    """
    scores: list[np.ndarray] = []
    usable: list[int] = []
    unusable: list[tuple[int, str]] = []
    for start in range(0, len(files), BATCH_SIZE):
        batch: dict[int, bytes] = {}
        for row, (path, photo_id) in enumerate(files[start : start + BATCH_SIZE], start=start):
            try:
                batch[row] = images.plain_bytes(photos.read_bytes(path, photo_id), max_pixels)[0]
            except images.UnusablePhotoError as error:
                unusable.append((row, error.reason))
        results = resize.each(list(batch.values()), lambda files: _scores(classify, files, classes))
        for row, result in zip(batch, results, strict=True):
            if isinstance(result, images.UnusablePhotoError):
                unusable.append((row, result.reason))
            else:
                usable.append(row)
                scores.append(result)
        progress(min(start + BATCH_SIZE, len(files)), len(files))
    return np.stack(scores) if scores else np.empty((0, 0), np.float32), usable, unusable


def _scores(classify: Classify, files: Sequence[bytes], classes: Sequence[str]) -> np.ndarray:
    scores, names = classify(files)
    if names != list(classes):
        raise PilahError(
            f"The model's classes are {names}, but its model.json lists {list(classes)}. Push the model again."
        )
    return scores


def figures(actual: Sequence[int], predicted: Sequence[int], classes: Sequence[str]) -> dict[str, Any]:
    """Return macro averages, accuracy, metrics of each class and the confusion matrix (rows = actual class) for JSON.

    Classes without photos are left out of the averages; photos predicted as one of them count as wrong.
    """
    matrix = metrics.confusion(actual, predicted, len(classes))
    scores = metrics.score(matrix, classes)
    counts = matrix.sum(axis=1).tolist()
    per_class = [
        {"class": name, "photos": count, "precision": precision, "recall": recall, "f1": f1}
        for name, count, precision, recall, f1 in zip(
            classes, counts, scores.class_precision, scores.class_recall, scores.class_f1, strict=True
        )
    ]
    present = [row for row in per_class if row["photos"]]
    averages = {name: float(np.mean([row[name] for row in present])) for name in ("precision", "recall", "f1")}
    return {
        "photos": len(actual),
        **averages,
        "accuracy": scores.accuracy,
        "missing_classes": [row["class"] for row in per_class if not row["photos"]],
        "per_class": present,
        "confusion_matrix": matrix.tolist(),
    }
