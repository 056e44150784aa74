"""An evaluation on the terminal: its scores beside those in cross-validation, and a row for each class."""

import pathlib
from collections.abc import Mapping
from typing import Any

import rich.box
import rich.console
import rich.table

from components.base import artifacts, evaluations, finding_types, rounding
from components.data import class_names

MATRIX_CLASSES = 12  # a larger confusion matrix does not fit on a screen
FIGURES = ("precision", "recall", "f1")
UNKNOWN = "-"


def show(path: pathlib.Path, console: rich.console.Console) -> None:
    """Print the evaluation in `path`."""
    results = artifacts.read_json(path, finding_types.Evaluation)
    console.print(_scores(results))
    console.print(_classes(results))
    lines = [f"{count} left out: {reason}." for reason, count in results["left_out"].items()]
    if missing := results["missing_classes"]:
        lines.append(f"Classes without photos, left out of the means: {class_names.joined(missing)}.")
    if len(results["classes"]) > MATRIX_CLASSES:
        lines.append(f"The confusion matrix is in {path}.")
    if not results["training_photos_known"]:
        lines.append(
            "The run's photos have changed since this version was trained: it may have been trained on some of these."
        )
    for line in lines:
        console.print(line, style="yellow", highlight=False)


def _scores(results: Mapping[str, Any]) -> rich.table.Table:
    """Return a row for each score, with its 95 % interval, on these photos and in cross-validation."""
    stated = results.get("stated_coverage")
    names = {
        "f1": "macro F1",
        "accuracy": "accuracy",
        "coverage": "coverage of the prediction sets" + (f", stated: {stated:g}" if stated else ""),
        "mean_size": "mean number of classes in a set",
        "flagged": "untypical photos",
        "ece": "expected calibration error",
        "ece_by_chance": "the same error by chance alone",
    }
    columns = ("these photos", "95 % interval", "cross-validation", "95 % interval")
    table = rich.table.Table(
        "score",
        *(rich.table.Column(name, justify="right") for name in columns),
        title=f"Version {results['version']} on {results['photos']} photos of {results['images']}",
        box=rich.box.SIMPLE_HEAD,
    )
    for name, row in evaluations.compare(results).items():
        here, own = _interval(row["low"], row["high"]), _interval(row["own_low"], row["own_high"])
        table.add_row(names[name], _text(row["here"]), here, _text(row["own"]), own)
    return table


def _classes(results: Mapping[str, Any]) -> rich.table.Table:
    """Return a row for each class with photos, with its part of the confusion matrix if that fits."""
    in_columns = results["classes"] if len(results["classes"]) <= MATRIX_CLASSES else []
    names = ("photos", "precision", "recall", "F1", *(f"as {name}" for name in in_columns))
    columns = (rich.table.Column(name, justify="right") for name in names)
    table = rich.table.Table("class", *columns, box=rich.box.SIMPLE_HEAD)
    for row in results["per_class"]:
        counts = results["confusion_matrix"][results["classes"].index(row["class"])]
        figures = (_text(row[name]) for name in FIGURES)
        table.add_row(row["class"], str(row["photos"]), *figures, *map(str, counts[: len(in_columns)]))
    table.add_row("mean of classes", str(results["photos"]), *(_text(results[name]) for name in FIGURES), style="bold")
    return table


def _text(value: float | None) -> str:
    return UNKNOWN if value is None else rounding.text(value, ".4f")


def _interval(low: float | None, high: float | None) -> str:
    return UNKNOWN if low is None or high is None else f"{_text(low)} to {_text(high)}"
