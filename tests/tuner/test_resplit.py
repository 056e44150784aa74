import dataclasses

import numpy as np
import pytest

from components.base import artifacts, metrics
from components.data import grouped_folds, photos, stratified_folds
from components.models import features
from tuner import folds, resplit, scenarios
from tuner import study as study_module

CLASSES = ["glass", "metal", "paper"]
SCENARIO = scenarios.Scenario(1, "VGG19", "Adam", 0.2)
COUNT, FOLDS, WIDTH = 45, 3, 4


@pytest.fixture
def study(tmp_path):
    """Return a study with such uninformative features that many predictions are wrong."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(3, WIDTH))
    artifacts.write_json(tmp_path / "VGG19" / "settings.json", {"backbone": "VGG19"})
    for view in range(2):
        activations = centres[np.arange(COUNT) % 3] + rng.normal(size=(COUNT, WIDTH))
        np.save(features.view_path(tmp_path / "VGG19", view), activations.astype(np.float32))
    photo_list = [
        photos.Photo(f"{row:016x}", f"/photos/{row}.jpg", CLASSES[row % 3], row // 3 % FOLDS) for row in range(COUNT)
    ]
    settings = {"views": 1, "epochs": 4, "batch_size": 8, "learning_rate": 1e-2, "weight_decay": 0.01, "seed": 5}
    return study_module.Study(photo_list, CLASSES, FOLDS, tmp_path, **settings)


@pytest.fixture
def trained_folds(monkeypatch):
    """Return a list to which each call of folds.train_head appends its fold."""
    calls, train = [], folds.train_head
    monkeypatch.setattr(folds, "train_head", lambda *args: calls.append(args[2]) or train(*args))
    return calls


def f1_with(study, fold_of):
    """Return the macro F1 of a cross-validation that trains every fold."""
    photo_list = [
        dataclasses.replace(photo, fold=int(fold)) for photo, fold in zip(study.photo_list, fold_of, strict=True)
    ]
    return metrics.score(resplit.matrix(dataclasses.replace(study, photo_list=photo_list), SCENARIO), CLASSES).f1


def draws_of(study, groups, seeds, progress=lambda done, total: None, draws=None):
    return resplit.plain_and_grouped(study, SCENARIO, groups, seeds=seeds, draws=draws or len(seeds), progress=progress)


def test_draws_equal_full_cross_validations_with_plain_and_grouped_folds(study):
    groups, calls = np.arange(COUNT) // 6, []
    rows = draws_of(study, groups, [3, 4], lambda done, total: calls.append((done, total)))
    labels = [photo.label for photo in study.photo_list]
    for row, seed in zip(rows, [3, 4], strict=True):
        plain = stratified_folds.assign(labels, FOLDS, seed)
        grouped = grouped_folds.keep_together(plain, labels, groups, FOLDS, seed)
        assert row["seed"] == seed
        assert row["plain"] == f1_with(study, plain)
        assert row["grouped"] == f1_with(study, grouped) != row["plain"]
        assert row["difference"] == row["grouped"] - row["plain"]
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_fold_unchanged_by_grouping_is_trained_once(study, trained_folds):
    labels = [photo.label for photo in study.photo_list]
    plain = stratified_folds.assign(labels, FOLDS, 3)
    groups = np.arange(COUNT)
    groups[np.flatnonzero(plain == 2)[0]] = groups[np.flatnonzero(plain == 1)[0]]
    (row,) = draws_of(study, groups, [3])
    assert trained_folds == [0, 1, 2, 1, 2]
    assert row["grouped"] == f1_with(study, grouped_folds.keep_together(plain, labels, groups, FOLDS, 3))


def test_photos_without_near_duplicates_make_no_difference(study, trained_folds):
    (row,) = draws_of(study, np.arange(COUNT), [3])
    assert row["difference"] == 0 and len(trained_folds) == FOLDS


def test_seed_that_cannot_be_grouped_is_skipped(study, monkeypatch):
    keep_together = grouped_folds.keep_together

    def refuse_3(plain, labels, groups, folds, seed):
        if seed == 3:
            raise grouped_folds.UngroupableError("seed 3")
        return keep_together(plain, labels, groups, folds, seed)

    monkeypatch.setattr(grouped_folds, "keep_together", refuse_3)
    assert [row["seed"] for row in draws_of(study, np.arange(COUNT) // 6, [3, 4, 5], draws=1)] == [4]


def test_draw_that_cannot_be_grouped_raises_before_any_head_is_trained(study, trained_folds):
    groups = np.arange(COUNT) % 3  # each class is one group
    with pytest.raises(grouped_folds.UngroupableError):
        draws_of(study, groups, [3, 4])
    assert trained_folds == []
