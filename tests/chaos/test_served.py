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
