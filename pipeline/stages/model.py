"""Winner -> Keras model, refitted on all photos."""

import shutil
from typing import Any

import keras
import numpy as np

from components.base import artifacts
from components.models import assembly, features, finetune, tta
from pipeline import provenance, recipe, run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage
from tuner.scenarios import Scenario
from tuner.study import Study


def inputs(config: Config) -> dict[str, Any]:
    return recipe.study(config).settings(recipe.winner(config))


def outputs(config: Config) -> list[str]:
    return [run_folder.KERAS_MODEL, f"{run_folder.MODEL}/*.keras", run_folder.MADE_WITH]


def resumed(config: Config) -> list[str]:
    return [run_folder.UNFINISHED_MODEL]


def run(config: Config, progress: Progress) -> None:
    winner = recipe.winner(config)
    refit = _refit_all if winner.strategy == "finetune" else _refit_head
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
    return assembly.assemble(winner.backbone, recipe.weights(config, winner.backbone), config.image_size_px, head)


def _refit_all(config: Config, study: Study, winner: Scenario) -> keras.Model:
    unfinished, every_row = config.run_dir / run_folder.UNFINISHED_MODEL, np.arange(len(study.labels))
    artifacts.reset_if_settings_changed(unfinished, study.settings(winner))
    examples, checkpoint = study.examples(winner.backbone), unfinished / "state"
    model, _ = finetune.fit(study.recipe(winner), examples, every_row, study.seed, checkpoint)
    return assembly.without_optimizer(model)


STAGE = Stage(
    "model",
    inputs,
    outputs,
    run,
    covered=[
        run_folder.LEADERBOARD,
        run_folder.PHOTOS,
        run_folder.REJECTS,
        f"{run_folder.DATASET}/**/*",
        f"{run_folder.FEATURES}/**/*",
        f"{run_folder.FROZEN_ACTIVATIONS}/**/*",
    ],
    resumed=resumed,
    temporary=[run_folder.FROZEN_ACTIVATIONS],
)
