"""Hyperparameters -> a new, compiled head."""

from collections.abc import Mapping
from typing import Any

import keras

from components.models import head
from tuner.study import Study


def build(study: Study, values: Mapping[str, Any]) -> keras.Model:
    """The head of the scenario that the values of the hyperparameters name."""
    return head.build(
        study.channels(values["backbone"]),
        len(study.classes),
        values["optimizer"],
        values["dropout"],
        study.learning_rate,
        study.weight_decay,
        study.seed,
    )
