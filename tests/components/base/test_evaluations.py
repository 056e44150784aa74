from typing import Any

import pytest

from components.base import evaluations

EARLIER: dict[str, Any] = {
    "f1": 0.6,
    "accuracy": 0.7,
    "cross_validated_f1": 0.9,
    "per_class": [{"class": "glass", "photos": 4, "precision": 0.5, "recall": 0.5, "f1": 0.5}],
}
SHARE = {"low": 0.1, "high": 0.3}
CURRENT: dict[str, Any] = {
    **EARLIER,
    "f1_interval": [0.5, 0.7],
    "accuracy_interval": [0.6, 0.8],
    "sets": {"coverage": 0.2, **SHARE, "mean_size": 1.5, "per_class": [{"class": "glass", "coverage": 0.2, **SHARE}]},
    "flagged": {"share": 0.2, **SHARE},
    "ece": 0.05,
    "ece_by_chance": {"mean": 0.04, "low": 0.01, "high": 0.06},
}


def test_scores_of_an_earlier_version_have_the_f1_of_the_cross_validation_alone():
    compared = evaluations.compare(EARLIER)
    assert list(compared) == ["f1", "accuracy"]
    unknown = dict.fromkeys(("low", "high", "own", "own_low", "own_high"))
    assert compared["f1"] == {**unknown, "here": 0.6, "own": 0.9}
    assert compared["accuracy"] == {**unknown, "here": 0.7}


def test_scores_stand_beside_those_of_the_cross_validation():
    own = {**CURRENT, "f1": 0.9, "sets": {**CURRENT["sets"], "coverage": 0.96, "low": 0.95, "high": 0.97}}
    compared = evaluations.compare({**CURRENT, "cross_validated": own})
    assert list(compared) == ["f1", "accuracy", "coverage", "mean_size", "flagged", "ece", "ece_by_chance"]
    expected = {"here": 0.2, "low": 0.1, "high": 0.3, "own": 0.96, "own_low": 0.95, "own_high": 0.97}
    assert compared["coverage"] == expected
    assert (compared["f1"]["here"], compared["f1"]["own"]) == (0.6, 0.9)
    assert compared["ece_by_chance"]["high"] == 0.06


@pytest.mark.parametrize("missing", ["sets", "flagged"])
def test_model_without_sets_has_no_score_of_them(missing):
    compared = evaluations.compare({**CURRENT, missing: None})
    assert not {"sets": {"coverage", "mean_size"}, "flagged": {"flagged"}}[missing] & set(compared)


def test_classes_that_the_cross_validation_lacks_have_no_figures_of_it():
    other = {**CURRENT, "per_class": [{**EARLIER["per_class"][0], "class": "metal"}]}
    (glass,) = evaluations.compare_classes({**CURRENT, "cross_validated": other})
    assert (glass["class"], glass["recall"]["here"], glass["recall"]["own"]) == ("glass", 0.5, None)
    assert (glass["coverage"]["here"], glass["flagged"]["here"]) == (0.2, None)
    (glass,) = evaluations.compare_classes({**CURRENT, "cross_validated": CURRENT})
    assert (glass["recall"]["own"], glass["coverage"]["own_high"]) == (0.5, 0.3)
