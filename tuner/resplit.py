"""Cross-validation of one scenario outside of the search, on saved features; nothing is written to disk."""

import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from components.base import metrics
from components.data import grouped_folds, stratified_folds
from tuner import folds, scenarios, tasks
from tuner.study import Study


def matrix(study: Study, scenario: scenarios.Scenario) -> np.ndarray:
    """Return the confusion matrix summed over folds, int64 [classes, classes], rows = actual class."""
    predicted = predict(study, scenario, range(study.folds))
    return metrics.confusion(study.labels, predicted, len(study.classes))


def plain_and_grouped(
    study: Study,
    scenario: scenarios.Scenario,
    groups: np.ndarray,
    *,
    seeds: Sequence[int],
    draws: int,
    progress: Callable[[int, int], None],
    executor: concurrent.futures.Executor | None = None,
) -> list[dict[str, float]]:
    """Return for each draw the macro F1 with stratified folds ("plain"), with grouped folds, and the difference.

    The grouped split of a seed is its plain split with each group moved to one fold, and heads of the same fold start
    with the same weights. Moving photos also changes the size of folds, and thus the order of the training photos.

    Args:
        groups: int64 [photos], equal for photos of one group.
        seeds: seeds of the draws; the first ones whose split can be grouped are used.
        executor: trains in other processes that see the same folders; by default this process does.

    Raises:
        UngroupableError: fewer than `draws` seeds can be grouped, see grouped_folds.keep_together.
    """
    splits = _splits(study, groups, seeds, draws)
    trainings = []
    for _, plain, grouped in splits:
        moved = plain != grouped
        changed = np.union1d(plain[moved], grouped[moved]).tolist()  # other folds would give the same models
        trainings += [(study, scenario, plain, range(study.folds)), (study, scenario, grouped, changed)]
    rows: list[dict[str, float]] = []
    answers = tasks.results(executor, _predict_with_folds, trainings, lambda done: progress(done, 2 * draws))
    for seed, _, _ in splits:
        predicted = next(answers)
        retrained = next(answers)
        plain_f1, grouped_f1 = (
            metrics.score(metrics.confusion(study.labels, classes, len(study.classes)), study.classes).f1
            for classes in (predicted, np.where(retrained >= 0, retrained, predicted))
        )
        rows.append({"seed": seed, "plain": plain_f1, "grouped": grouped_f1, "difference": grouped_f1 - plain_f1})
    return rows


def _splits(
    study: Study, groups: np.ndarray, seeds: Sequence[int], draws: int
) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Return seed, plain and grouped fold of each photo for the first `draws` seeds that can be grouped."""
    labels = [photo.label for photo in study.photo_list]
    splits: list[tuple[int, np.ndarray, np.ndarray]] = []
    for seed in seeds:
        plain = stratified_folds.assign(labels, study.folds, seed)
        try:
            splits.append((seed, plain, grouped_folds.keep_together(plain, labels, groups, study.folds, seed)))
        except grouped_folds.UngroupableError as error:
            failure = error
        if len(splits) == draws:
            return splits
    raise failure


def predict(study: Study, scenario: scenarios.Scenario, test_folds: Iterable[int]) -> np.ndarray:
    """Predict the photos of `test_folds`, each fold with a new head that is trained on all other folds.

    Returns:
        Class of each photo, int64 [photos]; -1 for photos that are not in `test_folds`.
    """
    predicted = np.full(len(study.labels), -1, np.int64)
    for fold in test_folds:
        _, probabilities = folds.train_head(study, scenario, fold)
        predicted[study.fold_of == fold] = probabilities.argmax(axis=1)
    return predicted


def _predict_with_folds(
    study: Study, scenario: scenarios.Scenario, fold_of: np.ndarray, test_folds: Iterable[int]
) -> np.ndarray:
    return predict(with_folds(study, fold_of), scenario, test_folds)


def with_folds(study: Study, fold_of: np.ndarray) -> Study:
    photo_list = [
        dataclasses.replace(photo, fold=fold) for photo, fold in zip(study.photo_list, fold_of.tolist(), strict=True)
    ]
    return dataclasses.replace(study, photo_list=photo_list)
