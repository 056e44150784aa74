"""Training of the folds of scenarios, on this machine or on the cluster of --cluster."""

import logging
from collections.abc import Sequence

from components.base.errors import PilahError
from pipeline import cluster, recipe, run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from tuner import choose, cross_validation, search_space, workers
from tuner.scenarios import Scenario
from tuner.search_space import SearchSpace

log = logging.getLogger("pilah")


def cross_validate(config: Config, scenario_list: Sequence[Scenario], progress: Progress) -> None:
    """Train the folds of the scenarios, and raise PilahError if one of them has failed."""
    study, trials_dir = recipe.study(config), config.run_dir / run_folder.TRIALS
    with cluster.executor(config, progress) as (executor, progress_with_state):
        cross_validation.search(
            study,
            scenario_list,
            trials_dir,
            processes=executor.workers if executor else workers.processes(study, scenario_list),
            progress=progress_with_state,
            executor=executor,
        )
    choose.check_complete(trials_dir, scenario_list)


def search(config: Config, space: SearchSpace, progress: Progress) -> None:
    """Train the folds of the scenarios that the oracle chooses, and raise PilahError if no training succeeded."""
    study, trials_dir = recipe.study(config), config.run_dir / run_folder.TRIALS
    in_training = min(space.trials, cross_validation.TRIALS_AHEAD)
    with cluster.executor(config, progress) as (executor, progress_with_state):
        cross_validation.search_in_space(
            study,
            space,
            trials_dir,
            processes=min(executor.workers, in_training) if executor else workers.count(in_training),
            progress=progress_with_state,
            executor=executor,
        )
    chosen = search_space.read(trials_dir, space)
    if diverged := [str(trial["scenario"]["number"]) for trial in chosen if trial["failure"] is not None]:
        log.warning(
            "%d of %d trials diverged and are left out (%s), see %s",
            len(diverged),
            len(chosen),
            ", ".join(diverged),
            run_folder.SEARCH,
        )
    if len(diverged) == len(chosen):
        raise PilahError(f"All {len(chosen)} trials diverged. Choose a lower --learning-rate.")
    choose.check_complete(trials_dir, search_space.scenarios_of(trials_dir, space))
