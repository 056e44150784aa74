"""The winner, refitted on all photos -> one Keras model from pixels to scores."""

import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from components.base import artifacts
from components.models import backbones, head


def refit(
    activations: Sequence[np.ndarray],
    labels: np.ndarray,
    classes: int,
    optimizer: str,
    dropout: float,
    learning_rate: float,
    weight_decay: float,
    epochs: int,
    batch_size: int,
    seed: int,
) -> keras.Model:
    """A new head trained on every photo, as many epochs as each fold had. Arguments as in head.build and head.fit."""
    model = head.build(activations[0].shape[-1], classes, optimizer, dropout, learning_rate, weight_decay, seed)
    head.fit(model, activations, labels, np.arange(len(labels)), epochs, batch_size, seed)
    return model


def assemble(
    backbone: str, weights: backbones.Weights, image_size_px: int, trained_head: keras.Model, precision: str = "float32"
) -> keras.Model:
    """Backbone and head as one: uint8 RGB [n, size, size, 3] -> scores, float32 [n, classes].

    Args:
        precision: "float32" or "bfloat16", in which the backbone computes.
    """
    network = backbones.build(backbone, weights, image_size_px, precision)
    return keras.Model(network.input, trained_head(network.output), name="pilah")


def without_optimizer(model: keras.Model) -> keras.Model:
    """The same layers as a model to save: Adam's moments are twice as large as what they have taught."""
    return keras.Model(model.input, model.output, name=model.name)


def save(model: keras.Model, path: pathlib.Path) -> None:
    """Write a .keras file, whole or not there."""
    with artifacts.atomic_write(path) as part:
        model.save(part)


def load(path: pathlib.Path) -> Any:
    return keras.saving.load_model(path, compile=False)
