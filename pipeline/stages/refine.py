"""The best scenarios, with their backbones trained too -> out-of-fold probabilities of these."""

from typing import Any

from pipeline import recipe, run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage
from tuner import choose, cross_validation, workers


def inputs(config: Config) -> dict[str, Any]:
    """Return the settings of the refined scenarios, and their numbers, which say where their outputs are."""
    scenarios = recipe.refined(config)
    return {
        "folds": config.folds,
        "numbers": [scenario.number for scenario in scenarios],
        "scenarios": recipe.trial_settings(config, scenarios),
    }


def outputs(config: Config) -> list[str]:
    return [run_folder.predictions(number) for number in config.refined_numbers]


def resumed(config: Config) -> list[str]:
    return [*map(run_folder.trial, config.refined_numbers), run_folder.FROZEN_ACTIVATIONS]


def run(config: Config, progress: Progress) -> None:
    study, scenarios = recipe.study(config), recipe.refined(config)
    trials_dir = config.run_dir / run_folder.TRIALS
    cross_validation.search(study, scenarios, trials_dir, workers.processes(study, scenarios), progress)
    choose.check_complete(trials_dir, scenarios)


STAGE = Stage(
    "refine",
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
