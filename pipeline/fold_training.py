"""Training of the folds of scenarios, on this machine or on the cluster of --cluster."""

from collections.abc import Sequence

from pipeline import cluster, recipe, run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from tuner import choose, cross_validation, workers
from tuner.scenarios import Scenario


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
