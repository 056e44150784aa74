"""Winner -> Keras model, refitted on all photos."""

import shutil
from typing import Any

import keras
import numpy as np

from components.base import artifacts
from components.models import assembly, features, finetune, tta
from pipeline import provenance, shared
from pipeline.config import Config
from pipeline.progress import Report
from tuner.scenarios import Scenario
from tuner.study import Study

UNFINISHED = "model/unfinished"  # what a fine-tuned refit resumes from


def inputs(config: Config) -> dict[str, Any]:
    return shared.study(config).settings(shared.winner(config))


def outputs(config: Config) -> list[str]:
    return ["model/model.keras", "model/*.keras", provenance.MADE_WITH]


def resumed(config: Config) -> list[str]:
    return [UNFINISHED]


def run(config: Config, report: Report) -> None:
    winner = shared.winner(config)
    refit = _refit_all if winner.strategy == "finetune" else _refit_head
    model = tta.averaged(refit(config, shared.study(config), winner), config.test_views)
    assembly.save(model, config.run_dir / "model" / "model.keras")
    provenance.note(config)
    shutil.rmtree(config.run_dir / UNFINISHED, ignore_errors=True)


def _refit_head(config: Config, study: Study, winner: Scenario) -> keras.Model:
    fitted = assembly.refit(
        features.Views(study.features_dir / winner.backbone, study.views),
        study.labels,
        len(study.classes),
        winner.optimizer,
        winner.dropout,
        study.learning_rate,
        study.weight_decay,
        study.epochs,
        study.batch_size,
        study.seed,
    )
    assembly.save(fitted, config.run_dir / "model" / "head.keras")
    return assembly.assemble(winner.backbone, shared.weights(config, winner.backbone), config.image_size_px, fitted)


def _refit_all(config: Config, study: Study, winner: Scenario) -> keras.Model:
    unfinished, every_row = config.run_dir / UNFINISHED, np.arange(len(study.labels))
    artifacts.reset_if_settings_changed(unfinished, study.settings(winner))
    examples, state = study.examples(winner.backbone), unfinished / "state"
    model, _ = finetune.fit(study.recipe(winner), examples, every_row, study.seed, state)
    return assembly.without_optimizer(model)
