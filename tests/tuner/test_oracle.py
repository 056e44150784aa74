import keras_tuner
import pytest
from keras_tuner.engine import base_tuner

from tuner import oracle, scenarios

FIVE = scenarios.list_scenarios(["ResNet50"], ["Adam", "AdamW", "Nadam"], [0.0, 0.5])[:5]


class RecordingTuner(base_tuner.BaseTuner):
    """Tuner that records the scenario of each trial, and fails some trials."""

    def __init__(self, folder, fails):
        self.fails = fails  # scenario number -> number of failures
        self.tried = []
        super().__init__(oracle.ScenarioOracle(FIVE, seed=1), None, directory=str(folder), overwrite=True)

    def run_trial(self, trial):
        number = int(trial.trial_id) + 1
        self.tried.append(number)
        assert trial.hyperparameters.values == scenarios.hyperparameter_values(FIVE[number - 1])
        if self.tried.count(number) <= self.fails.get(number, 0):
            raise RuntimeError(f"scenario {number} fails")
        return {"f1": number / 10}

    def statuses(self):
        return [self.oracle.trials[trial_id].status for trial_id in sorted(self.oracle.trials)]


def run_search(folder, fails):
    tuner = RecordingTuner(folder, fails)
    tuner.search()
    return tuner


def test_scenarios_are_tried_once_in_order_with_their_values(tmp_path):
    tuner = run_search(tmp_path, {})
    assert tuner.tried == [1, 2, 3, 4, 5]
    assert tuner.statuses() == ["COMPLETED"] * 5


def test_best_trial_has_the_highest_f1(tmp_path):
    (best,) = run_search(tmp_path, {}).oracle.get_best_trials(1)
    assert best.hyperparameters.values == scenarios.hyperparameter_values(FIVE[4])


def test_scenario_that_fails_once_is_retried_and_completes(tmp_path):
    tuner = run_search(tmp_path, {2: 1})
    assert tuner.tried == [1, 2, 2, 3, 4, 5]
    assert tuner.statuses() == ["COMPLETED"] * 5


def test_scenario_that_fails_twice_is_failed_and_the_others_continue(tmp_path):
    tuner = run_search(tmp_path, {2: 9})
    assert tuner.tried == [1, 2, 2, 3, 4, 5]
    assert tuner.statuses() == ["COMPLETED", "FAILED", "COMPLETED", "COMPLETED", "COMPLETED"]


@pytest.mark.parametrize("failing", [[1, 2, 3, 4], [2, 3, 4, 5], [1, 2, 3, 4, 5]])
def test_consecutive_failures_do_not_end_the_search(tmp_path, failing):
    tuner = run_search(tmp_path, dict.fromkeys(failing, 9))
    assert set(tuner.tried) == {1, 2, 3, 4, 5}
    assert [number for number, status in enumerate(tuner.statuses(), 1) if status == "FAILED"] == failing


def test_fatal_error_ends_the_search_at_once(tmp_path):
    class FillsTheDisk(RecordingTuner):
        def run_trial(self, trial):
            if trial.trial_id == "2":
                raise keras_tuner.errors.FatalError("disk full")
            return super().run_trial(trial)

    tuner = FillsTheDisk(tmp_path, {})
    with pytest.raises(keras_tuner.errors.FatalError):
        tuner.search()
    assert tuner.tried == [1, 2]


def test_more_than_ten_scenarios_keep_their_order(tmp_path):
    many = scenarios.list_scenarios(["ResNet50", "VGG19"], ["Adam", "Nadam", "AdamW"], [0.0, 0.2, 0.5])
    scenario_oracle = oracle.ScenarioOracle(many, seed=1)
    base_tuner.BaseTuner(scenario_oracle, None, directory=str(tmp_path), overwrite=True)
    for scenario in many:
        trial = scenario_oracle.create_trial("tuner0")
        assert trial.hyperparameters.values == scenarios.hyperparameter_values(scenario)
        trial.status = "FAILED"
        scenario_oracle.end_trial(trial)
    assert scenario_oracle.create_trial("tuner0").status == "STOPPED"
