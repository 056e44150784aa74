"""Figures of a model's answers to shifted photos, as tables in Markdown and as a document that others compare with."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks import corruptions, shifted_photos
from components.audit import answer_sets
from components.base import metrics, statistics
from components.base.errors import PilahError

SEED, DRAWS = 1, 1_000  # of the bootstrap
STAND_IN = (
    "Synthetic shifts are a stand-in for photos from elsewhere. Macro F1 is of the classes that have photos. Intervals "
    "are of 95 %. Rows of all corruptions are means over the kinds; their intervals draw photos within classes "
    "(bootstrap), the same ones for each kind."
)


@dataclasses.dataclass(frozen=True)
class Answers:
    """Answers of held-out models to n photos under one shift.

    Attributes:
        rows: int64 [n], the photos in the order of the study.
        scores: float64 [n, classes].
        in_set: bool [n, classes].
        typicality: float64 [n] in [0, 1].
    """

    rows: np.ndarray
    scores: np.ndarray
    in_set: np.ndarray
    typicality: np.ndarray


def joined(parts: Sequence[Answers]) -> Answers:
    """Return the answers of all folds together."""
    fields = (field.name for field in dataclasses.fields(Answers))
    return Answers(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in fields})


def document(
    cells: Mapping[shifted_photos.Condition, Answers], classes: Sequence[str], labels: np.ndarray, ids: Sequence[str]
) -> dict[str, Any]:
    """Return the figures of each condition with its answers, and the means over the kinds of corruption.

    Args:
        labels: int64 [photos of the study], in [0, classes).
        ids: of the photos of the study.
    """
    rows = [
        {
            "shift": shift,
            "severity": severity,
            **_figures(answers, labels[answers.rows], classes),
            "ids": [ids[row] for row in answers.rows],
            "actual": labels[answers.rows].tolist(),
            "predicted": answers.scores.argmax(axis=1).tolist(),
            "held": answers.in_set[np.arange(len(answers.rows)), labels[answers.rows]].tolist(),
        }
        for (shift, severity), answers in cells.items()
        if len(answers.rows)
    ]
    return {"classes": list(classes), "cells": rows}


def _figures(answers: Answers, actual: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    predicted = answers.scores.argmax(axis=1)
    matrix = metrics.confusion(actual, predicted, len(classes))
    sets = answer_sets.figures(answers.in_set, actual, classes)
    flagged = answer_sets.flagged(answers.typicality)
    confidence, right = answers.scores.max(axis=1).clip(0, 1), predicted == actual
    bins = statistics.reliability(confidence, right)
    present = matrix.sum(axis=1) > 0
    return {
        "photos": len(actual),
        "f1": metrics.f1_of_present_classes(matrix),
        "f1_interval": statistics.interval(matrix) if present.all() else None,
        "coverage": sets["coverage"],
        "coverage_interval": (sets["low"], sets["high"]),
        "mean_size": sets["mean_size"],
        "flagged": flagged["share"],
        "flagged_interval": (flagged["low"], flagged["high"]),
        "ece": statistics.expected_calibration_error(bins),
        "ece_by_chance": statistics.calibration_error_by_chance(confidence, SEED)["mean"],
    }


def text(document: Mapping[str, Any], coverage: float) -> str:
    """Return the tables in Markdown: all conditions, and the means over the kinds of corruption at each severity."""
    head = ["shift", "severity", "photos", "macro F1", f"{coverage:.0%} sets hold the class", "classes in a set"]
    head += ["untypical", "calibration error (by chance)"]
    single = [[cell["shift"], cell["severity"], str(cell["photos"]), *_columns(cell)] for cell in document["cells"]]
    means = [["all corruptions", severity, *_means(cells)] for severity, cells in _by_severity(document).items()]
    rule = "|" + " --- |" * len(head)
    return "\n".join([STAND_IN, "", _line(head), rule, *map(_line, [*means, *single])])


def _columns(cell: Mapping[str, Any]) -> list[str]:
    return [
        _with_interval(cell["f1"], cell["f1_interval"]),
        _with_interval(cell["coverage"], cell["coverage_interval"]),
        f"{cell['mean_size']:.2f}",
        _with_interval(cell["flagged"], cell["flagged_interval"]),
        f"{cell['ece']:.3f} ({cell['ece_by_chance']:.3f})",
    ]


def _means(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns of the means of `cells`, which are of the same photos."""
    means = {
        name: float(np.mean([cell[name] for cell in cells]))
        for name in ("mean_size", "flagged", "ece", "ece_by_chance")
    }
    f1, held = (_interval_of_draws(values) for values in _drawn(cells))
    columns = _columns(
        {
            **means,
            "f1": np.mean([cell["f1"] for cell in cells]),
            "f1_interval": f1,
            "coverage": np.mean([cell["coverage"] for cell in cells]),
            "coverage_interval": held,
            "flagged_interval": None,
        }
    )
    return [str(cells[0]["photos"]), *columns]


def _by_severity(document: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Return severity -> cells of all corruptions, in order."""
    of_corruptions = [cell for cell in document["cells"] if cell["shift"] in corruptions.CORRUPTIONS]
    severities = dict.fromkeys(cell["severity"] for cell in of_corruptions)
    return {severity: [cell for cell in of_corruptions if cell["severity"] == severity] for severity in severities}


def _drawn(cells: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean macro F1 and the mean coverage over `cells` in each draw of the photos, float64 [draws] each.

    Photos are drawn within their classes. Two runs with the same photos have the same draws.
    """
    actual = np.array(cells[0]["actual"])
    weights = _weights(actual)
    classes = np.unique(actual)
    f1, held = np.zeros((2, DRAWS))
    for cell in cells:
        predicted = np.array(cell["predicted"])
        # of each class: draws x right photos, and draws x photos that are or are said to be of it
        right = np.stack([weights @ ((actual == name) & (predicted == name)) for name in classes], axis=1)
        counted = [weights @ ((actual == name).astype(int) + (predicted == name)) for name in classes]
        f1 += (2 * right / np.stack(counted, axis=1)).mean(axis=1) / len(cells)
        held += weights @ np.array(cell["held"]) / len(actual) / len(cells)
    return f1, held


def _weights(actual: np.ndarray) -> np.ndarray:
    """Return how often each draw has each photo, int64 [draws, photos]."""
    rng, weights = np.random.default_rng(SEED), np.zeros((DRAWS, len(actual)), int)
    for name in np.unique(actual):
        of_class = np.flatnonzero(actual == name)
        weights[:, of_class] = rng.multinomial(len(of_class), np.full(len(of_class), 1 / len(of_class)), DRAWS)
    return weights


def comparison(document: Mapping[str, Any], other: Mapping[str, Any], path: pathlib.Path) -> str:
    """Return the differences from the run of `other`, in Markdown, with intervals of paired draws of the photos.

    Raises:
        PilahError: `other`, read from `path`, has other photos.
    """
    groups = {("all corruptions", severity): cells for severity, cells in _by_severity(document).items()}
    groups |= {
        (cell["shift"], cell["severity"]): [cell]
        for cell in document["cells"]
        if cell["shift"] not in corruptions.CORRUPTIONS
    }
    others = {(cell["shift"], cell["severity"]): cell for cell in other["cells"]}
    lines = []
    for (shift, severity), cells in groups.items():
        counterparts = [others.get((cell["shift"], cell["severity"]), {}) for cell in cells]
        if any(cell["ids"] != old.get("ids") for cell, old in zip(cells, counterparts, strict=True)):
            raise PilahError(f"--compare {path} must have the same folds, photos and severities. Measure it with them.")
        columns = []
        for name, new, old in zip(("f1", "coverage"), _drawn(cells), _drawn(counterparts), strict=True):
            difference = float(np.mean([cell[name] for cell in cells]) - np.mean([cell[name] for cell in counterparts]))
            columns.append(_with_interval(difference, _interval_of_draws(new - old), "+.3f"))
        lines.append([shift, severity, *columns])
    head = ["shift", "severity", "macro F1, difference", "coverage, difference"]
    return "\n".join([f"\nDifferences from {path}:\n", _line(head), "|" + " --- |" * 4, *map(_line, lines)])


def _interval_of_draws(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - statistics.LEVEL) / 2, (1 + statistics.LEVEL) / 2])
    return float(low), float(high)


def _with_interval(value: float, interval: Sequence[float] | None, form: str = ".3f") -> str:
    return f"{value:{form}}" + (f" ({interval[0]:{form}} to {interval[1]:{form}})" if interval else "")


def _line(columns: Sequence[str]) -> str:
    return f"| {' | '.join(columns)} |"
