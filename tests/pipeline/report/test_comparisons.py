import numpy as np
import pytest
from sklearn.metrics import f1_score

from pipeline.report import comparisons
from tuner import predictions

CLASSES = ["glass", "metal", "paper"]
ACTUAL = np.repeat(np.arange(3), 100)


def answers_of(predicted):
    return predictions.Predictions(
        ids=[str(number) for number in range(300)],
        classes=CLASSES,
        actual=ACTUAL,
        predicted=predicted,
        fold=np.arange(300) % 5,
        probabilities=np.eye(3)[predicted],
    )


def with_accuracy(accuracy, seed):
    correct = np.random.default_rng(seed).random(300) < accuracy
    return answers_of(np.where(correct, ACTUAL, (ACTUAL + 1) % 3))


def f1_of(answers):
    return f1_score(answers.actual, answers.predicted, average="macro")


def row_of(number, answers, backbone="ResNet50", optimizer="Adam", dropout=0.0):
    return {
        "scenario": number,
        "f1": f1_of(answers),
        "backbone": backbone,
        "optimizer": optimizer,
        "dropout": dropout,
    }


def test_each_scenario_is_compared_with_the_winner():
    best, close, poor = with_accuracy(0.9, 1), with_accuracy(0.88, 2), with_accuracy(0.6, 3)
    compared = comparisons.with_winner([4, 2, 7], {2: close, 4: best, 7: poor}, seed=1)
    assert compared.keys() == {2, 7}
    for number, answers in ((2, close), (7, poor)):
        assert compared[number]["gap"] == pytest.approx(f1_of(best) - f1_of(answers))
        assert compared[number]["gap_low"] < compared[number]["gap"] < compared[number]["gap_high"]
        best_correct, correct = best.predicted == ACTUAL, answers.predicted == ACTUAL
        assert compared[number]["only_winner_right"] == np.sum(best_correct & ~correct)
        assert compared[number]["only_other_right"] == np.sum(correct & ~best_correct)
    assert compared[7]["told_apart"] and not compared[2]["told_apart"]


def test_scenarios_with_equal_answers_do_not_differ_and_count_once():
    best, other = with_accuracy(0.9, 1), with_accuracy(0.8, 2)
    without_copies = comparisons.with_winner([1, 2], {1: best, 2: other}, seed=1)
    with_copies = comparisons.with_winner([1, 2, 3, 4], {1: best, 2: other, 3: best, 4: other}, seed=1)
    assert with_copies[3] == {
        "gap": 0.0,
        "gap_low": None,
        "gap_high": None,
        "p": 1.0,
        "told_apart": False,
        "only_winner_right": 0,
        "only_other_right": 0,
    }
    assert with_copies[2] == with_copies[4] == without_copies[2]


def test_identical_scenarios_are_those_with_equal_predictions():
    best, other = with_accuracy(0.9, 1), with_accuracy(0.8, 2)
    assert comparisons.identical([3, 1, 2, 4], {1: best, 2: other, 3: best, 4: best}) == {3: 3, 1: 3, 2: 2, 4: 3}


def test_single_scenario_has_no_comparisons():
    only = with_accuracy(0.9, 1)
    assert comparisons.with_winner([1], {1: only}, seed=1) == {}
    effects = comparisons.of_settings([row_of(1, only)], {1: only}, seed=1)
    assert [list(effect) for effect in effects.values()] == [["values", "matched", "next_best"]] * 3


def test_only_the_setting_that_changes_the_answers_differs_measurably():
    answers = {number: with_accuracy(0.9 if number < 4 else 0.7, number) for number in range(1, 7)}
    scenarios = [
        row_of(number, answers[number], "ResNet50" if number < 4 else "VGG19", ("Adam", "Nadam", "AdamW")[number % 3])
        for number in answers
    ]
    effects = comparisons.of_settings(scenarios, answers, seed=1)
    backbone = effects["backbone"]
    assert [group["value"] for group in backbone["values"]] == ["ResNet50", "VGG19"]
    means = [np.mean([f1_of(answers[number]) for number in numbers]) for numbers in ((1, 2, 3), (4, 5, 6))]
    assert backbone["gap"] == pytest.approx(means[0] - means[1])
    assert backbone["told_apart"] and backbone["gap_low"] > 0
    assert not effects["optimizer"]["told_apart"] and effects["optimizer"]["gap_low"] < 0
    assert backbone["matched"] == pytest.approx(max(f1_of(answers[i]) - f1_of(answers[i + 3]) for i in (1, 2, 3)))


def test_matched_scenarios_have_equal_hidden_units():
    answers = {number: with_accuracy(accuracy, seed=number) for number, accuracy in enumerate((0.9, 0.5, 0.8, 0.4), 1)}
    scenarios = [
        row_of(number, answers[number], optimizer=optimizer) | {"hidden_units": units}
        for number, (optimizer, units) in enumerate([("Adam", 64), ("Adam", 256), ("Nadam", 64), ("Nadam", 256)], 1)
    ]
    gaps = [abs(f1_of(answers[first]) - f1_of(answers[second])) for first, second in ((1, 3), (2, 4))]
    assert comparisons.of_settings(scenarios, answers, seed=1)["optimizer"]["matched"] == pytest.approx(max(gaps))


def test_blocks_of_pairs_do_not_change_the_comparison(monkeypatch):
    answers = {number: with_accuracy(0.9 - 0.02 * number, seed=number) for number in range(1, 8)}
    whole = comparisons.with_winner(list(answers), answers, seed=1)
    blocks, contributions = [], comparisons._contributions
    monkeypatch.setattr(comparisons, "MATRIX_NUMBERS", 300 * 4)
    monkeypatch.setattr(
        comparisons, "_contributions", lambda *args: blocks.append(contributions(*args).shape) or contributions(*args)
    )
    assert comparisons.with_winner(list(answers), answers, seed=1) == {
        number: pytest.approx(values) for number, values in whole.items()
    }
    assert {shape[1] for shape in blocks} == {4, 1}, "21 pairs"
