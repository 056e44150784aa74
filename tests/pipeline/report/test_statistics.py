import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import f1_score

from pipeline.report import statistics

RNG = np.random.default_rng(3)
ACTUAL = RNG.integers(0, 3, 150)
GOOD = np.where(RNG.random(150) < 0.85, ACTUAL, RNG.integers(0, 3, 150))
POOR = np.where(RNG.random(150) < 0.6, ACTUAL, RNG.integers(0, 3, 150))


def matrix_of(predicted, actual=ACTUAL):
    return np.array([[np.sum((row == actual) & (predicted == column)) for column in range(3)] for row in range(3)])


def photo_by_photo(predicted, other=None, draws=300):
    """The bootstrap as the books have it: photos are drawn one by one, and each draw is counted anew."""
    picks = np.random.default_rng(5).integers(0, 150, (draws, 150))

    def scores(answers):
        return statistics.macro_f1(np.stack([matrix_of(answers[rows], ACTUAL[rows]) for rows in picks]))

    return scores(predicted) - (scores(other) if other is not None else 0)


def test_macro_f1_is_that_of_scikit_learn_for_each_of_many_matrices():
    both = statistics.macro_f1(np.stack([matrix_of(GOOD), matrix_of(POOR)]))
    assert both == pytest.approx([f1_score(ACTUAL, answers, average="macro") for answers in (GOOD, POOR)])
    assert statistics.macro_f1(np.array([[4, 0], [4, 0]])) == pytest.approx((2 * 4 / 12 + 0) / 2)


def test_class_that_no_photo_of_a_fold_is_of_does_not_lower_its_f1():
    assert statistics.macro_f1_of_present_classes(np.array([[3, 0, 0], [0, 2, 0], [0, 0, 0]])) == 1.0
    with_one_taken_for_it = np.array([[3, 0, 1], [0, 2, 0], [0, 0, 0]])
    assert statistics.macro_f1_of_present_classes(with_one_taken_for_it) == pytest.approx((6 / 7 + 1) / 2)


def test_interval_is_that_of_a_bootstrap_photo_by_photo():
    expected = np.quantile(photo_by_photo(GOOD), [0.025, 0.975])
    assert statistics.interval(matrix_of(GOOD), seed=1) == pytest.approx(expected, abs=0.02)


def test_difference_is_paired_photo_by_photo():
    low, high, p = statistics.difference(ACTUAL, GOOD, POOR, 3, seed=1)
    assert (low, high) == pytest.approx(np.quantile(photo_by_photo(GOOD, POOR), [0.025, 0.975]), abs=0.02)
    assert 2 / 2001 <= p < 0.02
    back_low, back_high, _ = statistics.difference(ACTUAL, POOR, GOOD, 3, seed=1)
    assert (back_low, back_high) == pytest.approx((-high, -low), abs=0.02)


def test_same_answers_cannot_be_told_apart():
    assert statistics.difference(ACTUAL, GOOD, GOOD, 3, seed=1) == (0.0, 0.0, 1.0)
    right = GOOD == ACTUAL
    assert statistics.mcnemar(right, right) == (0, 0, 1.0)


def test_difference_of_many_classes_takes_little_memory():
    actual = np.arange(2000) % 200
    tracemalloc.start()
    low, high, _ = statistics.difference(actual, actual, np.roll(actual, 1), 200, seed=1)
    assert (low, high) == (1.0, 1.0)
    assert tracemalloc.get_traced_memory()[1] < 200e6
    tracemalloc.stop()


@pytest.mark.parametrize("comparisons", [1, 26, 53, 500])
def test_plain_gap_is_told_apart_among_any_number_of_comparisons(comparisons):
    actual = np.arange(300) % 3
    draws = statistics.draws_for(comparisons)
    _, _, p = statistics.difference(actual, actual, (actual + 1) % 3, 3, seed=1, draws=draws)
    assert statistics.holm([p] * comparisons)[0] < statistics.SIGNIFICANCE


def test_mcnemar_is_the_binomial_of_the_photos_that_one_alone_got_right():
    right = np.array([True] * 9 + [False] * 1 + [True] * 20)
    other = np.array([False] * 9 + [True] * 1 + [True] * 20)
    first, second, p = statistics.mcnemar(right, other)
    assert (first, second) == (9, 1)
    assert p == pytest.approx(2 * (1 + 10) / 2**10)


def test_holm_multiplies_by_what_is_left_and_never_falls():
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]


def test_calibration_error_is_the_mean_gap_of_the_bins():
    confidence = np.array([0.91, 0.91, 0.62, 0.62, 1.0])
    bins = statistics.reliability(confidence, np.array([True, True, True, False, True]))
    assert [(one["photos"], one["accuracy"]) for one in bins] == [(2, 0.5), (2, 1.0), (1, 1.0)]
    assert bins[-1]["high"] == 1.0
    assert statistics.expected_calibration_error(bins) == pytest.approx((2 * 0.12 + 2 * 0.09 + 0) / 5)


def test_coverage_counts_the_photos_that_are_sure_enough():
    rows = statistics.coverage(np.array([0.9, 0.8, 0.5, 0.3]), np.array([True, False, True, False]), (0.5, 0.8, 0.95))
    assert rows == [
        {"threshold": 0.5, "coverage": 0.75, "accuracy": pytest.approx(2 / 3)},
        {"threshold": 0.8, "coverage": 0.5, "accuracy": 0.5},
        {"threshold": 0.95, "coverage": 0.0, "accuracy": None},
    ]
