"""TensorBoard logs of a search: one run per scenario, with its hyperparameters, scores and training history."""

import pathlib
from typing import Any

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from components.base import artifacts, documents
from pipeline import run_folder
from tuner import scenarios as scenarios_module
from tuner import trial_folder

SCORES = ("f1", "precision", "recall", "accuracy", "ece")


def write(run_dir: pathlib.Path) -> None:
    """Replace the event files in trials/ and trials/NN/ by those of the scenarios in report/figures.json.

    `tensorboard --logdir RUN/trials` shows them: scores and hyperparameters under HParams, loss and accuracy of each
    fold by epoch under Time Series.
    """
    trials = run_dir / run_folder.TRIALS
    for event_file in trials.glob("**/events.out.tfevents.*"):
        event_file.unlink()
    scenarios = artifacts.read_json(run_dir / run_folder.FIGURES)["scenarios"]
    if not scenarios:
        return
    with _writer(trials):
        hparams.hparams_config(
            hparams=[
                hparams.HParam(name) for name in {name: None for row in scenarios for name in _hyperparameters(row)}
            ],
            metrics=[hparams.Metric(name) for name in SCORES],
        )
    for row in scenarios:
        _write_scenario(trial_folder.path(trials, row["scenario"]), row)


def _write_scenario(folder: pathlib.Path, row: dict[str, Any]) -> None:
    with _writer(folder):
        hparams.hparams(_hyperparameters(row), trial_id=folder.name)
        for name in SCORES:
            tf.summary.scalar(name, row[name], step=0)
        for fold in trial_folder.finished_folds(folder):
            history = artifacts.read_json(trial_folder.fold_history(folder, fold), documents.FoldHistory)["history"]
            for metric, values in history.items():
                for epoch, value in enumerate(values, start=1):
                    tf.summary.scalar(f"{metric}/fold-{fold + 1}", value, step=epoch)


def _hyperparameters(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in (*scenarios_module.HYPERPARAMETERS, "strategy") if name in row}


def _writer(folder: pathlib.Path) -> Any:
    return tf.summary.create_file_writer(str(folder)).as_default()
