"""The scenarios: every backbone with every optimizer and dropout, numbered as in the thesis."""

import dataclasses
import itertools
from collections.abc import Sequence

import keras_tuner


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One combination; `number` counts from 1 in the order backbone, optimizer, dropout, the last changing first.

    Attributes:
        strategy: "features", in which the backbone is frozen, or "finetune", in which it trains too.
    """

    number: int
    backbone: str
    optimizer: str
    dropout: float
    strategy: str = "features"


def list_scenarios(
    backbones: Sequence[str], optimizers: Sequence[str], dropouts: Sequence[float], strategy: str = "features"
) -> list[Scenario]:
    """All combinations; in the thesis's study 1 is ResNet50, Adam, 0.0 and 27 is DenseNet121, AdamW, 0.5."""
    combinations = itertools.product(backbones, optimizers, dropouts)
    return [Scenario(number, *combination, strategy) for number, combination in enumerate(combinations, start=1)]


def refined(best: Sequence[Scenario], scenario_count: int) -> list[Scenario]:
    """`best` once more, to be fine-tuned, numbered on from the `scenario_count` that they were chosen from."""
    return [
        dataclasses.replace(scenario, number=number, strategy="finetune")
        for number, scenario in enumerate(best, start=scenario_count + 1)
    ]


def search_space(scenarios: Sequence[Scenario]) -> keras_tuner.HyperParameters:
    """The hyperparameters that a scenario fixes, each with the values that occur."""
    space = keras_tuner.HyperParameters()
    for name in ("backbone", "optimizer", "dropout"):
        space.Choice(name, list(dict.fromkeys(getattr(scenario, name) for scenario in scenarios)))
    return space


def hyperparameter_values(scenario: Scenario) -> dict[str, str | float]:
    return {"backbone": scenario.backbone, "optimizer": scenario.optimizer, "dropout": scenario.dropout}
