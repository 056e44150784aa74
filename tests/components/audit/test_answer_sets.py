import numpy as np
import pytest

from components.audit import answer_sets
from components.base import statistics

ACTUAL = np.array([0, 0, 1, 1])
SETS = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 0], [0, 1, 0]], bool)


def test_coverage_and_sizes_equal_hand_counts():
    figures = answer_sets.figures(SETS, ACTUAL, ["glass", "metal", "paper"])
    assert (figures["photos"], figures["coverage"], figures["mean_size"]) == (4, 0.75, 1.5)
    assert (figures["low"], figures["high"]) == statistics.share_interval(3, 4)
    assert figures["sizes"] == {"1": 2, "2": 2}
    rows = [(row["class"], row["coverage"], row["mean_size"]) for row in figures["per_class"]]
    assert rows == [("glass", 0.5, 1.5), ("metal", 1.0, 1.5)]  # paper has no photos


def test_photos_below_the_limit_are_flagged():
    flagged = answer_sets.flagged(np.array([0.0, 0.0099, 0.01, 0.5]))
    assert (flagged["count"], flagged["share"]) == (2, 0.5)


@pytest.mark.parametrize(
    ("row", "typicality", "name", "right"),
    [
        (0, 0.5, "sure", 1),
        (1, 0.5, "unsure", 0),
        (2, 0.5, "unsure", 1),  # metal is in the set, although glass is the most probable
        (2, 0.0, "untypical", 0),
        (3, 0.0, "untypical", 1),
    ],
)
def test_answer_counts_in_its_state_alone(row, typicality, name, right):
    scores = np.array([[0.8, 0.1, 0.1], [0.1, 0.5, 0.4], [0.5, 0.4, 0.1], [0.1, 0.8, 0.1]])
    rows = slice(row, row + 1)
    levels = answer_sets.certainty(SETS[rows], np.array([typicality]), scores[rows], ACTUAL[rows])
    assert {level["name"]: (level["answers"], level["right"]) for level in levels if level["answers"]} == {
        name: (1, right)
    }
    assert [level["name"] for level in levels] == ["sure", "unsure", "untypical"]
