"""The winner looked at closely: its classes, its confidence, and the photos that it gets wrong."""

from typing import Any

import numpy as np

from components.base import metrics
from pipeline.report import statistics
from tuner import predictions

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10)) + (0.99,)
WORST_PER_PAIR = 4


def compute(chosen: dict[str, Any], scenarios: list[dict[str, Any]], found: predictions.Predictions) -> dict[str, Any]:
    """Figures of the winner, which stands first in `scenarios`."""
    first, *others = scenarios
    matrix = np.array(first["confusion_matrix"])
    alike = [row["scenario"] for row in others if not row["against"]["told_apart"]]
    confidence, right = found.probabilities.max(axis=1), found.predicted == found.actual
    return {
        **{name: chosen[name] for name in ("scenario", "backbone", "optimizer", "dropout", "parameters", "reason")},
        "classes": classes(matrix, found.classes),
        "compared": len(others),
        "alike": len(alike),
        "not_told_apart": alike,
        "mcnemar_differs": [
            row["scenario"] for row in others if row["against"]["told_apart"] != row["against"]["mcnemar_told_apart"]
        ],
        "mean_confidence": float(confidence.mean()),
        "reliability": statistics.reliability(confidence, right),
        "coverage": statistics.coverage(confidence, right, THRESHOLDS),
        "mistakes": mistakes(found),
    }


def classes(matrix: np.ndarray, names: list[str]) -> list[dict[str, Any]]:
    """Counts and scores of each class, in class order."""
    scores = metrics.score(matrix, names)
    hits, actual, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return [
        {
            "name": name,
            "tp": int(hits[index]),
            "fp": int(predicted[index] - hits[index]),
            "fn": int(actual[index] - hits[index]),
            "precision": scores.class_precision[index],
            "recall": scores.class_recall[index],
            "f1": scores.class_f1[index],
        }
        for index, name in enumerate(names)
    ]


def mistakes(found: predictions.Predictions) -> list[dict[str, Any]]:
    """Pairs (actual, predicted) by how often they happen, each with its photos of the highest wrong confidence."""
    confidence = found.probabilities.max(axis=1)
    pairs = []
    for actual, predicted in np.unique(np.stack([found.actual, found.predicted]), axis=1).T.tolist():
        rows = np.flatnonzero((found.actual == actual) & (found.predicted == predicted))
        if actual != predicted:
            worst = rows[np.argsort(-confidence[rows], kind="stable")][:WORST_PER_PAIR].tolist()
            pairs.append(
                {
                    "actual": found.classes[actual],
                    "predicted": found.classes[predicted],
                    "photos": len(rows),
                    "worst": [{"id": found.ids[row], "confidence": float(confidence[row])} for row in worst],
                }
            )
    return sorted(pairs, key=lambda pair: (-pair["photos"], -pair["worst"][0]["confidence"]))
