"""Simulated scenarios whose true macro F1 is known: each is right with a probability, on classes of equal size."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tuner import bbc_cv

CLASSES = 3
ACTUAL = np.repeat(np.arange(CLASSES), 50)


@pytest.fixture(autouse=True)
def few_bootstraps(monkeypatch):
    monkeypatch.setattr(bbc_cv, "BOOTSTRAPS", 200)


def simulated(accuracies, seed):
    """Return the predictions of scenarios of these accuracies, int64 [scenarios, photos]; macro F1 is the same."""
    generator = np.random.default_rng(seed)
    shape = len(accuracies), len(ACTUAL)
    right = generator.random(shape) < np.array(accuracies)[:, None]
    return np.where(right, ACTUAL, (ACTUAL + generator.integers(1, CLASSES, shape)) % CLASSES)


def macro_f1(predicted, actual=ACTUAL):
    return f1_score(actual, predicted, average="macro")


def corrected(predicted, seed=1, actual=ACTUAL, classes=CLASSES):
    return bbc_cv.correct(actual, predicted, classes, seed)


def test_equally_good_scenarios_have_their_true_f1_on_average():
    studies = [simulated([0.8] * 20, seed) for seed in range(40)]
    plain = np.mean([max(map(macro_f1, predicted)) for predicted in studies])
    results = [corrected(predicted, seed) for seed, predicted in enumerate(studies)]
    assert plain > 0.8 + 0.04, "the best of twenty is far too high"
    assert np.mean([result.f1 for result in results]) == pytest.approx(0.8, abs=0.008)
    assert np.mean([result.low < 0.8 < result.high for result in results]) > 0.9


def test_clearly_best_scenario_keeps_its_f1():
    predicted = simulated([0.5, 0.95, 0.6, 0.5], seed=3)
    result = corrected(predicted)
    assert result.f1 == pytest.approx(macro_f1(predicted[1]), abs=1e-6)
    assert result.low < result.f1 < result.high


def test_correction_is_the_mean_over_bootstraps_computed_one_by_one(monkeypatch):
    """The random error of the winner's score, which is subtracted, is that of the chosen scenarios' scores too."""
    monkeypatch.setattr(bbc_cv, "BOOTSTRAPS", 20)
    predicted = simulated([0.8, 0.78, 0.82, 0.8], seed=5)
    winner = int(np.argmax([macro_f1(row) for row in predicted]))
    chosen_f1, winner_f1 = [], []
    for drawn in np.concatenate(list(bbc_cv._bootstraps(len(ACTUAL), 20, seed=1))):
        bag, outside = np.repeat(np.arange(len(ACTUAL)), drawn), drawn == 0
        chosen = int(np.argmax([macro_f1(row[bag], ACTUAL[bag]) for row in predicted]))
        chosen_f1.append(macro_f1(predicted[chosen][outside], ACTUAL[outside]))
        winner_f1.append(macro_f1(predicted[winner][outside], ACTUAL[outside]))
    expected = macro_f1(predicted[winner]) + np.mean(chosen_f1) - np.mean(winner_f1)
    result = corrected(predicted)
    assert result.f1 == pytest.approx(expected) and expected < macro_f1(predicted[winner])
    assert [result.low, result.high] == pytest.approx(np.quantile(chosen_f1, [0.025, 0.975]).tolist())


def test_first_of_tied_scenarios_is_chosen_if_floats_differ_in_the_last_digit():
    f1 = np.array([[0.5, 0.7, 0.8], [0.8, 0.7, np.nextafter(0.8, 1)], [np.nextafter(0.8, 1), 0.6, 0.7]])
    assert bbc_cv._best(f1).tolist() == [1, 0, 0]


def test_result_depends_on_the_seed_alone(monkeypatch):
    predicted = simulated([0.8] * 5, seed=1)
    result = corrected(predicted, seed=4)
    monkeypatch.setattr(bbc_cv, "BLOCK_NUMBERS", 1_000)  # another number of blocks
    assert corrected(predicted, seed=4) == pytest.approx(result)
    assert corrected(predicted, seed=5).f1 != result.f1


def test_classes_without_photos_in_a_bag_or_outside_of_it_leave_a_finite_result():
    actual = np.array([0] * 20 + [1] * 20 + [2])
    predicted = np.stack([actual, np.roll(actual, 1), np.zeros(41, int)])
    result = corrected(predicted, actual=actual)
    assert np.isfinite([result.f1, result.low, result.high]).all()
    assert result.f1 == 1.0 and result.low == 1.0, "the scenario without mistakes is always the best"


def test_macro_f1_is_the_mean_over_the_classes_with_photos():
    actual, predicted = np.array([0, 0, 1, 1, 2]), np.array([[0, 1, 1, 2, 2]])
    f1 = bbc_cv._Counts(actual, predicted, 3).macro_f1(np.array([[1, 1, 1, 1, 0], [2, 1, 1, 0, 1]]))
    assert f1[0].tolist() == pytest.approx([(2 / 3 + 2 / 4) / 2, (4 / 5 + 2 / 3 + 1) / 3])


@pytest.mark.parametrize("photos", [2, 3, 4])
def test_bags_with_every_photo_are_left_out(photos):
    actual = np.arange(photos) % 2
    result = corrected(np.stack([actual, 1 - actual]), actual=actual, classes=2)
    assert (result.f1, result.low, result.high) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("scenarios", [1, 3])
def test_nothing_is_selected_among_equal_answers(scenarios):
    assert corrected(np.repeat(simulated([0.8], seed=1), scenarios, axis=0)) is None
