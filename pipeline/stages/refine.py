"""The best scenarios, with their backbones trained too -> out-of-fold probabilities of these."""

from typing import Any

from pipeline import shared
from pipeline.config import Config
from pipeline.progress import Report


def inputs(config: Config) -> dict[str, Any]:
    """Their numbers are among them: after another search they stand in other folders."""
    scenarios = shared.refined(config)
    return {
        "folds": config.folds,
        "numbers": [scenario.number for scenario in scenarios],
        "scenarios": shared.trial_settings(config, scenarios),
    }


def outputs(config: Config) -> list[str]:
    return shared.predictions_files(config.refined_numbers)


def resumed(config: Config) -> list[str]:
    return [*(f"trials/{number:02d}" for number in config.refined_numbers), shared.TRUNK]


def run(config: Config, report: Report) -> None:
    shared.cross_validate(config, shared.refined(config), report)
