from typing import Any, Literal, NotRequired, TypedDict

import pytest

from components.base import json_types


class Row(TypedDict):
    name: str
    f1: float


class Document(TypedDict):
    seed: int
    rows: list[Row]
    counts: dict[str, int]
    is_final: bool
    strategy: Literal["features", "finetune"]
    best: Row | None
    note: NotRequired[str]
    rest: Any


def document(**changes):
    row = {"name": "a", "f1": 0.5}
    values = {"seed": 1, "rows": [row, {**row, "f1": 1}], "counts": {"a": 2}, "is_final": True, "rest": [None]}
    return {**values, "strategy": "features", "best": None, **changes}


@pytest.mark.parametrize(
    "changes", [{}, {"best": {"name": "a", "f1": 1}}, {"note": "text"}, {"more": 1}, {"rows": []}, {"strategy": "new"}]
)
def test_document_of_its_type_is_accepted(changes):
    json_types.check(document(**changes), Document)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": "1"}, r"seed must be a whole number \(got '1'\)"),
        ({"seed": True}, r"seed must be a whole number \(got True\)"),
        ({"seed": 10**400}, "seed must be a whole number"),
        ({"rows": None}, "rows must be a list"),
        ({"rows": [{"name": "a"}]}, r"rows\[0\]\.f1 is missing"),
        ({"rows": [{"name": "a", "f1": float("nan")}]}, r"rows\[0\]\.f1 must be a number"),
        ({"rows": [{"name": "a", "f1": True}]}, r"rows\[0\]\.f1 must be a number"),
        ({"counts": {"a": 0.5}}, r"counts\.a must be a whole number"),
        ({"counts": []}, "counts must be an object"),
        ({"is_final": 1}, "is_final must be true or false"),
        ({"strategy": None}, "strategy must be a text"),
        ({"best": 1}, "best must be an object"),
        ({"note": None}, "note must be a text"),
    ],
)
def test_value_of_another_type_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        json_types.check(document(**changes), Document)


@pytest.mark.parametrize("value", [None, [], "text", 1, True])
def test_document_that_is_no_object_is_refused(value):
    with pytest.raises(ValueError, match="it must be an object"):
        json_types.check(value, Document)


def test_long_value_is_shown_by_its_start():
    with pytest.raises(ValueError) as caught:
        json_types.check(document(seed="x" * 10_000), Document)
    assert len(str(caught.value)) < 100
