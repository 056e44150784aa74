from typing import Any

import pytest

from components.base import artifacts, settings
from components.models import head
from pipeline import thesis
from tuner import oracle, scenarios


def all_scenarios():
    return scenarios.list_scenarios(settings.THESIS_BACKBONES, list(head.OPTIMIZERS), [0.0, 0.2, 0.5])


def test_scenarios_are_in_the_order_of_the_thesis():
    rows = artifacts.read_csv(thesis.RESULTS)
    assert len(rows) == 27
    assert all_scenarios() == [
        scenarios.Scenario(int(row["scenario"]), row["backbone"], row["optimizer"], float(row["dropout"]))
        for row in rows
    ]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, ("ResNet50", "Adam", 0.0)),
        (4, ("ResNet50", "Nadam", 0.0)),
        (10, ("VGG19", "Adam", 0.0)),
        (27, ("DenseNet121", "AdamW", 0.5)),
    ],
)
def test_scenario_of_a_number_has_the_values_of_the_thesis(number, expected):
    assert all_scenarios()[number - 1] == scenarios.Scenario(number, *expected)


def test_subset_is_numbered_from_1_without_gaps():
    subset = scenarios.list_scenarios(["VGG19", "DenseNet121"], ["AdamW"], [0.2, 0.5])
    assert [(scenario.number, scenario.backbone, scenario.dropout) for scenario in subset] == [
        (1, "VGG19", 0.2),
        (2, "VGG19", 0.5),
        (3, "DenseNet121", 0.2),
        (4, "DenseNet121", 0.5),
    ]


@pytest.mark.parametrize("subset", [slice(None), slice(0, 1), slice(9, 12)], ids=["all", "one", "one backbone"])
def test_search_space_has_the_values_of_each_scenario(subset):
    scenario_list = all_scenarios()[subset]
    space = oracle.hyperparameters_of(scenario_list)
    allowed = {choice.name: choice.values for choice in space.space}
    for scenario in scenario_list:
        values: dict[str, Any] = scenarios.hyperparameter_values(scenario)
        assert values.keys() == allowed.keys()
        assert all(value in allowed[name] for name, value in values.items())
        assert scenarios.Scenario(scenario.number, **values) == scenario
