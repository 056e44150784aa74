"""Scenarios: all combinations of backbone, optimizer and dropout, numbered as in the thesis. Needs no TensorFlow."""

import dataclasses
import itertools
from collections.abc import Sequence

from components.base import settings


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A combination; `number` counts from 1, and dropout changes fastest, then the optimizer, then the backbone.

    Attributes:
        strategy: "features" trains a head on a frozen backbone, "finetune" also trains the backbone.
    """

    number: int
    backbone: settings.Backbone
    optimizer: settings.Optimizer
    dropout: float
    strategy: settings.Strategy = "features"


def list_scenarios(
    backbones: Sequence[settings.Backbone],
    optimizers: Sequence[settings.Optimizer],
    dropouts: Sequence[float],
    strategy: settings.Strategy = "features",
) -> list[Scenario]:
    """Return all combinations; in the thesis's study 1 is ResNet50, Adam, 0.0 and 27 is DenseNet121, AdamW, 0.5."""
    combinations = itertools.product(backbones, optimizers, dropouts)
    return [Scenario(number, *combination, strategy) for number, combination in enumerate(combinations, start=1)]


def refined(best: Sequence[Scenario], scenario_count: int) -> list[Scenario]:
    """Return the scenarios `best` with strategy "finetune", numbered from `scenario_count` + 1."""
    return [
        dataclasses.replace(scenario, number=number, strategy="finetune")
        for number, scenario in enumerate(best, start=scenario_count + 1)
    ]


def hyperparameter_values(scenario: Scenario) -> dict[str, str | float]:
    return {"backbone": scenario.backbone, "optimizer": scenario.optimizer, "dropout": scenario.dropout}
