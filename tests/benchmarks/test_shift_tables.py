import pathlib

import numpy as np
import pytest

from benchmarks import shift_tables
from components.base import artifacts
from components.base.errors import PilahError

CLASSES, PHOTOS = ["glass", "metal"], 40
LABELS = np.arange(PHOTOS) % 2
IDS = [f"{number:016x}" for number in range(PHOTOS)]


def answers(right, confidence=0.8, typical=0.5):
    """Return answers to all photos, of which the first `right` are right, with sets of one class."""
    predicted = np.where(np.arange(PHOTOS) < right, LABELS, 1 - LABELS)
    scores = np.where(np.eye(2, dtype=bool)[predicted], confidence, 1 - confidence)
    return shift_tables.Answers(np.arange(PHOTOS), scores, np.eye(2, dtype=bool)[predicted], np.full(PHOTOS, typical))


def document(clean=40, snow=20, fog=30):
    cells = {("none", ""): answers(clean), ("snow", "3"): answers(snow, typical=0.001), ("fog", "3"): answers(fog)}
    return shift_tables.document(cells, CLASSES, LABELS, IDS)


def columns(text):
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {(line[0], line[1]): line[2:] for line in lines}


def test_figures_are_those_of_the_answers():
    clean, snow, _ = document()["cells"]
    assert (clean["f1"], clean["coverage"], clean["flagged"], clean["mean_size"]) == (1, 1, 0, 1)
    assert (snow["f1"], snow["coverage"], snow["flagged"]) == (0.5, 0.5, 1)
    assert snow["coverage_interval"][0] < 0.5 < snow["coverage_interval"][1]
    assert snow["ece"] == pytest.approx(0.3) and snow["ece_by_chance"] < 0.15  # confidence 0.8, accuracy 0.5


def test_condition_without_photos_is_left_out():
    none = shift_tables.Answers(np.empty(0, np.int64), np.empty((0, 2)), np.empty((0, 2), bool), np.empty(0))
    assert shift_tables.document({("background", "as taken"): none}, CLASSES, LABELS, IDS)["cells"] == []


def test_f1_is_of_the_classes_that_have_photos():
    one_class = LABELS == 0
    whole = answers(PHOTOS)
    part = shift_tables.Answers(
        *(getattr(whole, name)[one_class] for name in ("rows", "scores", "in_set", "typicality"))
    )
    (cell,) = shift_tables.document({("none", ""): part}, CLASSES, LABELS, IDS)["cells"]
    assert cell["f1"] == 1 and cell["f1_interval"] is None


def test_table_says_that_the_shifts_are_a_stand_in_and_has_each_condition_and_the_mean_of_corruptions():
    text = shift_tables.text(document(), 0.95)
    assert "stand-in for photos from elsewhere" in text and "95% sets" in text
    table = columns(text)
    assert table["snow", "3"][:2] == ["40", "0.500 (0.350 to 0.650)"]
    assert table["all corruptions", "3"][1].startswith("0.625 (")
    assert table["none", ""][5].startswith("0.200 (")


def test_comparison_with_itself_has_no_difference():
    table = columns(shift_tables.comparison(document(), document(), pathlib.Path("other.json")))
    assert table["all corruptions", "3"] == ["+0.000 (+0.000 to +0.000)"] * 2


def test_comparison_pairs_the_photos(tmp_path):
    """Two answers more are right, and none less: no draw of the photos turns the sign, unlike unpaired draws."""
    artifacts.write_json(tmp_path / "other.json", document(snow=20, fog=28))
    text = shift_tables.comparison(document(), artifacts.read_json(tmp_path / "other.json"), tmp_path / "other.json")
    difference, held = columns(text)["all corruptions", "3"]
    assert held.startswith("+0.025 (+0.000 to +0.0") and difference.startswith("+0.025")


def test_comparison_with_other_photos_is_refused():
    other = document()
    other["cells"][1]["ids"] = other["cells"][1]["ids"][::-1]
    with pytest.raises(PilahError, match=r"--compare other\.json must have the same folds, photos and severities"):
        shift_tables.comparison(document(), other, pathlib.Path("other.json"))
