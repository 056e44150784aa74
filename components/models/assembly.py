"""Join head and backbone to one Keras model from pixels to scores, and save and load it."""

import pathlib
from typing import Any

import keras

from components.base import artifacts, settings
from components.models import backbones


def assemble(
    backbone: settings.Backbone,
    weights: backbones.Weights,
    *,
    image_size_px: int,
    trained_head: keras.Model,
    precision: settings.ComputeDtype = "float32",
) -> keras.Model:
    """Join backbone and head: uint8 RGB [n, size, size, 3] -> scores, float32 [n, classes].

    Args:
        precision: dtype in which the backbone computes.
    """
    network = backbones.build(backbone, weights, image_size_px, precision)
    return keras.Model(network.input, trained_head(network.output), name="pilah")


def without_optimizer(model: keras.Model) -> keras.Model:
    """Return a model with the same layers but no optimizer, whose moments would triple the size of the file."""
    return keras.Model(model.input, model.output, name=model.name)


def save(model: keras.Model, path: pathlib.Path) -> None:
    """Write a .keras file atomically."""
    with artifacts.atomic_write(path) as part:
        model.save(part)


def load(path: pathlib.Path) -> Any:
    return keras.saving.load_model(path, compile=False)
