"""A scenario cross-validated once more on the ready features, out of the search: nothing is written or chosen."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from components.base import metrics
from components.data import grouped_folds, stratified_folds
from components.models import features, head
from tuner import hypermodel, scenarios
from tuner.study import Study


def matrix(study: Study, scenario: scenarios.Scenario, carried: bool = False) -> np.ndarray:
    """The confusion matrix summed over folds, int64 [classes, classes], rows = actual class.

    Args:
        carried: train ONE head and optimizer on, fold after fold, so that from the second fold on it is tested on
            photos that it has trained on. That is a mistake, to be measured and never to be used.
    """
    folder, values = study.features_dir / scenario.backbone, scenarios.hyperparameter_values(scenario)
    activations, tested = features.Views(folder, study.views), features.test_views(folder, study.test_views)
    predicted = np.empty(len(study.labels), np.int64)
    model = hypermodel.build(study, values)
    for fold in range(study.folds):
        if not carried:
            model = hypermodel.build(study, values)
        train, test = np.flatnonzero(study.fold_of != fold), np.flatnonzero(study.fold_of == fold)
        head.fit(model, activations, study.labels, train, study.epochs, study.batch_size, seed=study.seed + fold)
        predicted[test] = head.predict_averaged(model, [view[test] for view in tested]).argmax(axis=1)
    return metrics.confusion(study.labels.tolist(), predicted.tolist(), len(study.classes))


def plain_and_grouped(
    study: Study,
    scenario: scenarios.Scenario,
    groups: np.ndarray,
    seeds: Sequence[int],
    progress: Callable[[int, int], None],
) -> list[dict[str, float]]:
    """For each seed, the macro F1 with folds drawn by it as usual, and with photos of one group kept together.

    Heads start alike in all of them: the folds alone differ.
    """
    labels = [photo.label for photo in study.photo_list]
    rows: list[dict[str, float]] = []
    for seed in seeds:
        row: dict[str, float] = {"seed": seed}
        for name, fold_of in (
            ("plain", stratified_folds.assign(labels, study.folds, seed)),
            ("grouped", grouped_folds.assign(labels, groups, study.folds, seed)),
        ):
            counts = matrix(with_folds(study, fold_of), scenario)
            row[name] = metrics.score(counts, study.classes).f1
            progress(2 * len(rows) + len(row) - 1, 2 * len(seeds))
        rows.append(row)
    return rows


def with_folds(study: Study, fold_of: np.ndarray) -> Study:
    """`study` with photo n in fold `fold_of[n]`."""
    moved = [dataclasses.replace(photo, fold=int(fold)) for photo, fold in zip(study.photo_list, fold_of, strict=True)]
    return dataclasses.replace(study, photo_list=moved)
