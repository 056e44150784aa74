"""Activations, or TFRecords to fine-tune on -> out-of-fold probabilities of every scenario."""

from typing import Any

from pipeline import shared
from pipeline.config import Config
from pipeline.progress import Report


def inputs(config: Config) -> dict[str, Any]:
    return {"folds": config.folds, "scenarios": shared.trial_settings(config, shared.scenarios(config))}


def outputs(config: Config) -> list[str]:
    return shared.predictions_files(config.searched_numbers)


def resumed(config: Config) -> list[str]:
    return ["trials", shared.TRUNK]


def run(config: Config, report: Report) -> None:
    shared.cross_validate(config, shared.scenarios(config), report)
