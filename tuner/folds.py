"""The folds of one scenario: each trained with a new model, and on disk before the next one starts."""

import pathlib
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np

from components.base import artifacts
from components.models import features, finetune, head, tta
from tuner import hypermodel, predictions, scenarios
from tuner.study import Study


def train(
    study: Study,
    scenario: scenarios.Scenario,
    folds: Sequence[int],
    folder: pathlib.Path,
    on_epoch: Callable[[], object] = lambda: None,
) -> None:
    """Leave what a new model says of each of `folds` in `folder`, which holds only what these settings made.

    A fold whose file is there is not trained again, and one that is being fine-tuned goes on from its last epoch.

    Args:
        on_epoch: called after each epoch of fine-tuning.
    """
    for fold in folds:
        if not path(folder, fold).exists():
            _train_fold(study, scenario, fold, folder, on_epoch)
        finetune.clear(_state(folder, fold))


def reset_if_settings_changed(study: Study, scenario: scenarios.Scenario, folder: pathlib.Path) -> None:
    """Make `folder` hold only folds of `scenario` as it is: all go if anything that they depend on has changed."""
    artifacts.reset_if_settings_changed(folder, study.settings(scenario))


def scenario_folder(trials_dir: pathlib.Path, number: int) -> pathlib.Path:
    return trials_dir / f"{number:02d}"


def path(folder: pathlib.Path, fold: int) -> pathlib.Path:
    return folder / f"fold-{fold}.csv"


def _state(folder: pathlib.Path, fold: int) -> pathlib.Path:
    """What the names of the files of a fold under way begin with, see finetune.fit."""
    return folder / f"fold-{fold}"


def all_done(study: Study, scenario: scenarios.Scenario, trials_dir: pathlib.Path) -> bool:
    folder = scenario_folder(trials_dir, scenario.number)
    return all(path(folder, fold).exists() for fold in range(study.folds))


def epochs_done(folder: pathlib.Path, fold: int, epochs: int) -> int:
    """How many of its `epochs`, those of all members of an ensemble together, a fold has been fine-tuned for."""
    return epochs if path(folder, fold).exists() else finetune.spent(_state(folder, fold))[0]


def _train_fold(
    study: Study, scenario: scenarios.Scenario, fold: int, folder: pathlib.Path, on_epoch: Callable[[], object]
) -> None:
    """Train a new model on the other folds and write what it says of `fold`."""
    started = time.monotonic() - finetune.spent(_state(folder, fold))[1]
    train_rows, test_rows = np.flatnonzero(study.fold_of != fold), np.flatnonzero(study.fold_of == fold)
    seed = study.seed + fold
    if scenario.strategy == "finetune":
        history, probabilities = _finetune(study, scenario, train_rows, test_rows, seed, _state(folder, fold), on_epoch)
    else:
        history, probabilities = _train_head(study, scenario, train_rows, test_rows, seed)
    artifacts.write_json(
        folder / f"fold-{fold}.json", {"seconds": round(time.monotonic() - started, 3), "history": history}
    )
    predictions.write(
        path(folder, fold), [study.photo_list[row] for row in test_rows.tolist()], probabilities, study.classes
    )


def _train_head(
    study: Study, scenario: scenarios.Scenario, train_rows: np.ndarray, test_rows: np.ndarray, seed: int
) -> tuple[dict[str, list[float]], np.ndarray]:
    """History, and the probabilities of `test_rows`, float32 [n, classes], of a new head on the ready features."""
    folder = study.features_dir / scenario.backbone
    activations = features.Views(folder, study.views)
    model = hypermodel.build(study, scenarios.hyperparameter_values(scenario))
    history = head.fit(model, activations, study.labels, train_rows, study.epochs, study.batch_size, seed)
    tested = [view[test_rows] for view in features.test_views(folder, study.test_views)]
    return history, head.predict_averaged(model, tested)


def _finetune(
    study: Study,
    scenario: scenarios.Scenario,
    train_rows: np.ndarray,
    test_rows: np.ndarray,
    seed: int,
    state: pathlib.Path,
    on_epoch: Callable[[], object],
) -> tuple[dict[str, list[float]], np.ndarray]:
    """As `_train_head`, of a new backbone and head together."""
    keras.utils.clear_session()  # a fold's model and optimizer are too large to keep until Python collects them
    examples = study.examples(scenario.backbone)
    model, history = finetune.fit(study.recipe(scenario), examples, train_rows, seed, state, on_epoch)
    model = tta.averaged(model, study.test_views)
    return history, finetune.predict(model, examples.pixels, test_rows)
