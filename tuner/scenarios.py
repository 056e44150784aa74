"""The scenarios: every backbone with every optimizer and dropout, numbered as in the thesis. Needs no TensorFlow."""

import dataclasses
import itertools
from collections.abc import Sequence


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


def hyperparameter_values(scenario: Scenario) -> dict[str, str | float]:
    return {"backbone": scenario.backbone, "optimizer": scenario.optimizer, "dropout": scenario.dropout}
