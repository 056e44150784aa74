import numpy as np
import pytest

from pipeline.report import certainty


def levels_of(*groups):
    """Return the levels of groups of answers; each group is (score, answers, right ones)."""
    confidence = np.concatenate([np.full(answers, score) for score, answers, _ in groups])
    right = np.concatenate([np.arange(answers) < hits for _, answers, hits in groups])
    shuffled = np.random.default_rng(1).permutation(len(right))
    return [tuple(level.values()) for level in certainty.levels(confidence[shuffled], right[shuffled])]


def test_levels_begin_at_the_lowest_scores_with_a_high_chance_of_being_right():
    groups = (0.99, 80, 80), (0.9, 20, 18), (0.8, 20, 16), (0.7, 10, 6), (0.6, 20, 5), (0.3, 5, 0)
    assert levels_of(*groups) == [
        ("sure", 0.9, 100, 98),
        ("probable", 0.7, 30, 22),
        ("unsure", 0.0, 25, 5),
    ]


def test_many_right_answers_do_not_make_less_certain_ones_sure():
    """Of all answers from 0.8, 98 % are right, but at 0.8 only 75 %."""
    assert levels_of((0.99, 1000, 1000), (0.8, 100, 75))[0] == ("sure", 0.99, 1000, 1000)


def test_chance_of_a_score_is_pooled_with_higher_scores_that_are_right_less_often():
    """At 0.95 only 88 % are right, but 94 % of those at 0.9 and 0.95 together."""
    assert levels_of((0.95, 50, 44), (0.9, 50, 50), (0.5, 30, 0))[0] == ("sure", 0.9, 100, 94)


@pytest.mark.parametrize(
    ("groups", "names"),
    [
        ([(0.99, 19, 19), (0.4, 19, 0)], ["unsure"]),
        ([(0.99, 20, 20), (0.4, 19, 0)], ["sure", "unsure"]),
        ([(0.99, 40, 35), (0.4, 40, 0)], ["probable", "unsure"]),
        ([(0.99, 20, 20), (0.8, 19, 10), (0.4, 100, 0)], ["sure", "unsure"]),
    ],
)
def test_level_of_too_few_answers_or_right_answers_is_left_out(groups, names):
    assert [level[0] for level in levels_of(*groups)] == names


def test_unsure_is_listed_without_answers_where_all_are_right():
    assert levels_of((0.9, 30, 30), (0.4, 30, 30)) == [("sure", 0.4, 60, 60), ("unsure", 0.0, 0, 0)]


def test_no_answers_are_unsure():
    assert levels_of((0.5, 0, 0)) == [("unsure", 0.0, 0, 0)]
