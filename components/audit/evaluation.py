"""A served model against photos that it was not trained on: its answers, and what they are worth."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from components.base import metrics
from components.base.errors import PilahError
from components.data import images, photos, resize

BATCH_SIZE = 32

Classify = Callable[[Sequence[bytes]], tuple[np.ndarray, list[str]]]  # photos' bytes -> scores [n, classes], names


def check_classes(found: Sequence[str], classes: Sequence[str]) -> None:
    """Raise where a folder's name is none of the model's classes: its photos could only count as wrong."""
    unknown = sorted(set(found) - set(classes))
    if unknown or not found:
        raise PilahError(
            f"The class folders in --images must be among the model's classes, {', '.join(classes)} (got "
            f"{', '.join(unknown) or 'none'}). Rename or remove the others."
        )


def answer(
    files: Sequence[tuple[str, str]],
    classify: Classify,
    classes: Sequence[str],
    max_pixels: int,
    progress: Callable[[int, int], None],
) -> tuple[np.ndarray, list[int], list[tuple[int, str]]]:
    """What the model says of each usable file.

    Args:
        files: path and id of each photo.
        classes: names of the classes in the order of the scores, as the model's description has it.

    Returns:
        Scores, float32 [m, classes]; the rows of `files` that they are of; and (row, reason) of each unusable one.

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
        answers = resize.each(list(batch.values()), lambda files: _scores(classify, files, classes))
        for row, answer in zip(batch, answers, strict=True):
            if isinstance(answer, images.UnusablePhotoError):
                unusable.append((row, answer.reason))
            else:
                usable.append(row)
                scores.append(answer)
        progress(min(start + BATCH_SIZE, len(files)), len(files))
    return np.stack(scores) if scores else np.empty((0, 0), np.float32), usable, unusable


def _scores(classify: Classify, files: Sequence[bytes], classes: Sequence[str]) -> np.ndarray:
    scores, names = classify(files)
    if names != list(classes):
        raise PilahError(f"The model's classes are {names}, and its model.json has {list(classes)}. Push it again.")
    return scores


def figures(actual: Sequence[int], predicted: Sequence[int], classes: Sequence[str]) -> dict[str, Any]:
    """Macro averages, accuracy, figures a class and the confusion matrix (rows = actual class), as JSON holds them.

    Classes without a photo are left out of the averages; photos taken for them count as wrong all the same.
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
