"""Winner -> Keras model, trained on all photos."""

import shutil
from typing import Any

import keras
import numpy as np

from components.base import artifacts
from components.models import assembly, features, finetuning, tta
from pipeline import provenance, recipe, run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage
from tuner.scenarios import Scenario
from tuner.study import Study


def inputs(config: Config) -> dict[str, Any]:
    return recipe.study(config).settings(recipe.winner(config))


def run(config: Config, progress: Progress) -> None:
    winner = recipe.winner(config)
    refit = _refit_backbone_and_head if winner.strategy == "finetune" else _refit_head
    model = tta.averaged(refit(config, recipe.study(config), winner), config.test_views)
    assembly.save(model, config.run_dir / run_folder.KERAS_MODEL)
    provenance.note(config)
    shutil.rmtree(config.run_dir / run_folder.UNFINISHED_MODEL, ignore_errors=True)


def _refit_head(config: Config, study: Study, winner: Scenario) -> keras.Model:
    head = assembly.refit(
        features.Views(study.features_dir / winner.backbone, study.views),
        study.labels,
        classes=len(study.classes),
        optimizer=winner.optimizer,
        dropout=winner.dropout,
        learning_rate=study.learning_rate,
        weight_decay=study.weight_decay,
        epochs=study.epochs,
        batch_size=study.batch_size,
        seed=study.seed,
    )
    assembly.save(head, config.run_dir / run_folder.HEAD)
    weights = recipe.weights(config, winner.backbone)
    return assembly.assemble(winner.backbone, weights, image_size_px=config.image_size_px, trained_head=head)


def _refit_backbone_and_head(config: Config, study: Study, winner: Scenario) -> keras.Model:
    unfinished = config.run_dir / run_folder.UNFINISHED_MODEL
    artifacts.reset_if_settings_changed(unfinished, study.settings(winner))
    model, _ = finetuning.fit(
        study.recipe(winner),
        study.examples(winner.backbone),
        np.arange(len(study.labels)),
        seed=study.seed,
        checkpoint=unfinished / "state",
    )
    return assembly.without_optimizer(model)


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
