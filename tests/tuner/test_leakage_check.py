import dataclasses

import numpy as np
import pytest
import small_run
from sklearn.model_selection import KFold

from components.models import features, head
from pipeline import recipe, trials
from tuner import leakage_check


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return study and scenario of a run with three augmented views and hardly informative features."""
    folder = tmp_path_factory.mktemp("run")
    config = small_run.make(folder, noise=8.0)
    study = dataclasses.replace(recipe.study(config), views=3, batch_size=4)
    clean = np.load(features.view_path(study.features_dir / "VGG19", 0))
    for view in (1, 2, 3):
        noise = np.random.default_rng(view).normal(size=clean.shape).astype(np.float32)
        np.save(features.view_path(study.features_dir / "VGG19", view), clean + noise)
    return study, trials.searched_scenarios(config)[0]


@pytest.mark.parametrize(("photos", "sizes"), [(2527, [512, 511, 512, 512, 480]), (12, [4, 2, 2, 2, 2])])
def test_folds_consist_of_whole_batches_in_random_order(run, photos, sizes):
    """The first sizes are those that the thesis's notebooks print."""
    study = dataclasses.replace(run[0], folds=5, batch_size=32, seed=42)
    folds = leakage_check.folds_of_batches(photos, study)
    assert [len(test) for _, test in folds] == sizes
    for train, test in folds:
        assert sorted([*train, *test]) == list(range(photos))
    assert sorted(row for _, test in folds for row in test) == list(range(photos))
    batches = -(-photos // min(32, photos // 5))
    first = next(iter(KFold(5, shuffle=True, random_state=42).split(range(batches))))[1]
    order = np.random.default_rng(42).permutation(photos)
    size = min(32, photos // 5)
    expected = np.concatenate([order[number * size : (number + 1) * size] for number in first])
    np.testing.assert_array_equal(folds[0][1], expected)


@pytest.mark.parametrize(("views", "expected"), [(5, (4, 5)), (2, (1, 2)), (1, (1, 0))])
def test_last_view_is_reserved_for_testing(views, expected):
    assert leakage_check.split_views(views) == expected


def test_view_for_testing_is_not_trained_on(run, monkeypatch):
    study, scenario = run
    view_counts, fit = [], head.fit

    def recorded_fit(model, views, *args, **kwargs):
        view_counts.append(len(views))
        return fit(model, views, *args, **kwargs)

    monkeypatch.setattr(head, "fit", recorded_fit)
    leakage_check.fold_matrices(study, scenario)
    assert view_counts == [3] * study.folds, "the clean view and two augmented ones"


def test_folds_of_neighbouring_seeds_share_no_seed(run, monkeypatch):
    study, scenario = run
    seeds = []
    monkeypatch.setattr(head, "fit", lambda *args, seed, **kwargs: seeds.append(seed))
    for seed in (42, 43):
        leakage_check.fold_matrices(dataclasses.replace(study, seed=seed), scenario)
    assert len(set(seeds)) == 2 * study.folds


def test_model_is_trained_through_all_folds_and_new_only_to_the_first(run):
    """The matrices of five seeds are added, because folds of 12 photos are too small."""
    study, scenario = run
    studies = [dataclasses.replace(study, seed=seed) for seed in range(42, 47)]
    matrices = np.sum([leakage_check.fold_matrices(study, scenario) for study in studies], axis=0)
    assert matrices.sum() == len(studies) * len(study.labels)
    accuracy = [matrix.trace() / matrix.sum() for matrix in matrices]
    assert accuracy[0] + 0.1 < min(accuracy[1:]), accuracy


def test_row_has_the_f1_of_each_fold(run, tmp_path):
    study, scenario = run
    rows = leakage_check.check(study, [scenario], tmp_path, lambda done, total: None)
    matrices = leakage_check.fold_matrices(study, scenario)
    assert rows[0]["confusion_matrix"] == np.sum(matrices, axis=0).tolist()
    assert len(rows[0]["fold_f1"]) == study.folds and rows[0]["leaking"]
    assert rows[0]["fold_f1"][0] < rows[0]["fold_f1"][-1]
