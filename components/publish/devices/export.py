"""Keras model -> a folder with the model in one format, its labels, its description and a program that uses it."""

import dataclasses
import pathlib
import shutil
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np

from components.base import artifacts, documents, machine, settings
from components.data import photos as photos_module
from components.publish.devices import check, description, formats

CALIBRATION_PHOTOS = 128  # from which int8 is quantized
COMPARED_PHOTOS = 200  # enough to see 1 % with another class; formats without a limit of the scores compare all photos
EXAMPLES = pathlib.Path(__file__).parent / "examples"


@dataclasses.dataclass(frozen=True)
class Photos:
    """The photos of the run.

    Attributes:
        labels: int64 [photos], the class of each.
        batches: function of rows, ascending -> batches of their pixels, uint8 [n, size, size, 3].
    """

    labels: np.ndarray
    batches: Callable[[Sequence[int]], Iterator[np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Origin:
    """The run that a model comes from.

    Attributes:
        classes: in the order of the scores.
        f1: macro F1 of the winner in cross-validation.
        calibration: calibration.json.
        keras_model: digest of the file of the Keras model.
        pushed_version: number of the version that the run has pushed; None if it has not.
    """

    classes: Sequence[str]
    f1: float
    calibration: documents.Calibration
    keras_model: str
    pushed_version: int | None


def export(
    model: keras.Model,
    name: settings.DeviceFormat,
    *,
    origin: Origin,
    photos: Photos,
    to: pathlib.Path,
    progress: Callable[[int, int], None],
) -> description.Description:
    """Write `model` in the format `name` to the folder `to`, replacing an existing one, and return its description.

    The folder is self-contained. It is written under another name, and renamed when the answers have been compared.

    Args:
        model: uint8 RGB [n, size, size, 3] -> scores, float32 [n, classes].
        progress: called with the number of photos compared, and of those to compare.

    Raises:
        NotFiniteError: some scores are nan or infinite.
        PilahError: the answers are not those of `model`, see check.check.
    """
    part = to.with_name(f"{to.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        figures = _write_model(model, name, origin, photos, part, progress)
        described = _describe(model, name, origin, figures, part)
        shutil.rmtree(to, ignore_errors=True)
        part.rename(to)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return described


def calibration_pixels(name: settings.DeviceFormat, photos: Photos) -> np.ndarray | None:
    """Return the pixels from which `name` is quantized, uint8 [photos, size, size, 3]; None if it is not."""
    if not formats.FORMATS[name].is_quantized:
        return None
    rows = photos_module.spread_rows(len(photos.labels), CALIBRATION_PHOTOS)
    return np.concatenate(list(photos.batches(rows)))


def _write_model(
    model: keras.Model,
    name: settings.DeviceFormat,
    origin: Origin,
    photos: Photos,
    folder: pathlib.Path,
    progress: Callable[[int, int], None],
) -> description.Validation:
    """Write the model file, and compare its answers with those of `model`."""
    format = formats.FORMATS[name]
    format.write(model, folder / format.file, calibration_pixels(name, photos))
    count = len(photos.labels)
    rows = range(count) if format.is_quantized else photos_module.spread_rows(count, COMPARED_PHOTOS)
    predict = format.load(folder / format.file, machine.cores())
    figures = check.compare(model, predict, photos.batches(rows), photos.labels[list(rows)], origin.classes, progress)
    check.check(name, figures, format.max_score_difference)
    return figures


def _describe(
    model: keras.Model,
    name: settings.DeviceFormat,
    origin: Origin,
    figures: description.Validation,
    folder: pathlib.Path,
) -> description.Description:
    """Write labels, example and description into `folder`, which has the model, and return the description."""
    format = formats.FORMATS[name]
    (folder / description.LABELS).write_text("".join(f"{label}\n" for label in origin.classes), encoding="utf-8")
    shutil.copyfile(EXAMPLES / format.example, folder / description.EXAMPLE)
    described: description.Description = {
        "format": name,
        "model": format.file,
        "runtime": format.runtime,
        "classes": list(origin.classes),
        "input": description.describe_input(model.input_shape[1]),
        "photo": description.PHOTO,
        "output": "scores, float32 [n, classes], which add up to 1",
        "prediction_sets": description.describe_sets(origin.calibration),
        "f1": origin.f1,
        "calibration_photos": min(CALIBRATION_PHOTOS, figures["photos"]) if format.is_quantized else 0,
        "validation": figures,
        "made_from": description.describe_origin(origin.keras_model, origin.pushed_version),
        "files": {path.name: artifacts.file_digest(path) for path in sorted(folder.iterdir())},
    }
    artifacts.write_json(folder / description.FILE, described)
    return described
