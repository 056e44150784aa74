"""Refit the winner on all photos, and join head and backbone to one Keras model from pixels to scores."""

import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from components.base import artifacts, settings
from components.models import backbones, head


def refit(
    activations: Sequence[np.ndarray],
    labels: np.ndarray,
    *,
    classes: int,
    optimizer: settings.Optimizer,
    dropout: float,
    learning_rate: float,
    weight_decay: float,
    epochs: int,
    batch_size: int,
    seed: int,
) -> keras.Model:
    """Train a new head on every photo, for as many epochs as in a fold. Arguments as in head.build and head.fit."""
    model = head.build(
        activations[0].shape[-1],
        classes,
        optimizer=optimizer,
        dropout=dropout,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        seed=seed,
    )
    every_row = np.arange(len(labels))
    head.fit(model, activations, labels, rows=every_row, epochs=epochs, batch_size=batch_size, seed=seed)
    return model


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
