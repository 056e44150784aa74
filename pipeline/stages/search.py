"""Activations, or TFRecords in fine-tuning -> out-of-fold probabilities of every scenario."""

from typing import Any

from pipeline import fold_training, recipe, run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage


def inputs(config: Config) -> dict[str, Any]:
    return {"folds": config.folds, "scenarios": recipe.trial_settings(config, recipe.scenarios(config))}


def outputs(config: Config) -> list[str]:
    return run_folder.trial_outputs(config.searched_numbers)


def run(config: Config, progress: Progress) -> None:
    fold_training.cross_validate(config, recipe.scenarios(config), progress)


STAGE = Stage(
    name="search",
    inputs=inputs,
    outputs=outputs,
    run=run,
    covered=run_folder.READ_IN_TRAINING,
    resumed=lambda config: [run_folder.TRIALS, run_folder.FROZEN_ACTIVATIONS],
)
