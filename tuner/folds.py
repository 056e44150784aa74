"""Training of the folds of one scenario; each fold has a new model, and is saved before the next one starts."""

import pathlib
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np

from components.base import artifacts, claims, seeds
from components.data import pixels
from components.models import anatomy, checkpoints, features, finetuning, head, tta
from tuner import predictions, scenarios, trial_folder
from tuner.study import Study


def train(
    study: Study,
    scenario: scenarios.Scenario,
    folds: Sequence[int],
    folder: pathlib.Path,
    *,
    on_epoch: Callable[[], object] = lambda: None,
) -> None:
    """Train each of `folds` that is not finished, and write its out-of-fold predictions into `folder`.

    Fine-tuning resumes a fold from the checkpoint of its last epoch. Call `reset_if_settings_changed` first.

    Args:
        on_epoch: called after each epoch of fine-tuning.
    """
    with claims.claimed(trial_folder.fold_predictions(folder, folds[0])):  # one claim for the whole task
        for fold in folds:
            if not trial_folder.fold_predictions(folder, fold).exists():
                _train_fold(study, scenario, fold, folder, on_epoch=on_epoch)
            claims.check()
            checkpoints.clear(trial_folder.fold_checkpoint(folder, fold))


def reset_if_settings_changed(study: Study, scenario: scenarios.Scenario, folder: pathlib.Path) -> None:
    """Remove all folds in `folder` if a setting that they depend on has changed."""
    artifacts.reset_if_settings_changed(folder, study.settings(scenario))


def epochs_done(folder: pathlib.Path, fold: int, epochs: int) -> int:
    """Return how many of `epochs` a fold has finished; both count the epochs of all members of the model."""
    if trial_folder.fold_predictions(folder, fold).exists():
        return epochs
    return checkpoints.progress(trial_folder.fold_checkpoint(folder, fold))[0]


def train_head(study: Study, scenario: scenarios.Scenario, fold: int) -> tuple[dict[str, list[float]], np.ndarray]:
    """Train a new head on the saved features of the other folds.

    Returns:
        Metric -> value after each epoch, and the probabilities of the photos in `fold`, float32 [photos, classes].
    """
    history, model = fit_head(study, scenario, fold)
    views = features.test_views(study.features_dir / scenario.backbone, study.test_views)
    return history, head.predict_averaged(model, [view[study.fold_of == fold] for view in views])


def fit_head(study: Study, scenario: scenarios.Scenario, fold: int) -> tuple[dict[str, list[float]], keras.Model]:
    """Train a new head on the saved features of the other folds; return its metrics after each epoch, and the head."""
    model = study.new_head(scenario)
    history = head.fit(
        model,
        features.Views(study.features_dir / scenario.backbone, study.views),
        study.labels,
        rows=np.flatnonzero(study.fold_of != fold),
        epochs=study.epochs_of(scenario),
        batch_size=study.batch_size,
        seed=seeds.derive(study.seed, seeds.FOLD, fold),
    )
    return history, model


def _train_fold(
    study: Study, scenario: scenarios.Scenario, fold: int, folder: pathlib.Path, *, on_epoch: Callable[[], object]
) -> None:
    """Train a new model on the other folds, and write its history and its predictions of `fold`."""
    checkpoint = trial_folder.fold_checkpoint(folder, fold)
    started = time.monotonic() - checkpoints.progress(checkpoint)[1]
    if scenario.strategy == "finetune":
        keras.utils.clear_session()  # free the last fold's model now: it is too large to wait for garbage collection
        recipe, in_fold = study.recipe(scenario), study.fold_of == fold
        examples, covariance_activations = study.examples(scenario.backbone), study.covariance_activations()
        model, history = finetuning.fit(
            recipe,
            examples,
            np.flatnonzero(~in_fold),
            seed=seeds.derive(study.seed, seeds.FOLD, fold),
            checkpoint=checkpoint,
            covariance_activations=covariance_activations,
            on_epoch=on_epoch,
        )
        if recipe.options.unfreeze == "all":
            _write_embedding(model, scenario, examples.pixels, trial_folder.fold_embedding(folder, fold))
        tested = np.flatnonzero(in_fold)
        if covariance_activations:
            of_members = finetuning.predict_members(model, recipe, tested, examples, covariance_activations)
            probabilities = of_members.mean(axis=0)
        else:
            probabilities = finetuning.predict(tta.averaged(model, study.test_views), examples.pixels, tested)
    else:
        history, probabilities = train_head(study, scenario, fold)
    seconds = round(time.monotonic() - started, 3)
    artifacts.write_json(trial_folder.fold_history(folder, fold), {"seconds": seconds, "history": history})
    tested_photos = [photo for photo in study.photo_list if photo.fold == fold]
    predictions.write(trial_folder.fold_predictions(folder, fold), tested_photos, probabilities, study.classes)


def _write_embedding(
    model: keras.Model, scenario: scenarios.Scenario, photo_pixels: np.ndarray, path: pathlib.Path
) -> None:
    """Write the embedding of all photos by `model`, float32 [photos, channels], for the typicality of later photos."""
    embedding = anatomy.embedding(model, scenario.backbone, None)
    values = embedding.predict(pixels.clean(photo_pixels, np.arange(len(photo_pixels))), verbose=0)
    with artifacts.writing_array(path, values.shape, np.float32) as write:
        write(values)
