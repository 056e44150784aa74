"""Figures of the winner alone: its classes, its confidence, and its mistakes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from components.base import documents, metrics, statistics
from pipeline.report import comparisons
from tuner import predictions

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10)) + (0.99,)
WORST_PER_PAIR = 4
CORRECTED = tuple(documents.CorrectedF1.__annotations__)  # not in leaderboards of earlier versions


def compute(
    row: Mapping[str, Any], scenarios: list[dict[str, Any]], all_answers: comparisons.Answers, seed: int
) -> dict[str, Any]:
    """Compute the figures of the winner, which is the first of `scenarios`."""
    first, *others = scenarios
    answers = all_answers[first["scenario"]]
    matrix = np.array(first["confusion_matrix"])
    not_worse = [other["scenario"] for other in others if not other["against"]["told_apart"]]
    confidence, right = answers.probabilities.max(axis=1), answers.predicted == answers.actual
    return {
        **{name: row[name] for name in ("scenario", "backbone", "optimizer", "dropout", "parameters", "reason")},
        **{name: row[name] for name in CORRECTED if name in row},
        "classes": classes(matrix, answers.classes),
        "compared": len(others),
        "alike": len(not_worse),
        "not_told_apart": not_worse,
        "mean_confidence": float(confidence.mean()),
        "confidence_gap": statistics.confidence_gap(confidence, right),
        "ece_by_chance": statistics.calibration_error_by_chance(confidence, seed),
        "reliability": statistics.reliability(confidence, right),
        "coverage": statistics.coverage(confidence, right, THRESHOLDS),
        "mistakes": mistakes(answers),
    }


def classes(matrix: np.ndarray, names: list[str]) -> list[dict[str, Any]]:
    """Return counts and scores of each class, in class order."""
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


def mistakes(answers: predictions.Predictions) -> list[dict[str, Any]]:
    """Return the confused pairs of classes, the most frequent first, with their photos of highest confidence."""
    confidence = answers.probabilities.max(axis=1)
    pairs = []
    for actual, predicted in np.unique(np.stack([answers.actual, answers.predicted]), axis=1).T.tolist():
        rows = np.flatnonzero((answers.actual == actual) & (answers.predicted == predicted))
        if actual != predicted:
            worst = rows[np.argsort(-confidence[rows], kind="stable")][:WORST_PER_PAIR].tolist()
            pairs.append(
                {
                    "actual": answers.classes[actual],
                    "predicted": answers.classes[predicted],
                    "photos": len(rows),
                    "worst": [
                        {
                            "id": answers.ids[row],
                            "confidence": float(confidence[row]),
                            "p_actual": float(answers.probabilities[row, actual]),
                        }
                        for row in worst
                    ],
                }
            )
    return sorted(pairs, key=lambda pair: (-pair["photos"], -pair["worst"][0]["confidence"]))
