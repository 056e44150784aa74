"""Winner -> Keras model, trained on all photos."""

import concurrent.futures
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from components.base import artifacts, claims
from components.models import assembly, checkpoints, features, finetuning, head, tta
from pipeline import cluster, provenance, recipe, run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage
from tuner import tasks
from tuner.scenarios import Scenario
from tuner.study import Study


def inputs(config: Config) -> dict[str, Any]:
    return recipe.study(config).settings(recipe.winner(config))


def run(config: Config, progress: Progress) -> None:
    winner = recipe.winner(config)
    refit = _refit_backbone_and_head if winner.strategy == "finetune" else _refit_head
    with cluster.executor(config, progress) as (executor, progress_with_state):
        model = refit(config, recipe.study(config), winner, executor, progress_with_state)
    assembly.save(tta.averaged(model, config.test_views), config.run_dir / run_folder.KERAS_MODEL)
    provenance.note(config)
    shutil.rmtree(config.run_dir / run_folder.UNFINISHED_MODEL, ignore_errors=True)


def _refit_head(
    config: Config,
    study: Study,
    winner: Scenario,
    executor: concurrent.futures.Executor | None,
    progress: Progress,
) -> keras.Model:
    path = config.run_dir / run_folder.HEAD
    next(tasks.results(executor, _write_head, [(path, study, winner)], lambda done: progress(done, 1)))
    weights = recipe.weights(config, winner.backbone)
    return assembly.assemble(
        winner.backbone, weights, image_size_px=config.image_size_px, trained_head=assembly.load(path)
    )


def _write_head(path: pathlib.Path, study: Study, winner: Scenario) -> None:
    """Train a new head on every photo, for as many epochs as in a fold, and write it into the file `path`."""
    with claims.claimed(path):
        model = study.new_head(winner)
        head.fit(
            model,
            features.Views(study.features_dir / winner.backbone, study.views),
            study.labels,
            rows=np.arange(len(study.labels)),
            epochs=study.epochs_of(winner),
            batch_size=study.batch_size,
            seed=study.seed,
        )
        assembly.save(model, path)


def _refit_backbone_and_head(
    config: Config,
    study: Study,
    winner: Scenario,
    executor: concurrent.futures.Executor | None,
    progress: Progress,
) -> keras.Model:
    unfinished = config.run_dir / run_folder.UNFINISHED_MODEL
    artifacts.reset_if_settings_changed(unfinished, study.settings(winner))
    checkpoint = unfinished / "state"

    def show(done: int = 0) -> None:
        progress(checkpoints.progress(checkpoint)[0], study.epochs_of_finetuning)

    if executor:
        study.examples(winner.backbone, executor)  # computes frozen activations that are missing
        study.covariance_activations(executor)
        next(tasks.results(executor, _write_checkpoints, [(checkpoint, study, winner)], show))
    # after a worker has trained all epochs, this only restores the model from the last checkpoint
    return assembly.without_optimizer(_train_backbone_and_head(checkpoint, study, winner, show))


def _write_checkpoints(checkpoint: pathlib.Path, study: Study, winner: Scenario) -> None:
    with claims.claimed(checkpoint):
        _train_backbone_and_head(checkpoint, study, winner)


def _train_backbone_and_head(
    checkpoint: pathlib.Path, study: Study, winner: Scenario, on_epoch: Callable[[], object] = lambda: None
) -> keras.Model:
    """Train backbone and head on every photo, from the checkpoint of an interrupted training if there is one."""
    model, _ = finetuning.fit(
        study.recipe(winner),
        study.examples(winner.backbone),
        np.arange(len(study.labels)),
        seed=study.seed,
        checkpoint=checkpoint,
        covariance_activations=study.covariance_activations(),
        on_epoch=on_epoch,
    )
    return model


STAGE = Stage(
    name="model",
    inputs=inputs,
    outputs=lambda config: [run_folder.KERAS_MODEL, f"{run_folder.MODEL}/*.keras", run_folder.MADE_WITH],
    run=run,
    covered=[
        run_folder.LEADERBOARD,
        *run_folder.USABLE_PHOTOS,
        *run_folder.all_files(run_folder.DATASET, run_folder.FEATURES, run_folder.FROZEN_ACTIVATIONS),
    ],
    resumed=lambda config: [run_folder.UNFINISHED_MODEL],
    temporary=[run_folder.FROZEN_ACTIVATIONS],
)
