import dataclasses
import io
import pathlib
import shutil

import numpy as np
import pytest
import report_reader
import rich.console
import small_run

from components.base import artifacts, metrics
from components.base.errors import PilahError
from pipeline import lock, recipe, thesis, trials
from pipeline.commands import audit, leakage_check
from pipeline.report import findings
from tuner import leakage_check as check_module
from tuner import predictions, resplit


def check(run_dir):
    """Run the leakage check and return leakage_check.json and the printed text."""
    text = io.StringIO()
    console = rich.console.Console(file=text, width=160)
    leakage_check.run(run_dir, console)
    return artifacts.read_json(run_dir / "audit" / "leakage_check.json"), text.getvalue()


def contents(run_dir):
    """Every file of the run but the audit's: name -> bytes."""
    files = [path for path in sorted(run_dir.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(run_dir)): path.read_bytes()
        for path in files
        if path.relative_to(run_dir).parts[0] not in ("audit", "run.lock")
    }


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """Return a run whose features hardly separate the classes, so that a model gains much from photos seen before."""
    folder = tmp_path_factory.mktemp("noisy")
    small_run.make(folder, noise=8.0)
    return folder


@pytest.fixture(scope="module")
def checked(run_dir):
    before = contents(run_dir)
    results, text = check(run_dir)
    return before, results, text


def test_retrained_folds_repeat_the_search(run_dir):
    """Heads are trained and tested as in the search, test-time views and all: the folds alone differ."""
    config = audit.finished(run_dir)
    study, winner = recipe.study(config), recipe.winner(config)
    searched = predictions.confusion(
        run_dir / "trials" / f"{winner.number:02d}" / "predictions.csv", study.photo_list, study.classes
    )
    np.testing.assert_array_equal(resplit.matrix(study, winner), searched)


def test_check_during_a_run_raises_and_changes_nothing(run_dir, checked):
    with lock.locked(run_dir), pytest.raises(PilahError, match="is in use by process"):
        check(run_dir)
    assert artifacts.read_json(run_dir / "audit" / "leakage_check.json") == checked[1]


def test_model_reused_across_folds_scores_too_high(run_dir, checked):
    honest = artifacts.read_json(run_dir / "leaderboard.json")["scenarios"]
    carried = checked[1]["scenarios"]
    assert [row["scenario"] for row in carried] == [row["scenario"] for row in honest] == [1, 2]
    gains = [leaking["f1"] - row["f1"] for row, leaking in zip(honest, carried, strict=True)]
    assert min(gains) > 0 and np.mean(gains) > 0.1
    assert all(sum(map(sum, row["confusion_matrix"])) == 39 for row in carried)


def test_leaked_results_are_marked_everywhere(run_dir, checked):
    _, results, text = checked
    assert results["leaking"] and "LEAKING" in results["warning"]
    assert all(row["leaking"] for row in results["scenarios"])
    assert all(artifacts.read_json(path)["leaking"] for path in (run_dir / "audit" / "leakage_check").glob("*.json"))
    assert "carried F1 (LEAKING)" in text and "They are no result." in text


def test_folds_are_printed_by_scenario_and_averaged_by_backbone(run_dir, checked):
    _, results, text = checked
    carried = np.array([row["fold_f1"] for row in results["scenarios"]])
    honest = results["folds"]["VGG19"]["honest"]
    np.testing.assert_allclose(results["folds"]["VGG19"]["carried"], carried.mean(axis=0))
    assert results["mean_of_folds"] == results["folds"]["VGG19"] and "thesis" not in results["mean_of_folds"]
    assert carried[:, 1:].mean() > np.mean(honest) + 0.1, "photos that it was trained on"
    assert "  ".join(f"{value:.3f}" for value in carried[0]).replace("  ", " ") in text
    config = audit.finished(run_dir)
    answers = predictions.read(run_dir / "trials" / "01" / "predictions.csv")
    first = answers.fold == 0
    matrix = metrics.confusion(answers.actual[first], answers.predicted[first], len(answers.classes))
    expected = metrics.score(matrix, answers.classes).f1
    assert leakage_check.honest_fold_f1(config, recipe.study(config), 1)[0] == expected


def test_backbone_means_are_of_the_published_scenarios():
    folds = {"carried": {1: [0.5, 0.9], 2: [0.7, 0.9]}, "thesis": {2: [0.8, 1.0]}, "other": {}}
    assert leakage_check.mean_by_fold(folds, [1, 2]) == {
        "carried": pytest.approx([0.6, 0.9]),
        "thesis": pytest.approx([0.8, 1.0]),
    }


def test_report_shows_the_check_next_to_the_leaderboard(run_dir, checked):
    leaderboard = artifacts.read_json(run_dir / "leaderboard.json")
    shown = findings.leakage_check(run_dir, leaderboard)["scenarios"]
    assert [row["honest_f1"] for row in shown] == [row["f1"] for row in leaderboard["scenarios"]]
    assert [row["carried_f1"] for row in shown] == [row["f1"] for row in checked[1]["scenarios"]]
    assert all(row["leaking"] and row["thesis_f1"] is None for row in shown)


def test_check_leaves_leaderboard_and_trials_unchanged(run_dir, checked):
    assert contents(run_dir) == checked[0]
    assert not list((run_dir / "audit").rglob("*.csv"))


def test_page_shows_the_check_without_another_command(run_dir, checked, tmp_path):
    copy = pathlib.Path(shutil.copytree(run_dir, tmp_path / "run"))
    (copy / "audit" / "leakage_check.json").unlink()
    card = small_run.finish(copy) / "MODEL_CARD.md"
    assert "leakage-table" not in report_reader.read(copy).tables
    _, text = check(copy)
    shown = report_reader.rows_of(report_reader.read(copy).tables["leakage-table"])
    assert [int(row["No."]) for row in shown] == [1, 2]
    assert "The figures here do not leak" in card.read_text()
    assert f"report: {copy / 'report' / 'index.html'}" in text.replace("\n", "")


def test_interrupted_check_resumes_at_the_next_scenario(run_dir, checked, monkeypatch):
    trained = []
    carry = check_module.fold_matrices
    monkeypatch.setattr(
        check_module,
        "fold_matrices",
        lambda study, scenario: trained.append(scenario.number) or carry(study, scenario),
    )
    (run_dir / "audit" / "leakage_check" / "02.json").unlink()
    (run_dir / "audit" / "leakage_check.json").unlink()
    results, _ = check(run_dir)
    assert trained == [2]
    assert [row["f1"] for row in results["scenarios"]] == [row["f1"] for row in checked[1]["scenarios"]]


def test_tables_are_compared_by_scenario():
    honest = {"scenarios": [{"scenario": 1, "f1": 0.5}, {"scenario": 2, "f1": 0.6}, {"scenario": 3, "f1": 0.7}]}
    carried = [{"scenario": 1, "f1": 0.8}, {"scenario": 2, "f1": 0.7}, {"scenario": 3, "f1": 0.9}]
    compared = leakage_check.compare(honest, carried, {1: 0.7, 2: 0.8, 3: 0.9})
    assert compared["honest_and_thesis"] == pytest.approx(
        {"mean_difference": 0.2, "mean_absolute_difference": 0.2, "rank_correlation": 1.0}
    )
    assert compared["carried_and_thesis"] == pytest.approx(
        {"mean_difference": 0.0, "mean_absolute_difference": 0.2 / 3, "rank_correlation": 0.5}
    )
    assert list(leakage_check.compare(honest, carried, {})) == ["honest_and_carried"]


def test_single_scenario_has_no_rank_correlation():
    assert leakage_check.distance([0.5], [0.8])["rank_correlation"] is None


def test_thesis_results_are_shown_for_the_thesis_photos(run_dir, checked, monkeypatch):
    monkeypatch.setattr(thesis, "f1_of_scenarios", lambda run_dir, leaderboard: {1: 0.9511, 2: 0.9456})
    results, text = check(run_dir)
    assert "thesis F1" in text and "0.9511" in text
    assert "carried_and_thesis" in results["compared"]


def test_refined_scenarios_are_left_out(run_dir, checked, monkeypatch):
    honest = artifacts.read_json(run_dir / "leaderboard.json")
    refined = {**honest["scenarios"][0], "scenario": 3, "strategy": "finetune"}
    results = checked[1]
    both = {"leaderboard.json": {**honest, "scenarios": [*honest["scenarios"], refined]}, "leakage_check.json": results}
    monkeypatch.setattr(artifacts, "read_json", lambda path, kind=None: both[path.name])
    text = io.StringIO()
    console = rich.console.Console(file=text, width=160)
    leakage_check.show(run_dir, console)
    rows = [line.split()[0] for line in text.getvalue().splitlines() if line.split()[1:2] == ["VGG19"]]
    assert rows == ["1", "2"]


def test_backbone_that_the_oracle_did_not_choose_is_left_out(run_dir, checked, monkeypatch):
    config = audit.finished(run_dir)
    searched = trials.searched_scenarios(config)
    more = dataclasses.replace(config, backbones=(*config.backbones, "ResNet50"))
    monkeypatch.setattr(audit, "finished", lambda *arguments: more)
    monkeypatch.setattr(trials, "searched_scenarios", lambda config, **options: searched)
    results, _ = check(run_dir)
    assert [*results["folds"]] == ["VGG19"]
