"""Activations, or TFRecords in fine-tuning -> out-of-fold probabilities of every scenario."""

from typing import Any

from pipeline import fold_training, recipe, run_folder, trials
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage
from tuner.scenarios import Scenario


def inputs(config: Config) -> dict[str, Any]:
    if not (space := config.search_space):
        searched = trials.searched_scenarios(config)
        return {"folds": config.folds, "scenarios": recipe.trial_settings(config, searched)}
    # what all trials share; AdamW, because the other optimizers do not depend on the weight decay
    examples = [Scenario(0, backbone, "AdamW", 0.0, learning_rate=1.0) for backbone in config.backbones]
    return {
        "folds": config.folds,
        "space": space.settings,
        "trials": space.trials,
        "scenarios": recipe.trial_settings(config, examples),
    }


def outputs(config: Config) -> list[str]:
    numbers = [scenario.number for scenario in trials.searched_scenarios(config)]
    return [*([run_folder.SEARCH] if config.search_space else []), *run_folder.trial_outputs(numbers)]


def run(config: Config, progress: Progress) -> None:
    if space := config.search_space:
        fold_training.search(config, space, progress)
    else:
        fold_training.cross_validate(config, trials.searched_scenarios(config), progress)


STAGE = Stage(
    name="search",
    inputs=inputs,
    outputs=outputs,
    run=run,
    covered=run_folder.READ_IN_TRAINING,
    resumed=lambda config: [run_folder.TRIALS, run_folder.FROZEN_ACTIVATIONS],
)
