"""Nested cross-validation of a small search, with heads that are replaced by invented probabilities."""

import sys

import numpy as np
import pytest
import small_run

from benchmarks import nested
from components.base import artifacts
from pipeline import recipe, trials
from tuner import folds


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nested")
    small_run.make(folder, noise=8.0)
    return folder


def run(monkeypatch, run_dir):
    monkeypatch.setattr(sys, "argv", ["nested", "--run-dir", str(run_dir)])
    nested.main()


def test_nested_f1_is_that_of_the_scenarios_chosen_without_the_fold(run_dir, monkeypatch, capsys):
    """The invented heads prefer the scenario that loses on the leaderboard, and the nested F1 is its F1."""
    leaderboard = artifacts.read_json(run_dir / "leaderboard.json")
    loser = next(row for row in leaderboard["scenarios"] if row["scenario"] != leaderboard["winner"]["scenario"])
    trained_on = []

    def train_head(study, scenario, fold):
        trained_on.append((scenario.number, frozenset(study.fold_of[study.fold_of != fold].tolist())))
        labels = study.labels[study.fold_of == fold]
        return {}, np.eye(3)[(labels + (scenario.number != loser["scenario"])) % 3]

    monkeypatch.setattr(folds, "train_head", train_head)
    run(monkeypatch, run_dir)
    text = capsys.readouterr().out
    assert [f"fold {fold}: scenario {loser['scenario']} is the best" in text for fold in (1, 2, 3)] == [True] * 3
    assert f"plain      {leaderboard['winner']['f1']:.4f}" in text
    assert f"corrected  {leaderboard['winner']['f1_corrected']:.4f}" in text
    assert f"nested     {loser['f1']:.4f}" in text
    assert sorted(trained_on, key=str) == sorted(
        [(number, frozenset({fold})) for number in (1, 2) for fold in range(3)], key=str
    ), "each scenario once without each pair of the three folds"


def test_inner_predictions_are_of_the_photos_outside_of_the_outer_fold(run_dir):
    config = nested.config_module.read(run_dir)
    study, scenario_list = recipe.study(config), trials.searched_scenarios(config)
    inner = nested.inner_predictions(study, scenario_list)
    assert inner.keys() == {(fold, number) for fold in range(3) for number in (1, 2)}
    for (outer, _), predicted in inner.items():
        assert ((predicted == -1) == (study.fold_of == outer)).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": 2}, "at least 3 folds (got 2, refine 0, strategy features). Choose another run."),
        ({"strategy": "finetune"}, "with frozen backbones alone"),
    ],
)
def test_run_that_cannot_be_nested_ends_with_one_line(tmp_path, run_dir, monkeypatch, changes, message):
    artifacts.write_json(tmp_path / "run.json", {**artifacts.read_json(run_dir / "run.json"), **changes})
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, tmp_path)
    assert "nested: --run-dir must hold" in str(stopped.value.code) and message in str(stopped.value.code)


def test_unfinished_search_ends_with_one_line(tmp_path, run_dir, monkeypatch):
    artifacts.write_json(tmp_path / "run.json", artifacts.read_json(run_dir / "run.json"))
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, tmp_path)
    assert str(stopped.value.code).endswith("has none. Finish it with run.")
