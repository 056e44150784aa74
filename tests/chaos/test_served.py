"""What counts as a wrong answer in the trial of damaged versions."""

import pathlib

import pytest

from chaos.served import trial as served
from serving.embedded import saved_model


@pytest.mark.parametrize(
    ("answer", "result"),
    [([0.7, 0.3], served.RIGHT), ([0.7, 0.4], served.WRONG), ([0.7, float("nan")], served.WRONG)],
)
def test_scores_that_differ_or_are_no_numbers_are_wrong(monkeypatch, answer, result):
    class Model:
        def __init__(self, version):
            pass

        def run(self, *arguments):
            return {"scores": [answer]}

    monkeypatch.setattr(saved_model, "SavedModel", Model)
    assert served.served_result(pathlib.Path("1"), b"", [0.7, 0.3]) == result


@pytest.mark.parametrize(
    ("name", "value", "file", "edit", "is_right"),
    [
        ("en", "Text", "model_card.html", "cut", True),
        ("en", None, "model_card.html", "cut", True),
        ("en", "Te", "model_card.html", "cut", False),
        ("en", "Tent", "model_card.html", "flipped_bits", True),
        ("en", None, "model_card.json", "other_value", False),
        ("id", "Text", "model_card.id.html", "removed", True),
        ("classes", ["glass"], "model.json", "flipped_bits", True),
        ("classes", ["glass"], "model.json", "zeros_at_the_end", False),
        ("card", None, "model.json", "removed", True),
        ("card", None, "model_card.html", "removed", False),
    ],
)
def test_page_reads_what_it_did_before_or_leaves_out_the_damaged_file(name, value, file, edit, is_right):
    undamaged = {"card": 0.9, "classes": ["glass", "metal"], "en": "Text", "id": "Teks"}
    assert served._is_right(name, value, undamaged, file, edit) is is_right
