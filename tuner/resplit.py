"""Cross-validation of one scenario outside of the search, on the saved features: nothing is written or chosen."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from components.base import metrics
from components.data import grouped_folds, stratified_folds
from tuner import folds, scenarios
from tuner.study import Study


def matrix(study: Study, scenario: scenarios.Scenario) -> np.ndarray:
    """Return the confusion matrix summed over folds, int64 [classes, classes], rows = actual class."""
    predicted = _predict(study, scenario, range(study.folds))
    return metrics.confusion(study.labels, predicted, len(study.classes))


def plain_and_grouped(
    study: Study,
    scenario: scenarios.Scenario,
    groups: np.ndarray,
    *,
    seeds: Sequence[int],
    progress: Callable[[int, int], None],
) -> list[dict[str, float]]:
    """Return for each seed the macro F1 with stratified folds ("plain"), with groups kept together, and the difference.

    The grouped split of a seed is its plain split with the groups moved together, and the heads of a fold start with
    the same weights, so that the moved photos alone make the difference.

    Args:
        groups: int64 [photos], equal for photos of one group.

    Raises:
        UngroupableError: as in grouped_folds.keep_together; no head has been trained then.
    """
    labels = [photo.label for photo in study.photo_list]
    plain_splits = [stratified_folds.assign(labels, study.folds, seed) for seed in seeds]
    grouped_splits = [grouped_folds.keep_together(fold_of, labels, groups, study.folds) for fold_of in plain_splits]
    rows: list[dict[str, float]] = []
    for seed, plain, grouped in zip(seeds, plain_splits, grouped_splits, strict=True):
        predicted = _predict(_with_folds(study, plain), scenario, range(study.folds))
        progress(2 * len(rows) + 1, 2 * len(seeds))
        moved = plain != grouped
        changed = np.union1d(plain[moved], grouped[moved]).tolist()  # the other folds would be trained the same again
        again = _predict(_with_folds(study, grouped), scenario, changed)
        plain_f1, grouped_f1 = (
            metrics.score(metrics.confusion(study.labels, classes, len(study.classes)), study.classes).f1
            for classes in (predicted, np.where(again >= 0, again, predicted))
        )
        rows.append({"seed": seed, "plain": plain_f1, "grouped": grouped_f1, "difference": grouped_f1 - plain_f1})
        progress(2 * len(rows), 2 * len(seeds))
    return rows


def _predict(study: Study, scenario: scenarios.Scenario, tested: Iterable[int]) -> np.ndarray:
    """Predict the photos of the folds `tested`, each with a new head that is trained on the other folds.

    Returns:
        Class of each photo, int64 [photos]; -1 for photos of other folds.
    """
    predicted = np.full(len(study.labels), -1, np.int64)
    for fold in tested:
        _, probabilities = folds.train_head(study, scenario, fold)
        predicted[study.fold_of == fold] = probabilities.argmax(axis=1)
    return predicted


def _with_folds(study: Study, fold_of: np.ndarray) -> Study:
    photo_list = [
        dataclasses.replace(photo, fold=fold) for photo, fold in zip(study.photo_list, fold_of.tolist(), strict=True)
    ]
    return dataclasses.replace(study, photo_list=photo_list)
