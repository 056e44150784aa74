"""Activations, or TFRecords in fine-tuning -> out-of-fold probabilities of every scenario.

Two stages: `search` trains the scenarios of the study, and `refine` fine-tunes the best of them.
"""

from collections.abc import Sequence
from typing import Any

from pipeline import recipe, run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage
from tuner import choose, cross_validation, workers
from tuner.scenarios import Scenario

COVERED = [
    *run_folder.USABLE_PHOTOS,
    *run_folder.all_files(run_folder.DATASET, run_folder.FEATURES, run_folder.FROZEN_ACTIVATIONS, run_folder.TRIALS),
]


def search_inputs(config: Config) -> dict[str, Any]:
    return {"folds": config.folds, "scenarios": recipe.trial_settings(config, recipe.scenarios(config))}


def refine_inputs(config: Config) -> dict[str, Any]:
    """Return the settings of the refined scenarios, and their numbers, which name the folders of their outputs."""
    refined = recipe.refined(config)
    numbers = [scenario.number for scenario in refined]
    return {"folds": config.folds, "numbers": numbers, "scenarios": recipe.trial_settings(config, refined)}


def run(config: Config, scenarios: Sequence[Scenario], progress: Progress) -> None:
    """Cross-validate the scenarios, and raise PilahError if one of them has failed."""
    study, trials_dir = recipe.study(config), config.run_dir / run_folder.TRIALS
    processes = workers.processes(study, scenarios)
    cross_validation.search(study, scenarios, trials_dir, processes=processes, progress=progress)
    choose.check_complete(trials_dir, scenarios)


SEARCH = Stage(
    name="search",
    inputs=search_inputs,
    outputs=lambda config: [run_folder.predictions(number) for number in config.searched_numbers],
    run=lambda config, progress: run(config, recipe.scenarios(config), progress),
    covered=COVERED,
    resumed=lambda config: [run_folder.TRIALS, run_folder.FROZEN_ACTIVATIONS],
)
REFINE = Stage(
    name="refine",
    inputs=refine_inputs,
    outputs=lambda config: [run_folder.predictions(number) for number in config.refined_numbers],
    run=lambda config, progress: run(config, recipe.refined(config), progress),
    covered=COVERED,
    resumed=lambda config: [*map(run_folder.trial, config.refined_numbers), run_folder.FROZEN_ACTIVATIONS],
)
