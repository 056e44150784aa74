"""The KerasTuner oracles: one that tries listed scenarios in order, and KerasTuner's own ones for a search space."""

from collections.abc import Sequence
from typing import Any

import keras_tuner
from keras_tuner.engine import trial as trial_module

from components.base import settings
from tuner import scenarios, search_space
from tuner.search_space import SearchSpace

RETRIES_PER_SCENARIO = 1


class ScenarioOracle(keras_tuner.Oracle):
    """Oracle whose n-th trial is the n-th scenario, so that a killed search loses no state.

    The saved state is never reloaded, because KerasTuner does not write it atomically. A search that is started again
    tries all scenarios, and those whose folds are finished on disk return immediately.
    """

    def __init__(self, scenario_list: Sequence[scenarios.Scenario], seed: int):
        self.scenario_list = scenario_list
        super().__init__(
            max_trials=len(scenario_list),
            hyperparameters=hyperparameters_of(scenario_list),
            **_options(seed, len(scenario_list)),
        )
        self.verbose = 0

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the values of scenario number `trial_id`, which counts from 0."""
        scenario = self.scenario_list[int(trial_id)]
        return {"status": trial_module.TrialStatus.RUNNING, "values": scenarios.hyperparameter_values(scenario)}


class BayesianOracle(keras_tuner.oracles.BayesianOptimizationOracle):
    """KerasTuner's Bayesian oracle, with a random trial where the Gaussian process would train a scenario again."""

    def __init__(self, space: SearchSpace, **options: Any):
        self.space = space
        super().__init__(**options)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the values of a scenario that was not tried yet, or that none is left."""
        response = super().populate_space(trial_id)
        tried = {self._scenario(trial.hyperparameters.values) for trial in self.trials.values()}
        is_repeated = response["values"] is not None and self._scenario(response["values"]) in tried
        return self._random_populate_space() if is_repeated else response

    def _scenario(self, values: dict[str, Any]) -> scenarios.Scenario:
        return search_space.scenario(self.space, 0, values)


def of_space(space: SearchSpace) -> keras_tuner.Oracle:
    """Return KerasTuner's oracle for `space`.

    Its state is not reloaded either. With the same seed and the same scores it chooses the same trials again.
    """
    options = {"hyperparameters": hyperparameters_of_space(space), **_options(space.seed, space.trials)}
    if space.oracle == "hyperband":
        # the number of trials ends the search, not the number of iterations
        oracle = keras_tuner.oracles.HyperbandOracle(max_epochs=space.epochs, hyperband_iterations=None, **options)
        oracle.max_trials = space.trials
    elif space.oracle == "bayesian":
        oracle = BayesianOracle(space, max_trials=space.trials, **options)
    else:
        oracle = keras_tuner.oracles.RandomSearchOracle(max_trials=space.trials, **options)
    oracle.verbose = 0
    return oracle


def hyperparameters_of(scenario_list: Sequence[scenarios.Scenario]) -> keras_tuner.HyperParameters:
    """Return the hyperparameters of the scenarios, each with all values that occur."""
    hyperparameters = keras_tuner.HyperParameters()
    for name in scenarios.hyperparameter_values(scenario_list[0]):
        hyperparameters.Choice(name, list(dict.fromkeys(getattr(scenario, name) for scenario in scenario_list)))
    return hyperparameters


def hyperparameters_of_space(space: SearchSpace) -> keras_tuner.HyperParameters:
    """Return the hyperparameters of `space` that have more than one value."""
    hyperparameters = keras_tuner.HyperParameters()
    values = {
        "backbone": space.backbones,
        "optimizer": space.optimizers,
        "dropout": space.dropouts,
        "learning_rate": space.learning_rate,
        "hidden_units": space.hidden_units,
    }
    for name, searched in values.items():
        if isinstance(searched, settings.Range):
            scale = "log" if searched.log else "linear"
            hyperparameters.Float(name, searched.low, searched.high, sampling=scale)
        elif isinstance(searched, tuple) and len(searched) > 1:
            hyperparameters.Choice(name, list(searched))
    return hyperparameters


def _options(seed: int, trials: int) -> dict[str, Any]:
    """Return the arguments that all oracles share."""
    return {
        "objective": keras_tuner.Objective("f1", "max"),
        "allow_new_entries": False,
        "tune_new_entries": False,
        "seed": seed,
        "max_retries_per_trial": RETRIES_PER_SCENARIO,
        "max_consecutive_failed_trials": trials + 1,  # failures never end the search
    }
