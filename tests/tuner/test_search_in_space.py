"""Searches in which a KerasTuner oracle chooses the scenarios."""

import collections
import dataclasses
import itertools
import shutil

import pytest
from invented_study import FOLDS, make_study, predictions_in, times_of_folds

from components.base import artifacts
from components.base.errors import NotFiniteError
from components.base.settings import Range
from tuner import choose, cross_validation, folds, search_space, trial_folder
from tuner.search_space import SearchSpace

SPACE = SearchSpace(
    oracle="bayesian",
    backbones=("ResNet50",),
    optimizers=("Adam",),
    dropouts=(0.0,),
    learning_rate=Range(1e-4, 1e-1, log=True),
    hidden_units=(16,),
    epochs=2,
    seed=5,
    trials=10,  # from the seventh on, the Gaussian process chooses: it waits for three scores, and four are outstanding
)
WIDE = dataclasses.replace(
    SPACE, oracle="random", backbones=("ResNet50", "VGG19"), dropouts=Range(0.0, 0.6), hidden_units=(4, 16), trials=6
)


def search(study, trials_dir, space, processes=1):
    cross_validation.search_in_space(study, space, trials_dir, processes=processes, progress=lambda done, total: None)


def chosen(trials_dir, space):
    return [trial["scenario"] for trial in search_space.read(trials_dir, space)]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("features"), learning_rate=None)


@pytest.fixture(scope="module")
def bayesian(tmp_path_factory, study):
    """A finished search; tests must not change it."""
    trials_dir = tmp_path_factory.mktemp("bayesian") / "trials"
    search(study, trials_dir, SPACE)
    return trials_dir


def test_trials_lie_in_the_space_and_are_all_cross_validated(tmp_path, study):
    search(study, tmp_path, dataclasses.replace(WIDE, trials=8))
    trials = chosen(tmp_path, dataclasses.replace(WIDE, trials=8))
    assert [trial["number"] for trial in trials] == list(range(1, 9))
    assert {trial["backbone"] for trial in trials} == {"ResNet50", "VGG19"}
    assert {trial["hidden_units"] for trial in trials} == {4, 16}
    assert all(0 <= trial["dropout"] <= 0.6 and 1e-4 <= trial["learning_rate"] <= 1e-1 for trial in trials)
    assert len({trial["learning_rate"] for trial in trials}) == len({trial["dropout"] for trial in trials}) == 8
    assert {trial["epochs"] for trial in trials} == {2}
    for trial in trials:
        folder = trial_folder.path(tmp_path, trial["number"])
        rows = artifacts.read_csv(folder / "predictions.csv")
        assert [row["id"] for row in rows] == [photo.id for photo in study.photo_list]
        saved = artifacts.read_json(folder / "settings.json")
        for name in ("backbone", "dropout", "learning_rate", "hidden_units", "epochs"):
            assert saved[name] == trial[name]


def test_heads_have_the_hidden_units_and_the_rate_of_their_trial(study):
    scenario = search_space.scenario(
        SPACE, 1, {"backbone": "VGG19", "hidden_units": 16, "learning_rate": 0.02, "dropout": 0.1}
    )
    head = study.new_head(scenario)
    assert head.get_layer("hidden").units == 16
    assert float(head.optimizer.learning_rate) == pytest.approx(0.02)


def test_interrupted_search_chooses_and_trains_the_same(tmp_path, study, bayesian, fail_fits):
    fail_fits([9 * FOLDS - 1], OSError("disk full"))  # in a trial that the Gaussian process has chosen
    with pytest.raises(OSError, match="disk full"):
        search(study, tmp_path, SPACE)
    before = times_of_folds(tmp_path)
    assert 0 < len(before) < SPACE.trials * FOLDS
    fail_fits([], None)
    search(study, tmp_path, SPACE)
    assert chosen(tmp_path, SPACE) == chosen(bayesian, SPACE)
    assert predictions_in(tmp_path) == predictions_in(bayesian)
    after = times_of_folds(tmp_path)
    assert {path: after[path] for path in before} == before, "finished folds are not trained again"


def test_processes_do_not_change_what_the_oracle_chooses(tmp_path, study, bayesian):
    search(study, tmp_path, SPACE, processes=2)
    assert chosen(tmp_path, SPACE) == chosen(bayesian, SPACE)


def test_gaussian_process_chooses_where_scores_are_high(study, bayesian):
    rates = [trial["learning_rate"] for trial in chosen(bayesian, SPACE)]
    assert min(rates[-2:]) > max(rates[:6]), "with two epochs, higher rates are better"
    rows = [choose.read_row(bayesian, scenario, study) for scenario in search_space.scenarios_of(bayesian, SPACE)]
    assert max(rows, key=lambda row: row["f1"])["learning_rate"] in rates[-2:]


def test_more_trials_continue_the_search(tmp_path, study):
    search(study, tmp_path, dataclasses.replace(WIDE, trials=3))
    before = times_of_folds(tmp_path)
    search(study, tmp_path, WIDE)
    after = times_of_folds(tmp_path)
    assert {path: after[path] for path in before} == before
    assert len(after) == WIDE.trials * FOLDS
    assert len(chosen(tmp_path, dataclasses.replace(WIDE, trials=3))) == 3


def test_another_space_removes_the_trials_of_the_last_one(tmp_path, study, bayesian):
    trials_dir = shutil.copytree(bayesian, tmp_path / "trials")
    other = dataclasses.replace(SPACE, hidden_units=(8, 32), trials=4)
    assert chosen(trials_dir, other) == []
    search(study, trials_dir, other)
    assert {trial["hidden_units"] for trial in chosen(trials_dir, other)} == {8, 32}
    for trial in chosen(trials_dir, other):
        saved = artifacts.read_json(trial_folder.path(trials_dir, trial["number"]) / "settings.json")
        assert saved["hidden_units"] == trial["hidden_units"]


def test_hyperband_trains_the_best_trials_for_longer(tmp_path, study):
    space = dataclasses.replace(WIDE, oracle="hyperband", epochs=9, trials=14)
    search(study, tmp_path, space)
    trials = chosen(tmp_path, space)
    assert len(trials) == 14
    assert {trial["epochs"] for trial in trials} >= {1, 3}
    for trial in trials:
        history = artifacts.read_json(trial_folder.path(tmp_path, trial["number"]) / "fold-1.json")["history"]
        assert len(history["loss"]) == trial["epochs"]
    promoted = [trial for trial in trials if trial["epochs"] == 3]
    first = [{**trial, "epochs": 3, "number": 0} for trial in trials if trial["epochs"] == 1]
    assert any({**trial, "number": 0} in first for trial in promoted)


def test_diverged_trial_is_noted_and_left_out(tmp_path, study, fail_fits, caplog):
    fail_fits([2], NotFiniteError("Losses must be finite, but 1 of 2 are not. Training diverged."))
    search(study, tmp_path, WIDE)
    noted = {trial["scenario"]["number"]: trial["failure"] for trial in search_space.read(tmp_path, WIDE)}
    assert noted == {1: "Losses must be finite, but 1 of 2 are not. Training diverged.", **dict.fromkeys(range(2, 7))}
    assert [scenario.number for scenario in search_space.scenarios_of(tmp_path, WIDE)] == [2, 3, 4, 5, 6]
    assert "scenario 1 failed, given up: Losses must be finite" in caplog.text


def test_space_with_fewer_combinations_than_trials_ends_with_a_warning(tmp_path, study, caplog):
    space = dataclasses.replace(WIDE, dropouts=(0.0, 0.5), learning_rate=1e-2, backbones=("VGG19",), trials=30)
    search(study, tmp_path, space)
    trials = [(trial["dropout"], trial["hidden_units"]) for trial in chosen(tmp_path, space)]
    assert sorted(trials) == list(itertools.product((0.0, 0.5), (4, 16)))
    assert "only 4 combinations, fewer than the 30 trials" in caplog.text


def test_fewer_trials_do_not_forget_the_others(tmp_path, study):
    search(study, tmp_path, WIDE)
    before = times_of_folds(tmp_path)
    fewer = dataclasses.replace(WIDE, trials=3)
    search(study, tmp_path, fewer)
    assert [trial["number"] for trial in chosen(tmp_path, fewer)] == [1, 2, 3]
    assert [trial["number"] for trial in chosen(tmp_path, WIDE)] == [1, 2, 3, 4, 5, 6]
    search(study, tmp_path, WIDE)
    assert times_of_folds(tmp_path) == before


def test_trials_that_the_search_did_not_choose_again_are_dropped(tmp_path, study):
    space = dataclasses.replace(WIDE, dropouts=(0.0, 0.5), learning_rate=1e-2, backbones=("VGG19",), trials=30)
    search(study, tmp_path, space)
    stale = dataclasses.replace(search_space.scenarios_of(tmp_path, space)[0], number=5)
    search_space.note(tmp_path, space, stale)
    shutil.copytree(tmp_path / "01", tmp_path / "05")
    search(study, tmp_path, space)
    assert [trial["number"] for trial in chosen(tmp_path, space)] == [1, 2, 3, 4]


def test_gaussian_process_trains_no_scenario_twice(tmp_path, study, caplog):
    space = dataclasses.replace(
        SPACE, dropouts=(0.0, 0.2, 0.4, 0.6), learning_rate=1e-2, hidden_units=(4, 16), epochs=1, trials=20
    )
    search(study, tmp_path, space)
    trials = [(trial["dropout"], trial["hidden_units"]) for trial in chosen(tmp_path, space)]
    assert sorted(trials) == list(itertools.product(space.dropouts, space.hidden_units))
    assert "only 8 combinations, fewer than the 20 trials" in caplog.text


def test_hyperband_that_trains_no_trial_for_all_epochs_says_so(tmp_path, study, caplog):
    search(study, tmp_path, dataclasses.replace(WIDE, oracle="hyperband", epochs=9, trials=2))
    assert "no trial of --oracle hyperband was trained for all 9 epochs: give more --trials" in caplog.text


def test_only_numbers_of_ranges_are_rounded():
    space = dataclasses.replace(WIDE, dropouts=(0.12345,), learning_rate=Range(1e-4, 1e-1))
    scenario = search_space.scenario(space, 1, {"learning_rate": 0.0123456})
    assert (scenario.dropout, scenario.learning_rate) == (0.12345, 0.0123)
    scenario = search_space.scenario(dataclasses.replace(space, learning_rate=0.0123456), 1, {"dropout": 0.12345})
    assert (scenario.dropout, scenario.learning_rate) == (0.12345, 0.0123456)


def test_progress_looks_for_the_folds_of_unfinished_trials_alone(tmp_path, study, monkeypatch):
    looked, shown, epochs_done = collections.Counter(), [], folds.epochs_done

    def count(folder, fold, epochs):
        looked[folder.name, fold] += 1
        return epochs_done(folder, fold, epochs)

    monkeypatch.setattr(folds, "epochs_done", count)
    cross_validation.search_in_space(study, WIDE, tmp_path, processes=1, progress=lambda *done: shown.append(done))
    assert shown == [(done, WIDE.trials * FOLDS) for done in range(1, WIDE.trials * FOLDS + 1)]
    assert max(looked.values()) <= cross_validation.TRIALS_AHEAD * FOLDS
