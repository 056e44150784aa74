"""Probabilities of every scenario -> leaderboard.json, with the winner and the reason."""

from typing import Any

from components.base import artifacts
from pipeline import shared
from pipeline.config import Config
from pipeline.progress import Report
from tuner import choose


def inputs(config: Config) -> dict[str, Any]:
    """The predictions themselves too: on a GPU the same settings may give others."""
    numbers = [*config.searched_numbers, *config.refined_numbers]
    made = [config.run_dir / name for name in shared.predictions_files(numbers)]
    return {
        "folds": config.folds,
        "scenarios": shared.trial_settings(config, shared.scenarios(config)),
        "refined": shared.trial_settings(config, shared.refined(config)),
        "predictions": artifacts.digest([artifacts.file_digest(path) for path in made]),
    }


def outputs(config: Config) -> list[str]:
    return ["leaderboard.json"]


def run(config: Config, report: Report) -> None:
    board = choose.leaderboard(
        config.run_dir / "trials",
        [*shared.scenarios(config), *shared.refined(config)],
        shared.study(config),
        {name: shared.parameters(config, name) for name in config.backbones},
    )
    artifacts.write_json(config.run_dir / "leaderboard.json", board)
