import numpy as np
import pytest

from components.models import prediction_sets

FOLDS = 5


def study(photos=4000, classes=4, sharpness=2.0, seed=1):
    """Return probabilities, actual classes and folds of photos whose probabilities are correct by construction."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, sharpness, (photos, classes)) + np.array([0.0, 0.5, -1.0, 0.2])[:classes]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    actual = (probabilities.cumsum(axis=1) > rng.random((photos, 1))).argmax(axis=1)
    return probabilities, actual, np.arange(photos) % FOLDS


def held(sets, actual):
    return sets[np.arange(len(actual)), actual]


@pytest.mark.parametrize("coverage", prediction_sets.COVERAGES)
def test_sets_by_other_folds_hold_the_class_as_often_as_stated_in_every_class(coverage):
    probabilities, actual, fold = study()
    sets = prediction_sets.cross_fitted(probabilities, actual, fold, coverage)
    for number in range(4):
        assert held(sets, actual)[actual == number].mean() == pytest.approx(coverage, abs=0.025)


def test_sets_of_a_class_that_is_always_recognised_have_one_class():
    probabilities = np.full((50, 3), 0.1)
    actual = np.arange(50) % 3
    probabilities[np.arange(50), actual] = 0.8
    rule = prediction_sets.fit(probabilities, actual, np.arange(50) % 5, 0.9)
    assert rule.thresholds.tolist() == [1.0, 1.0, 1.0]
    assert prediction_sets.members(np.array([[0.4, 0.35, 0.25]]), rule).tolist() == [[True, False, False]]


def test_class_with_too_few_photos_for_the_coverage_is_in_every_set():
    probabilities, actual, fold = study(classes=2)
    few = np.concatenate([np.flatnonzero(actual == 0), np.flatnonzero(actual == 1)[:18]])
    rule = prediction_sets.fit(probabilities[few], actual[few], fold[few], 0.95)  # 18 < 19 = 0.95 / (1 - 0.95)
    assert rule.thresholds[1] == 0.0
    assert prediction_sets.members(np.array([[1.0, 0.0]]), rule).tolist() == [[True, True]]


def test_set_is_never_empty_and_has_the_most_probable_class():
    probabilities, actual, fold = study()
    sets = prediction_sets.cross_fitted(probabilities, actual, fold, 0.9)
    assert sets[np.arange(len(sets)), probabilities.argmax(axis=1)].all()


def test_threshold_is_the_conformal_quantile_of_the_class():
    scores = np.arange(1, 20) / 100  # of 19 photos of class 1, none of which is most probable
    probabilities = np.stack([1 - scores, scores], axis=1)
    rule = prediction_sets.Rule(1.0, np.array([prediction_sets._threshold(scores, 0.9)]))
    assert rule.thresholds == [0.02]  # ceil(0.9 x 20) = 18 of 19 reach it
    assert (probabilities[:, 1] >= rule.thresholds).sum() == 18


def test_temperature_of_underconfident_scores_is_found_and_improves_held_out_log_loss():
    probabilities, actual, fold = study()
    flat = prediction_sets.calibrated(probabilities, 3.0)  # as label smoothing does
    assert prediction_sets.fit_temperature(flat, actual, fold) == pytest.approx(1 / 3, rel=0.1)
    scaled = prediction_sets.scaled_by_other_folds(flat, actual, fold)
    assert prediction_sets.log_loss(scaled, actual) < prediction_sets.log_loss(flat, actual) - 0.05


def test_temperature_is_1_if_that_of_other_folds_raises_the_log_loss():
    probabilities, actual, _ = study()
    fold = np.arange(len(actual)) % 2
    sharp = prediction_sets.calibrated(probabilities, 0.5)
    mixed = np.where((fold == 0)[:, np.newaxis], sharp, prediction_sets.calibrated(probabilities, 2.0))
    assert prediction_sets.fit_temperature(mixed, actual, fold) == 1.0  # each fold would need the opposite
    assert prediction_sets.fit_temperature(sharp, actual, fold) == pytest.approx(2.0, rel=0.1)


def test_probability_of_0_in_a_file_does_not_break_the_calibration():
    probabilities = np.array([[1.0, 0.0], [0.0, 1.0]] * 20)
    actual = np.array([0, 1] * 19 + [1, 0])
    rule = prediction_sets.fit(probabilities, actual, np.arange(40) % 4, 0.9)
    assert np.isfinite(rule.thresholds).all() and np.isfinite(rule.temperature)


def test_sets_of_many_classes_are_the_same_in_float32():
    probabilities = np.full((1, 200), 0.989 / 198)  # to the power of 20, float32 would have 0 for all of them
    probabilities[:, :2] = 0.0056, 0.0054
    rule = prediction_sets.Rule(prediction_sets.TEMPERATURES[0], np.full(200, 0.02))
    for dtype in (np.float64, np.float32):
        sets = prediction_sets.members(probabilities.astype(dtype), rule)
        assert np.flatnonzero(sets).tolist() == [0, 1]


def test_set_of_class_names_with_blanks_reads_back_from_its_text():
    text = prediction_sets.as_text(np.array([True, False, True, True]), ["glass", "glass jar", "jar", "paper, card"])
    assert text.split("/") == ["glass", "jar", "paper, card"]
