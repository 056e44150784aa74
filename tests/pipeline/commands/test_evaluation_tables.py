"""An evaluation on the terminal."""

import io

import finished_run
import numpy as np
import rich.console

from components.audit import evaluation
from components.base import artifacts
from components.base.answers import Answers
from pipeline.commands import evaluation_tables

ABOUT = {
    "images": "photos",
    "version": 1,
    "cross_validated_f1": 0.5,
    "left_out": {"empty": 2},
    "training_photos_known": True,
}


def shown(path, results):
    artifacts.write_json(path, results)
    text = io.StringIO()
    evaluation_tables.show(path, rich.console.Console(file=text, width=140))
    return text.getvalue()


def row_of(text, score):
    return next(line.removeprefix(f"  {score}").split() for line in text.splitlines() if line.startswith(f"  {score}"))


def results_of(predicted, typicality):
    """Return an evaluation of photos of class 0, whose sets have one class."""
    chosen = np.eye(2)[predicted]
    answers = Answers(chosen * 0.8 + 0.1, ["glass", "metal"], chosen > 0, np.array(typicality))
    return evaluation.figures(np.zeros(len(predicted), int), answers)


def test_scores_stand_beside_those_in_cross_validation(tmp_path):
    own = results_of([0, 0, 0, 0], [0.5, 0.5, 0.5, 0.001])
    results = {**ABOUT, "classes": ["glass", "metal"], **results_of([0, 1], [0.001, 0.5])}
    text = shown(tmp_path / "shelf.json", {**results, "stated_coverage": 0.9, "cross_validated": own})
    low, high = results["accuracy_interval"]
    interval = ["0.5000", f"{low:.4f}", "to", f"{high:.4f}"]
    assert row_of(text, "accuracy")[:5] == [*interval, "1.0000"]
    assert row_of(text, "coverage of the prediction sets, stated: 0.9")[:5] == [*interval, "1.0000"]
    assert [row_of(text, "untypical photos")[column] for column in (0, 4)] == ["0.5000", "0.2500"]
    assert row_of(text, "expected calibration error")[0] == f"{results['ece']:.4f}"
    assert row_of(text, "macro F1")[1] == "-"  # no photo of metal, so that it has no interval
    assert "2 left out: empty." in text


def test_evaluation_of_an_earlier_version_shows_the_scores_that_it_has(tmp_path):
    results = {**ABOUT, "classes": ["glass", "metal"], **results_of([0, 1], [0.5, 0.5])}
    text = shown(tmp_path / "shelf.json", finished_run.as_earlier(results))
    assert row_of(text, "macro F1") == [f"{results['f1']:.4f}", "-", "0.5000", "-"]
    assert "coverage" not in text and "untypical" not in text and "calibration" not in text


def test_matrix_of_many_classes_is_named_and_not_printed(tmp_path):
    classes = [f"class {number:02d}" for number in range(60)]
    results = evaluation.figures(np.array([0, 1, 2]), Answers(np.eye(60)[[0, 1, 1]], classes))
    text = shown(tmp_path / "photos.json", {**ABOUT, "classes": classes, **results})
    assert "as class" not in text and "The confusion matrix is in" in text
    assert "Classes without photos" in text and "and 52 more" in text
