"""Probabilities of every scenario -> leaderboard.json, with the winner and the reason."""

from typing import Any

from components.base import artifacts
from pipeline import recipe, run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage
from tuner import choose


def inputs(config: Config) -> dict[str, Any]:
    """Return settings, and digests of the predictions: on a GPU the same settings may give others."""
    files = [run_folder.predictions(number) for number in (*config.searched_numbers, *config.refined_numbers)]
    return {
        "folds": config.folds,
        "scenarios": recipe.trial_settings(config, recipe.scenarios(config)),
        "refined": recipe.trial_settings(config, recipe.refined(config)),
        "predictions": artifacts.digest([artifacts.file_digest(config.run_dir / name) for name in files]),
    }


def outputs(config: Config) -> list[str]:
    return [run_folder.LEADERBOARD]


def run(config: Config, progress: Progress) -> None:
    leaderboard = choose.leaderboard(
        config.run_dir / run_folder.TRIALS,
        [*recipe.scenarios(config), *recipe.refined(config)],
        recipe.study(config),
        {name: recipe.parameters(config, name) for name in config.backbones},
    )
    artifacts.write_json(config.run_dir / run_folder.LEADERBOARD, leaderboard)


STAGE = Stage(
    "choice",
    inputs,
    outputs,
    run,
    covered=[
        run_folder.PHOTOS,
        run_folder.REJECTS,
        f"{run_folder.FEATURES}/*/{artifacts.SETTINGS}",
        f"{run_folder.TRIALS}/**/*",
    ],
)
