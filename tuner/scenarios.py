"""Scenarios: combinations of backbone, optimizer, dropout and other hyperparameters. Needs no TensorFlow.

Those of the thesis are numbered as in the thesis.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from components.base import settings

# hyperparameters that not every scenario states -> how tables and sentences call them
SEARCHED = {"learning_rate": "learning rate", "hidden_units": "units", "epochs": "epochs"}
HYPERPARAMETERS = ("backbone", "optimizer", "dropout", *SEARCHED)


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A combination; `number` counts from 1.

    Attributes:
        strategy: "features" trains a head on a frozen backbone, "finetune" also trains the backbone.
        learning_rate, epochs: None for those of the study.
        hidden_units: units of the head's hidden layer; None for settings.HIDDEN_UNITS, as in the thesis.
    """

    number: int
    backbone: settings.Backbone
    optimizer: settings.Optimizer
    dropout: float
    strategy: settings.Strategy = "features"
    learning_rate: float | None = None
    hidden_units: int | None = None
    epochs: int | None = None

    @property
    def units(self) -> int:
        """The number of units in the head's hidden layer."""
        return self.hidden_units or settings.HIDDEN_UNITS


def list_scenarios(
    backbones: Sequence[settings.Backbone],
    optimizers: Sequence[settings.Optimizer],
    dropouts: Sequence[float],
    strategy: settings.Strategy = "features",
    hidden_units: Sequence[int] = (settings.HIDDEN_UNITS,),
) -> list[Scenario]:
    """Return all combinations; in the thesis's study 1 is ResNet50, Adam, 0.0 and 27 is DenseNet121, AdamW, 0.5.

    Hidden units change fastest, then dropout, the optimizer, and the backbone.
    """
    units = [None if hidden_units == (settings.HIDDEN_UNITS,) else number for number in hidden_units]
    combinations = itertools.product(backbones, optimizers, dropouts, units)
    return [
        Scenario(number, backbone, optimizer, dropout, strategy, hidden_units=unit)
        for number, (backbone, optimizer, dropout, unit) in enumerate(combinations, start=1)
    ]


def refined(best: Sequence[Scenario], scenario_count: int) -> list[Scenario]:
    """Return the scenarios `best` with strategy "finetune", numbered from `scenario_count` + 1.

    Fine-tuning has the study's learning rate and number of epochs.
    """
    return [
        dataclasses.replace(scenario, number=number, strategy="finetune", learning_rate=None, epochs=None)
        for number, scenario in enumerate(best, start=scenario_count + 1)
    ]


def hyperparameter_values(scenario: Scenario) -> dict[str, Any]:
    """Return name -> value of each hyperparameter that the scenario itself states."""
    values = {name: getattr(scenario, name) for name in HYPERPARAMETERS}
    return {name: value for name, value in values.items() if value is not None}


def text(row: Mapping[str, Any]) -> str:
    """Return the hyperparameters of a leaderboard row, such as "VGG19, Adam, dropout 0.2, features"."""
    parts = [row["backbone"], row["optimizer"], f"dropout {row['dropout']}"]
    parts += [f"{label} {row[name]:g}" for name, label in SEARCHED.items() if name in row]
    return ", ".join([*parts, row["strategy"]])
