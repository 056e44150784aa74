import numpy as np
import pytest
import scipy.stats

from components.base import statistics


def test_interval_of_two_balanced_classes_is_jeffreys_interval_of_the_accuracy():
    low, high = statistics.interval(np.array([[95, 5], [5, 95]]))
    assert (low, high) == pytest.approx(scipy.stats.beta.interval(0.95, 190.5, 10.5), abs=0.001)


def test_interval_without_mistakes_has_a_lower_end_below_1():
    low, high = statistics.interval(np.diag([100, 100]))
    assert 0.97 < low < 0.99 and high == 1.0
    assert statistics.interval(np.diag([10] * 6))[0] < low
    assert statistics.interval(np.array([[0, 5], [5, 0]]))[0] == 0.0


def test_class_with_few_photos_widens_the_interval():
    even, uneven = np.full((3, 3), 5) + np.diag([85] * 3), np.array([[142, 4, 4], [4, 142, 4], [1, 0, 4]])
    width = [high - low for low, high in map(statistics.interval, (even, uneven))]
    assert width[1] > 2 * width[0]


def test_interval_contains_the_true_value_in_95_percent_of_draws():
    generator, photos = np.random.default_rng(4), np.array([60, 40, 10])
    chances = np.array([[0.9, 0.06, 0.04], [0.1, 0.85, 0.05], [0.1, 0.1, 0.8]])
    truth = statistics.macro_f1(chances * photos[:, None])
    hits = 0
    for _ in range(1000):
        low, high = statistics.interval(np.stack(list(map(generator.multinomial, photos, chances))))
        hits += low <= truth <= high
    assert 920 < hits < 980


def test_calibration_error_is_the_mean_gap_of_the_bins():
    confidence = np.array([0.91, 0.91, 0.62, 0.62, 1.0])
    bins = statistics.reliability(confidence, np.array([True, True, True, False, True]))
    assert [(bin_["photos"], bin_["accuracy"]) for bin_ in bins] == [(2, 0.5), (2, 1.0), (1, 1.0)]
    assert bins[-1]["high"] == 1.0
    assert statistics.expected_calibration_error(bins) == pytest.approx((2 * 0.12 + 2 * 0.09 + 0) / 5)


def test_bins_have_jeffreys_interval_of_their_accuracy():
    right = np.arange(40) < 30
    (bin_,) = statistics.reliability(np.full(40, 0.8), right)
    assert (bin_["accuracy_low"], bin_["accuracy_high"]) == pytest.approx(scipy.stats.beta.interval(0.95, 30.5, 10.5))
    (all_right,) = statistics.reliability(np.full(5, 0.8), np.ones(5, bool))
    assert all_right["accuracy_low"] < 0.7 and all_right["accuracy_high"] == 1


def test_confidence_gap_of_a_calibrated_model_is_within_chance_in_95_percent_of_draws():
    generator = np.random.default_rng(3)
    confidence = generator.uniform(0.3, 1, 400)
    gaps = [statistics.confidence_gap(confidence, generator.random(400) < confidence) for _ in range(1000)]
    assert 0.93 < np.mean([gap["size"] <= gap["by_chance"] for gap in gaps]) < 0.97
    over = statistics.confidence_gap(np.full(100, 0.9), np.arange(100) < 80)
    assert over["gap"] == over["size"] == pytest.approx(0.1) and over["size"] > over["by_chance"]
    assert statistics.confidence_gap(np.full(100, 0.7), np.arange(100) < 80)["gap"] == pytest.approx(-0.1)


def test_calibration_error_of_a_calibrated_model_is_within_chance():
    generator = np.random.default_rng(2)
    confidence = generator.uniform(0.3, 1, 800)
    chance = statistics.calibration_error_by_chance(confidence, seed=1)
    assert 0 < chance["low"] < chance["mean"] < chance["high"] < 0.1

    def error(accuracy):
        return statistics.expected_calibration_error(
            statistics.reliability(confidence, generator.random(800) < accuracy)
        )

    within = [chance["low"] <= error(confidence) <= chance["high"] for _ in range(200)]
    assert 0.88 < np.mean(within) < 0.99
    assert error(confidence - 0.15) > chance["high"]


def test_calibration_error_by_chance_is_0_at_full_confidence():
    assert statistics.calibration_error_by_chance(np.ones(50), seed=1) == {"mean": 0.0, "low": 0.0, "high": 0.0}


def test_coverage_counts_photos_at_or_above_the_threshold():
    rows = statistics.coverage(np.array([0.9, 0.8, 0.5, 0.3]), np.array([True, False, True, False]), (0.5, 0.8, 0.95))
    assert rows == [
        {"threshold": 0.5, "coverage": 0.75, "accuracy": pytest.approx(2 / 3)},
        {"threshold": 0.8, "coverage": 0.5, "accuracy": 0.5},
        {"threshold": 0.95, "coverage": 0.0, "accuracy": None},
    ]
