"""Activations, or TFRecords to fine-tune on -> out-of-fold probabilities of every scenario."""

from typing import Any

from pipeline import recipe, run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage
from tuner import choose, cross_validation, workers


def inputs(config: Config) -> dict[str, Any]:
    return {"folds": config.folds, "scenarios": recipe.trial_settings(config, recipe.scenarios(config))}


def outputs(config: Config) -> list[str]:
    return [run_folder.predictions(number) for number in config.searched_numbers]


def resumed(config: Config) -> list[str]:
    return [run_folder.TRIALS, run_folder.FROZEN_ACTIVATIONS]


def run(config: Config, progress: Progress) -> None:
    study, scenarios = recipe.study(config), recipe.scenarios(config)
    trials_dir = config.run_dir / run_folder.TRIALS
    cross_validation.search(study, scenarios, trials_dir, workers.processes(study, scenarios), progress)
    choose.check_complete(trials_dir, scenarios)


STAGE = Stage(
    "search",
    inputs,
    outputs,
    run,
    covered=[
        run_folder.PHOTOS,
        run_folder.REJECTS,
        f"{run_folder.DATASET}/**/*",
        f"{run_folder.FEATURES}/**/*",
        f"{run_folder.FROZEN_ACTIVATIONS}/**/*",
        f"{run_folder.TRIALS}/**/*",
    ],
    resumed=resumed,
)
