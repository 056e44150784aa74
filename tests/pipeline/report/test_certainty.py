import numpy as np
import pytest

from pipeline.report import certainty


def levels_of(*groups):
    """Return the levels of groups of answers; each group is (score, answers, right ones)."""
    confidence = np.concatenate([np.full(answers, score) for score, answers, _ in groups])
    right = np.concatenate([np.arange(answers) < hits for _, answers, hits in groups])
    shuffled = np.random.default_rng(1).permutation(len(right))
    return [tuple(level.values()) for level in certainty.levels(confidence[shuffled], right[shuffled])]


def test_levels_begin_at_the_lowest_scores_with_enough_right_answers():
    groups = (0.99, 80, 80), (0.9, 20, 15), (0.8, 20, 14), (0.7, 10, 7), (0.6, 20, 5), (0.3, 5, 0)
    assert levels_of(*groups) == [
        ("sure", 0.9, 100, 95),
        ("probable", 0.7, 30, 21),
        ("unsure", 0.0, 25, 5),
    ]


def test_level_may_go_on_below_a_score_with_fewer_right_answers():
    """At 0.95 only 90 % are right, but 95 % are right again down to 0.9."""
    assert levels_of((0.95, 50, 45), (0.9, 50, 50), (0.5, 30, 0))[0] == ("sure", 0.9, 100, 95)


@pytest.mark.parametrize(
    ("groups", "names"),
    [
        ([(0.99, 19, 19), (0.4, 19, 0)], ["unsure"]),
        ([(0.99, 20, 20), (0.4, 19, 0)], ["sure", "unsure"]),
        ([(0.99, 40, 36), (0.4, 40, 0)], ["probable", "unsure"]),
        ([(0.99, 20, 20), (0.8, 19, 10), (0.4, 100, 0)], ["sure", "unsure"]),
    ],
)
def test_level_of_too_few_answers_or_right_answers_is_left_out(groups, names):
    assert [level[0] for level in levels_of(*groups)] == names


def test_unsure_is_listed_without_answers_where_all_are_right():
    assert levels_of((0.9, 30, 30), (0.4, 30, 30)) == [("sure", 0.4, 60, 60), ("unsure", 0.0, 0, 0)]


def test_no_answers_are_unsure():
    assert levels_of((0.5, 0, 0)) == [("unsure", 0.0, 0, 0)]
