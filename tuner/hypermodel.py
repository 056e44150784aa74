"""Hyperparameters -> a new, compiled head."""

from collections.abc import Mapping

import keras
import keras_tuner

from components import head


def build(
    hyperparameters: keras_tuner.HyperParameters,
    channels: Mapping[str, int],
    classes: int,
    learning_rate: float,
    weight_decay: float,
    seed: int,
) -> keras.Model:
    """The head of the scenario that `hyperparameters` name; `channels` maps a backbone to the width of its features."""
    return head.build(
        channels[hyperparameters.get("backbone")],
        classes,
        hyperparameters.get("optimizer"),
        hyperparameters.get("dropout"),
        learning_rate,
        weight_decay,
        seed,
    )
