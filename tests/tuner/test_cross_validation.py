import dataclasses
import errno
import itertools
import multiprocessing
import pathlib
import shutil

import invented_study
import numpy as np
import pytest
from invented_study import make_study, predictions_in, times_of_folds

from components.base import artifacts, seeds
from components.base.errors import NotFiniteError, PilahError
from components.models import features, head
from tuner import choose, cross_validation, scenarios, trial_folder

TWO = [scenarios.Scenario(1, "ResNet50", "Adam", 0.5), scenarios.Scenario(2, "VGG19", "AdamW", 0.2)]
CHANNELS = invented_study.CHANNELS
CLASSES, FOLDS = invented_study.CLASSES, invented_study.FOLDS


def ignore(done, total):
    pass


def search(study, trials_dir, scenario_list=TWO, progress=ignore, processes=1):
    cross_validation.search(study, scenario_list, trials_dir, processes=processes, progress=progress)


def probabilities_of(row):
    return [float(row[f"p_{name}"]) for name in CLASSES]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, study):
    trials_dir = tmp_path_factory.mktemp("uninterrupted") / "trials"
    search(study, trials_dir)
    return trials_dir


@pytest.fixture
def finished(tmp_path, uninterrupted):
    """Return a copy of the uninterrupted search that a test may continue."""
    return pathlib.Path(shutil.copytree(uninterrupted, tmp_path / "trials"))


@pytest.mark.parametrize("scenario", TWO, ids=["first", "second"])
def test_predictions_have_each_photo_once_in_order_with_its_fold(study, uninterrupted, scenario):
    folder = trial_folder.path(uninterrupted, scenario.number)
    rows = artifacts.read_csv(folder / "predictions.csv")
    assert [(row["id"], row["label"], int(row["fold"])) for row in rows] == [
        (photo.id, photo.label, photo.fold + 1) for photo in study.photo_list
    ]
    for fold in range(FOLDS):
        fold_rows = artifacts.read_csv(trial_folder.fold_predictions(folder, fold))
        assert fold_rows == [row for row in rows if row["fold"] == str(fold + 1)]
    for row in rows:
        assert sum(probabilities_of(row)) == pytest.approx(1, abs=1e-5)
        assert row["predicted"] == CLASSES[np.argmax(probabilities_of(row))]


@pytest.mark.parametrize(("scenario", "fold"), [(TWO[0], 1), (TWO[1], 2)], ids=["first", "second"])
def test_fold_is_predicted_by_a_head_trained_only_on_the_other_folds(study, uninterrupted, scenario, fold):
    activations = np.stack(features.Views(study.features_dir / scenario.backbone, study.views))
    tested = np.array([photo.fold == fold for photo in study.photo_list])
    labels = np.array([CLASSES.index(photo.label) for photo in study.photo_list])
    activations[1:, tested] = np.nan  # training on the fold's own photos gives nan
    model = head.build(
        CHANNELS[scenario.backbone],
        3,
        optimizer=scenario.optimizer,
        dropout=scenario.dropout,
        learning_rate=1e-2,
        weight_decay=0.01,
        seed=5,
    )
    head.fit(
        model,
        list(activations),
        labels,
        rows=np.flatnonzero(~tested),
        epochs=study.epochs,
        batch_size=study.batch_size,
        seed=seeds.derive(5, seeds.FOLD, fold),
    )
    rows = artifacts.read_csv(trial_folder.fold_predictions(trial_folder.path(uninterrupted, scenario.number), fold))
    expected = head.predict(model, activations[0][tested])
    np.testing.assert_allclose([probabilities_of(row) for row in rows], expected, rtol=0, atol=1e-6)


def test_random_labels_score_at_chance_out_of_fold(tmp_path):
    study = make_study(tmp_path / "features", 150, {"ResNet50": 400}, epochs=80, views=1)
    noise = np.random.default_rng(2).normal(size=(150, 400)).astype(np.float32)
    for view in range(2):
        np.save(features.view_path(tmp_path / "features" / "ResNet50", view), noise)
    search(study, tmp_path / "trials", [scenarios.Scenario(1, "ResNet50", "Adam", 0.0)])
    for fold in range(FOLDS):
        history = artifacts.read_json(tmp_path / "trials" / "01" / f"fold-{fold + 1}.json")["history"]
        assert history["accuracy"][-1] > 0.9, "the head does not overfit, so that the test cannot detect a leak"
    rows = artifacts.read_csv(tmp_path / "trials" / "01" / "predictions.csv")
    assert abs(np.mean([row["predicted"] == row["label"] for row in rows]) - 1 / 3) < 0.12


@pytest.mark.parametrize("training", [1, 4, 5], ids=["first fold", "between scenarios", "within a scenario"])
def test_interrupted_search_resumes_with_the_same_bytes(tmp_path, study, uninterrupted, fail_fits, training):
    fail_fits([training], KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        search(study, tmp_path)
    finished_folds = times_of_folds(tmp_path)
    assert len(finished_folds) == training - 1
    head._program.cache_clear()  # as in a new process
    fit_calls = fail_fits([], None)
    search(study, tmp_path)
    assert len(fit_calls) == 6 - len(finished_folds)
    assert {name: times_of_folds(tmp_path)[name] for name in finished_folds} == finished_folds
    assert predictions_in(tmp_path) == predictions_in(uninterrupted)


def test_parallel_processes_give_the_same_result_as_one(tmp_path, study, uninterrupted):
    calls = []
    search(study, tmp_path, progress=lambda done, total: calls.append((done, total)), processes=2)
    assert calls == sorted(calls) and calls[-1] == (6, 6)
    assert artifacts.read_json(tmp_path / "processes.json") == {"processes": 2}
    for path, expected_path in zip(
        sorted(tmp_path.glob("0*/*.csv")), sorted(uninterrupted.glob("0*/*.csv")), strict=True
    ):
        for row, expected in zip(artifacts.read_csv(path), artifacts.read_csv(expected_path), strict=True):
            np.testing.assert_allclose(probabilities_of(row), probabilities_of(expected), atol=1e-5)


def test_killed_worker_ends_the_search_and_keeps_finished_folds(tmp_path, study, finished):
    (trial_folder.path(finished, 1) / "settings.json").unlink()  # its folds are cleared and trained again
    killed = []

    def kill_one(done, total):
        killed.extend(process.kill() for process in multiprocessing.active_children()[:1])

    with pytest.raises(PilahError, match="lack of memory"):
        search(study, finished, progress=kill_one, processes=2)
    assert killed and not multiprocessing.active_children()
    assert predictions_in(finished).keys() >= {f"02/fold-{fold + 1}.csv" for fold in range(FOLDS)}


def test_two_searches_with_one_seed_write_the_same_bytes(tmp_path, study, uninterrupted):
    head._program.cache_clear()
    search(study, tmp_path)
    assert len(predictions_in(tmp_path)) == 2 * (FOLDS + 1)
    assert predictions_in(tmp_path) == predictions_in(uninterrupted)


def test_finished_search_trains_nothing_and_reports_all_folds(finished, study, uninterrupted, fail_fits):
    before, fit_calls, calls = times_of_folds(finished), fail_fits([], None), []
    search(study, finished, progress=lambda done, total: calls.append((done, total)))
    assert fit_calls == []
    assert times_of_folds(finished) == before
    assert predictions_in(finished) == predictions_in(uninterrupted)
    assert set(calls) == {(6, 6)}


def test_only_the_missing_fold_is_retrained(finished, study, uninterrupted, fail_fits):
    trial_folder.fold_predictions(finished / "02", 1).unlink()
    fit_calls = fail_fits([], None)
    search(study, finished)
    assert len(fit_calls) == 1
    assert predictions_in(finished) == predictions_in(uninterrupted)


@pytest.mark.parametrize(
    "changed",
    [{"learning_rate": 1e-3}, {"epochs": 1}, {"seed": 6}, {"views": 1}, {"batch_size": 9}],
    ids=lambda changed: next(iter(changed)),
)
def test_changed_setting_clears_old_results(finished, study, fail_fits, changed):
    fail_fits([1], KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        search(dataclasses.replace(study, **changed), finished)
    assert [path.name for path in sorted(finished.glob("0*/*"))] == ["settings.json", "settings.json"]


def test_changed_features_or_folds_clear_their_scenarios(finished, study, tmp_path, fail_fits):
    features_dir = pathlib.Path(shutil.copytree(study.features_dir, tmp_path / "features"))
    artifacts.write_json(features_dir / "VGG19" / "settings.json", {"backbone": "VGG19", "seed": 2})
    fit_calls = fail_fits([], None)
    search(dataclasses.replace(study, features_dir=features_dir), finished)
    assert len(fit_calls) == FOLDS, "ResNet50's features are the same as before"
    photo_list = [dataclasses.replace(photo, fold=(photo.fold + 1) % FOLDS) for photo in study.photo_list]
    search(dataclasses.replace(study, features_dir=features_dir, photo_list=photo_list), finished)
    assert len(fit_calls) == 3 * FOLDS


def test_changed_weight_decay_clears_only_adamw(finished, study, uninterrupted):
    old_times, old = times_of_folds(finished), predictions_in(uninterrupted)
    search(dataclasses.replace(study, weight_decay=3.0), finished)
    times, new = times_of_folds(finished), predictions_in(finished)
    assert all((times[name] == old_times[name]) == name.startswith("01") for name in old_times)
    assert all((new[name] == old[name]) == name.startswith("01") for name in old)


def test_scenario_that_fails_once_is_retried_from_the_failed_fold(tmp_path, study, uninterrupted, fail_fits, caplog):
    fit_calls = fail_fits([2], RuntimeError("out of memory"))
    search(study, tmp_path)
    assert len(fit_calls) == 6 + 1
    assert predictions_in(tmp_path) == predictions_in(uninterrupted)
    assert "scenario 1 failed, trying once more: RuntimeError: out of memory" in caplog.text


def test_scenario_that_always_fails_completes_the_others_without_a_leaderboard(
    tmp_path, study, uninterrupted, fail_fits, caplog
):
    fit_calls = fail_fits([1, 2], RuntimeError("out of memory"))
    search(study, tmp_path)
    assert len(fit_calls) == 2 + FOLDS
    assert "scenario 1 failed, given up: RuntimeError: out of memory" in caplog.text
    others = {name: content for name, content in predictions_in(uninterrupted).items() if name.startswith("02")}
    assert predictions_in(tmp_path) == others
    parameters = {1: 2, 2: 1}
    with pytest.raises(PilahError, match=r"all 2 scenarios.*no complete predictions: 1\. "):
        choose.leaderboard(tmp_path, TWO, study, parameters)
    search(study, tmp_path)
    assert len(fit_calls) == 2 + 2 * FOLDS
    assert len(choose.leaderboard(tmp_path, TWO, study, parameters)["scenarios"]) == 2


def test_all_scenarios_failing_ends_the_search_without_a_leaderboard(tmp_path, study, fail_fits):
    many = [scenarios.Scenario(number, "ResNet50", "Adam", number / 10) for number in range(1, 6)]
    fit_calls = fail_fits(itertools.count(1), RuntimeError("out of memory"))
    search(study, tmp_path, many)
    assert len(fit_calls) == 2 * 5
    with pytest.raises(PilahError, match=r"1, 2, 3, 4, 5\. "):
        choose.leaderboard(tmp_path, many, study, dict.fromkeys(range(1, 6), 1))


def test_full_disk_stops_the_search_and_raises_the_original_error(tmp_path, study, fail_fits):
    full = OSError(errno.ENOSPC, "No space left on device")
    fit_calls = fail_fits([2], full)
    with pytest.raises(OSError, match="No space left") as caught:
        search(study, tmp_path)
    assert caught.value is full
    assert fit_calls == [1, 2]
    assert list(times_of_folds(tmp_path)) == ["01/fold-1.csv"]


def test_trial_folder_that_cannot_be_created_stops_the_search(tmp_path, study, fail_fits):
    fit_calls = fail_fits([], None)
    (tmp_path / "01").write_text("a file where the folder goes")
    with pytest.raises(OSError):
        search(study, tmp_path)
    assert fit_calls == []


def test_seconds_and_history_of_each_fold_are_recorded(study, uninterrupted):
    for scenario, fold in itertools.product(TWO, range(FOLDS)):
        fold_history = artifacts.read_json(trial_folder.path(uninterrupted, scenario.number) / f"fold-{fold + 1}.json")
        assert fold_history["seconds"] > 0
        assert len(fold_history["history"]["loss"]) == len(fold_history["history"]["accuracy"]) == study.epochs


def test_scenario_with_non_finite_probabilities_fails_without_retry(tmp_path, uninterrupted, caplog):
    broken = make_study(tmp_path / "features")
    view = features.view_path(tmp_path / "features" / "VGG19", 0)
    activations = np.load(view)
    activations[3] = np.nan  # in the second fold; the augmented views are finite, so that training does not diverge
    np.save(view, activations)
    search(broken, tmp_path / "trials")
    (failure,) = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert failure.startswith("scenario 2 failed, given up: Probabilities must be finite, but 1 of 9 are not")
    assert not (tmp_path / "trials" / "02" / "fold-2.csv").exists()
    others = {name: content for name, content in predictions_in(uninterrupted).items() if name.startswith("01")}
    assert {
        name: content for name, content in predictions_in(tmp_path / "trials").items() if name[:2] == "01"
    } == others
    with pytest.raises(PilahError, match=r"no complete predictions: 2\."):
        choose.leaderboard(tmp_path / "trials", TWO, broken, {1: 2, 2: 1})


def test_non_finite_predictions_of_an_earlier_version_raise(finished, study):
    path = finished / "01" / "predictions.csv"
    head_line, row, *rest = path.read_text().splitlines()
    path.write_text("\n".join([head_line, ",".join([*row.split(",")[:4], "nan", "nan", "nan"]), *rest]))
    with pytest.raises(NotFiniteError, match=r"01/predictions\.csv must be finite, but 1 of 27 are not"):
        choose.leaderboard(finished, TWO, study, {1: 2, 2: 1})
