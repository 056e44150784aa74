"""The best scenarios, fine-tuned -> their out-of-fold probabilities."""

from typing import Any

from pipeline import fold_training, recipe, run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage


def inputs(config: Config) -> dict[str, Any]:
    """Return the settings of the refined scenarios, and their numbers, which name the folders of their outputs."""
    refined = recipe.refined(config)
    numbers = [scenario.number for scenario in refined]
    return {"folds": config.folds, "numbers": numbers, "scenarios": recipe.trial_settings(config, refined)}


def outputs(config: Config) -> list[str]:
    return run_folder.trial_outputs(config.refined_numbers)


def run(config: Config, progress: Progress) -> None:
    fold_training.cross_validate(config, recipe.refined(config), progress)


STAGE = Stage(
    name="refine",
    inputs=inputs,
    outputs=outputs,
    run=run,
    covered=run_folder.READ_IN_TRAINING,
    resumed=lambda config: [*map(run_folder.trial, config.refined_numbers), run_folder.FROZEN_ACTIVATIONS],
)
