"""The folds of one scenario: each trained with a new model, and saved before the next one starts."""

import pathlib
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np

from components.base import artifacts
from components.models import features, finetune, head, tta
from tuner import hypermodel, predictions, scenarios, trial_folder
from tuner.study import Study


def train(
    study: Study,
    scenario: scenarios.Scenario,
    folds: Sequence[int],
    folder: pathlib.Path,
    on_epoch: Callable[[], object] = lambda: None,
) -> None:
    """Train each of `folds` that is not finished, and write its out-of-fold predictions into `folder`.

    Fine-tuning resumes a fold from the checkpoint of its last epoch. The caller has made sure that all in `folder` was
    made with these settings, see `reset_if_settings_changed`.

    Args:
        on_epoch: called after each epoch of fine-tuning.
    """
    for fold in folds:
        if not trial_folder.fold_predictions(folder, fold).exists():
            _train_fold(study, scenario, fold, folder, on_epoch)
        finetune.clear(trial_folder.fold_checkpoint(folder, fold))


def reset_if_settings_changed(study: Study, scenario: scenarios.Scenario, folder: pathlib.Path) -> None:
    """Remove all folds in `folder` if anything that they depend on has changed."""
    artifacts.reset_if_settings_changed(folder, study.settings(scenario))


def all_done(study: Study, scenario: scenarios.Scenario, trials_dir: pathlib.Path) -> bool:
    folder = trial_folder.path(trials_dir, scenario.number)
    return all(trial_folder.fold_predictions(folder, fold).exists() for fold in range(study.folds))


def epochs_done(folder: pathlib.Path, fold: int, epochs: int) -> int:
    """Return for how many of its `epochs`, those of all members of an ensemble together, a fold has been fine-tuned."""
    if trial_folder.fold_predictions(folder, fold).exists():
        return epochs
    return finetune.spent(trial_folder.fold_checkpoint(folder, fold))[0]


def _train_fold(
    study: Study, scenario: scenarios.Scenario, fold: int, folder: pathlib.Path, on_epoch: Callable[[], object]
) -> None:
    """Train a new model on the other folds and write its predictions of `fold`."""
    checkpoint = trial_folder.fold_checkpoint(folder, fold)
    started = time.monotonic() - finetune.spent(checkpoint)[1]
    train_rows, test_rows = np.flatnonzero(study.fold_of != fold), np.flatnonzero(study.fold_of == fold)
    seed = study.seed + fold
    if scenario.strategy == "finetune":
        history, probabilities = _finetune(
            study,
            scenario,
            train_rows=train_rows,
            test_rows=test_rows,
            seed=seed,
            checkpoint=checkpoint,
            on_epoch=on_epoch,
        )
    else:
        history, probabilities = _train_head(study, scenario, train_rows, test_rows, seed)
    seconds = round(time.monotonic() - started, 3)
    artifacts.write_json(trial_folder.fold_history(folder, fold), {"seconds": seconds, "history": history})
    tested = [study.photo_list[row] for row in test_rows.tolist()]
    predictions.write(trial_folder.fold_predictions(folder, fold), tested, probabilities, study.classes)


def _train_head(
    study: Study, scenario: scenarios.Scenario, train_rows: np.ndarray, test_rows: np.ndarray, seed: int
) -> tuple[dict[str, list[float]], np.ndarray]:
    """Train a new head on saved features; return its history and its probabilities of `test_rows`, [n, classes]."""
    folder = study.features_dir / scenario.backbone
    activations = features.Views(folder, study.views)
    model = hypermodel.build(study, scenarios.hyperparameter_values(scenario))
    history = head.fit(model, activations, study.labels, train_rows, study.epochs, study.batch_size, seed)
    tested = [view[test_rows] for view in features.test_views(folder, study.test_views)]
    return history, head.predict_averaged(model, tested)


def _finetune(
    study: Study,
    scenario: scenarios.Scenario,
    *,
    train_rows: np.ndarray,
    test_rows: np.ndarray,
    seed: int,
    checkpoint: pathlib.Path,
    on_epoch: Callable[[], object],
) -> tuple[dict[str, list[float]], np.ndarray]:
    """Train a new backbone and head together; return as `_train_head` does."""
    keras.utils.clear_session()  # a fold's model and optimizer are too large to keep until Python collects them
    examples = study.examples(scenario.backbone)
    model, history = finetune.fit(study.recipe(scenario), examples, train_rows, seed, checkpoint, on_epoch)
    model = tta.averaged(model, study.test_views)
    return history, finetune.predict(model, examples.pixels, test_rows)
