"""Export small models from pixels to scores, with a calibration on random training photos."""

import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from components.models import anatomy, prediction_sets, typicality
from components.publish import export

PHOTOS = 60  # random training photos


def calibration(model: keras.Model, classes: int, threshold: float = 0.3) -> export.Calibration:
    """Return a calibration of `model` on random photos, some of one colour and some of noise.

    Args:
        threshold: of the prediction sets, for every class.
    """
    rng = np.random.default_rng(3)
    size = model.input_shape[1]
    pixels = rng.integers(0, 256, (PHOTOS, 1, 1, 3)) + rng.integers(-60, 60, (PHOTOS, size, size, 3))
    embedding = anatomy.embedding(model, "ResNet50", None)(pixels.clip(0, 255).astype(np.uint8)).numpy()
    labels = np.arange(PHOTOS) % classes
    distances = typicality.held_out([embedding] * 3, labels, np.arange(PHOTOS) * 3 // PHOTOS)
    return export.Calibration(
        prediction_sets.Rule(0.5, np.full(classes, threshold)),
        None,
        typicality.fit(embedding, labels),
        typicality.references(distances),
    )


def colour_model(size_px: int, **scores: Any) -> keras.Model:
    """Return a model whose head is one layer on the mean red, green and blue, each in [0, 1].

    Args:
        scores: arguments of the layer of the scores, a Dense.
    """
    pixels = keras.Input((size_px, size_px, 3), dtype="uint8")
    pooled = keras.layers.GlobalAveragePooling2D(name="pooled")(keras.ops.cast(pixels, "float32") / 255)
    head = keras.Sequential([keras.Input((3,)), keras.layers.Dense(**scores, name="scores")], name="head")
    return keras.Model(pixels, head(pooled), name="pilah")


def write(
    model: keras.Model, classes: Sequence[str], folder: pathlib.Path, photos: Sequence[bytes], test_views: int = 1
) -> pathlib.Path:
    """Export `model` to `folder`, with warm-up requests of `photos`, and return it."""
    export.export(
        model,
        classes,
        backbone="ResNet50",
        test_views=test_views,
        calibration=calibration(model, len(classes)),
        image_size_px=model.input_shape[1],
        warmup_photos=photos,
        to=folder,
    )
    return folder
