"""The folds of one scenario: each trained with a new head, and on disk before the next one starts."""

import pathlib
import time
from collections.abc import Iterator

import numpy as np

from components import artifacts, features, head
from tuner import hypermodel, predictions, scenarios
from tuner.study import Study


def train(study: Study, scenario: scenarios.Scenario, folder: pathlib.Path) -> Iterator[int]:
    """Leave what a new head says of each fold in `folder`; yields each fold when it is there.

    A fold whose file is there is not trained again, unless anything that it depends on has changed.
    """
    artifacts.claim(folder, study.settings(scenario))
    for fold in range(study.folds):
        if not path(folder, fold).exists():
            _train_fold(study, scenario, fold, folder)
        yield fold


def train_all(study: Study, scenario: scenarios.Scenario, folder: pathlib.Path) -> None:
    """As `train`, in one go."""
    for _ in train(study, scenario, folder):
        pass


def scenario_folder(trials_dir: pathlib.Path, number: int) -> pathlib.Path:
    return trials_dir / f"{number:02d}"


def path(folder: pathlib.Path, fold: int) -> pathlib.Path:
    return folder / f"fold-{fold}.csv"


def _train_fold(study: Study, scenario: scenarios.Scenario, fold: int, folder: pathlib.Path) -> None:
    """Train a new head on the other folds and write what it says of `fold`."""
    started = time.monotonic()
    activations = features.Views(study.features_dir / scenario.backbone, study.views)
    train_rows, test_rows = np.flatnonzero(study.fold_of != fold), np.flatnonzero(study.fold_of == fold)
    model = hypermodel.build(study, scenarios.hyperparameter_values(scenario))
    history = head.fit(
        model, activations, study.labels, train_rows, study.epochs, study.batch_size, seed=study.seed + fold
    )
    probabilities = head.predict(model, activations[0][test_rows])
    artifacts.write_json(
        folder / f"fold-{fold}.json", {"seconds": round(time.monotonic() - started, 3), "history": history}
    )
    predictions.write(
        path(folder, fold), [study.photo_list[row] for row in test_rows.tolist()], probabilities, study.classes
    )
