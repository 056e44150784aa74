"""Cross-validation of one scenario outside of the search, on the saved features: nothing is written or chosen."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from components.base import metrics
from components.data import grouped_folds, stratified_folds
from tuner import folds, scenarios
from tuner.study import Study


def matrix(study: Study, scenario: scenarios.Scenario) -> np.ndarray:
    """Return the confusion matrix summed over folds, int64 [classes, classes], rows = actual class."""
    predicted = np.empty(len(study.labels), np.int64)
    for fold in range(study.folds):
        _, probabilities = folds.train_head(study, scenario, fold)
        predicted[study.fold_of == fold] = probabilities.argmax(axis=1)
    return metrics.confusion(study.labels, predicted, len(study.classes))


def plain_and_grouped(
    study: Study,
    scenario: scenarios.Scenario,
    groups: np.ndarray,
    *,
    seeds: Sequence[int],
    progress: Callable[[int, int], None],
) -> list[dict[str, float]]:
    """Return for each seed the macro F1 with stratified folds ("plain"), and with groups kept together ("grouped").

    The folds alone differ: all heads start with the same weights.

    Args:
        groups: int64 [photos], equal for photos of one group.
    """
    labels = [photo.label for photo in study.photo_list]
    rows: list[dict[str, float]] = []
    for seed in seeds:
        row: dict[str, float] = {"seed": seed}
        for name, fold_of in (
            ("plain", stratified_folds.assign(labels, study.folds, seed)),
            ("grouped", grouped_folds.assign(labels, groups, study.folds, seed)),
        ):
            photo_list = [
                dataclasses.replace(photo, fold=fold)
                for photo, fold in zip(study.photo_list, fold_of.tolist(), strict=True)
            ]
            counts = matrix(dataclasses.replace(study, photo_list=photo_list), scenario)
            row[name] = metrics.score(counts, study.classes).f1
            progress(2 * len(rows) + len(row) - 1, 2 * len(seeds))
        rows.append(row)
    return rows
