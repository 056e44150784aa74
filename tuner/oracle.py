"""The KerasTuner oracle, which tries the scenarios in order and retries each failed scenario once."""

from collections.abc import Sequence
from typing import Any

import keras_tuner
from keras_tuner.engine import trial as trial_module

from tuner import scenarios

RETRIES_PER_SCENARIO = 1


class ScenarioOracle(keras_tuner.Oracle):
    """Oracle whose n-th trial is the n-th scenario, so that a killed search loses no state.

    The saved state is never reloaded, because KerasTuner does not write it atomically. A search that is started again
    tries all scenarios, and those whose folds are finished on disk return immediately.
    """

    def __init__(self, scenario_list: Sequence[scenarios.Scenario], seed: int):
        self.scenario_list = scenario_list
        super().__init__(
            objective=keras_tuner.Objective("f1", "max"),
            max_trials=len(scenario_list),
            hyperparameters=search_space(scenario_list),
            allow_new_entries=False,
            tune_new_entries=False,
            seed=seed,
            max_retries_per_trial=RETRIES_PER_SCENARIO,
            max_consecutive_failed_trials=len(scenario_list) + 1,  # failures never end the search
        )
        self.verbose = 0

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the values of scenario number `trial_id`, which counts from 0."""
        scenario = self.scenario_list[int(trial_id)]
        return {"status": trial_module.TrialStatus.RUNNING, "values": scenarios.hyperparameter_values(scenario)}


def search_space(scenario_list: Sequence[scenarios.Scenario]) -> keras_tuner.HyperParameters:
    """Return the hyperparameters of the scenarios, each with all values that occur."""
    space = keras_tuner.HyperParameters()
    for name in ("backbone", "optimizer", "dropout"):
        space.Choice(name, list(dict.fromkeys(getattr(scenario, name) for scenario in scenario_list)))
    return space
