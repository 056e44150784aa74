import numpy as np
import pytest

from components.audit import evaluation
from components.base import statistics
from components.base.answers import Answers

CLASSES = ["glass", "metal"]
ACTUAL = np.array([0, 0, 0, 1])
SCORES = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]], np.float32)


def test_intervals_and_calibration_error_are_those_of_the_photos():
    figures = evaluation.figures(ACTUAL, Answers(SCORES, CLASSES))
    assert figures["accuracy_interval"] == statistics.share_interval(3, 4)
    assert figures["f1_interval"] == statistics.interval(np.array([[2, 1], [0, 1]]))
    assert figures["ece"] == pytest.approx(0.9 - 3 / 4)
    assert figures["ece_by_chance"]["low"] < figures["ece_by_chance"]["mean"] < figures["ece_by_chance"]["high"]
    assert [row["recall_interval"] for row in figures["per_class"]] == [
        statistics.share_interval(2, 3),
        statistics.share_interval(1, 1),
    ]


def test_untypical_photos_are_counted_by_class():
    answers = Answers(SCORES, CLASSES, np.ones((4, 2), bool), np.array([0.001, 0.5, 0.5, 0.001]))
    figures = evaluation.figures(ACTUAL, answers)
    assert figures["flagged"]["count"] == 2
    assert [row["flagged"]["share"] for row in figures["per_class"]] == [pytest.approx(1 / 3), 1.0]
    assert (figures["sets"]["coverage"], figures["sets"]["mean_size"]) == (1.0, 2.0)


def test_model_without_sets_has_none():
    figures = evaluation.figures(ACTUAL, Answers(SCORES, CLASSES))
    assert figures["sets"] is figures["flagged"] is figures["per_class"][0]["flagged"] is None


def test_class_without_photos_leaves_macro_f1_without_interval():
    assert evaluation.figures(np.zeros(4, int), Answers(SCORES, CLASSES))["f1_interval"] is None
