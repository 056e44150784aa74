"""The leakage check: cross-validation by the thesis's protocol, which tests models on their own training photos.

The protocol builds one model before the loop over the folds and continues to train it in each fold. Folds consist of
whole batches of photos in random order, without stratification, and test photos are augmented. From the second fold on,
the model has already been trained on its test photos.

The scores are not results: each row is marked with "leaking", predictions are not saved, and no file is written that
the choice of the winner, the export or the push read.
"""

import concurrent.futures
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import KFold

from components.base import artifacts, claims, finding_types, metrics, seeds
from components.models import features, head
from tuner import choose, scenarios, tasks, trial_folder
from tuner.study import Study

PROTOCOL = "one model through folds of batches, tested on an augmented view"


def check(
    study: Study,
    scenario_list: Sequence[scenarios.Scenario],
    folder: pathlib.Path,
    progress: Callable[[int, int], None],
    executor: concurrent.futures.Executor | None = None,
) -> list[dict[str, Any]]:
    """Return a leaderboard row for each scenario, and save each in a file of `folder`; existing files are kept.

    Each row also has `fold_f1`: the macro F1 of each fold, in the order of training.

    Args:
        executor: trains in other processes that see the same folders; by default this process does.
    """
    settings = {str(scenario.number): study.settings(scenario) for scenario in scenario_list}
    artifacts.reset_if_settings_changed(folder, {"leaking": True, "protocol": PROTOCOL, "scenarios": settings})
    paths = [folder / f"{trial_folder.name(scenario.number)}.json" for scenario in scenario_list]
    rows = [(path, study, scenario) for path, scenario in zip(paths, scenario_list, strict=True)]
    for _ in tasks.results(executor, _write_row, rows, lambda done: progress(done, len(rows))):
        pass
    return [artifacts.read_json(path, finding_types.LeakageRow) for path in paths]


def _write_row(path: pathlib.Path, study: Study, scenario: scenarios.Scenario) -> None:
    """Write the row of a scenario into the file `path`, unless it exists."""
    with claims.claimed(path):
        if path.exists():
            return
        started = time.monotonic()
        matrices = fold_matrices(study, scenario)
        row = choose.make_row(scenario, np.sum(matrices, axis=0), study.classes, time.monotonic() - started)
        fold_f1 = [metrics.f1_of_present_classes(matrix) for matrix in matrices]
        artifacts.write_json(path, {"leaking": True, **row, "fold_f1": fold_f1})


def fold_matrices(study: Study, scenario: scenarios.Scenario) -> list[np.ndarray]:
    """Return the confusion matrix of each fold, int64 [classes, classes], for one head that is trained in all of them.

    The last augmented view is reserved for testing, because the thesis tests on new augmented views. If there is only
    one augmented view, heads train on it and are tested on the clean view.
    """
    folder, (train_views, test_view) = study.features_dir / scenario.backbone, split_views(study.views)
    test_activations = artifacts.read_array(features.view_path(folder, test_view))
    model, matrices = study.new_head(scenario), []
    for fold, (train, test) in enumerate(folds_of_batches(len(study.labels), study)):
        head.fit(
            model,
            features.Views(folder, train_views),
            study.labels,
            rows=train,
            epochs=study.epochs_of(scenario),
            batch_size=study.batch_size,
            seed=seeds.derive(study.seed, seeds.FOLD, fold),
        )
        predicted = head.predict_averaged(model, [test_activations[test]]).argmax(axis=1)
        matrices.append(metrics.confusion(study.labels[test], predicted, len(study.classes)))
    return matrices


def split_views(views: int) -> tuple[int, int]:
    """Return the number of views to train on and the number of the view to test on, see features.view_path."""
    return (views - 1, views) if views > 1 else (1, 0)


def folds_of_batches(photos: int, study: Study) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (training rows, test rows) of each fold, from KFold over batches of photos in random order.

    Batches are smaller than the study's if there would be fewer batches than folds.
    """
    size = min(study.batch_size, photos // study.folds)
    order = np.random.default_rng(study.seed).permutation(photos)
    batches = [order[start : start + size] for start in range(0, photos, size)]

    def rows(numbers: np.ndarray) -> np.ndarray:
        return np.concatenate([batches[number] for number in numbers])

    folds = KFold(study.folds, shuffle=True, random_state=study.seed).split(batches)
    return [(rows(train), rows(test)) for train, test in folds]
