"""Probabilities of every scenario -> leaderboard.json, with the winner and the reason."""

from typing import Any

from components.base import artifacts
from pipeline import recipe, run_folder, trials
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage
from tuner import bbc_cv, choose


def inputs(config: Config) -> dict[str, Any]:
    """Return settings, and a digest of the predictions, because GPUs may compute others with the same settings."""
    searched, refined = trials.searched_scenarios(config), recipe.refined(config)
    files = [run_folder.predictions(scenario.number) for scenario in (*searched, *refined)]
    return {
        "folds": config.folds,
        "scenarios": recipe.trial_settings(config, searched),
        "refined": recipe.trial_settings(config, refined),
        "predictions": artifacts.digest([artifacts.file_digest(config.run_dir / name) for name in files]),
        "bootstraps": bbc_cv.BOOTSTRAPS,
    }


def run(config: Config, progress: Progress) -> None:
    scenarios = [*trials.searched_scenarios(config), *recipe.refined(config)]
    trials_dir, parameters = config.run_dir / run_folder.TRIALS, recipe.parameters(config, scenarios)
    leaderboard = choose.leaderboard(trials_dir, scenarios, recipe.study(config), parameters)
    artifacts.write_json(config.run_dir / run_folder.LEADERBOARD, leaderboard)


STAGE = Stage(
    name="choice",
    inputs=inputs,
    outputs=lambda config: [run_folder.LEADERBOARD],
    run=run,
    covered=[
        *run_folder.USABLE_PHOTOS,
        f"{run_folder.FEATURES}/*/{artifacts.SETTINGS}",
        *run_folder.all_files(run_folder.TRIALS),
    ],
)
