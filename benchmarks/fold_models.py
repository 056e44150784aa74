"""The winner of a run as it would be if the photos of one fold were new: model, prediction sets and typicality."""

import dataclasses
import pathlib

import keras
import numpy as np

from benchmarks import shift_tables
from components.base import artifacts, seeds
from components.base.errors import PilahError
from components.data import pixels
from components.models import (
    anatomy,
    assembly,
    checkpoints,
    finetuning,
    frozen_graph,
    inference,
    prediction_sets,
    tta,
    typicality,
)
from pipeline import recipe, run_folder
from pipeline.config import Config
from tuner import folds, predictions, trial_folder
from tuner.scenarios import Scenario
from tuner.study import Study


@dataclasses.dataclass(frozen=True)
class FoldModel:
    """The winner as it would be if the photos of one fold were new.

    Attributes:
        forward: pixels -> scores and embedding in one row, float32 [n, classes + channels].
        rule: of its prediction sets.
        references: float32 [m], distances of held-out training photos.
    """

    forward: frozen_graph.Forward
    rule: prediction_sets.Rule
    distance: typicality.Distance
    references: np.ndarray

    def answers(self, outputs: np.ndarray, rows: np.ndarray) -> shift_tables.Answers:
        """Return the answers of these `outputs` of `forward`, to the photos `rows`, int64 [n]."""
        classes = len(self.rule.thresholds)
        scores, embedding = outputs[:, :classes].astype(np.float64), outputs[:, classes:]
        return shift_tables.Answers(
            rows,
            scores,
            prediction_sets.members(scores, self.rule),
            typicality.of(self.distance(embedding), self.references),
        )


def build(config: Config, study: Study, winner: Scenario, fold: int) -> FoldModel:
    """Return the winner's model, prediction sets and typicality by all folds but `fold`.

    Raises:
        PilahError: the winner is fine-tuned, and the run has not kept the model of the fold.
    """
    others, averaged = study.fold_of != fold, keras_model(config, study, winner, fold)
    saved = predictions.read(config.run_dir / run_folder.predictions(winner.number))
    distances = artifacts.read_array(config.run_dir / run_folder.DISTANCES)
    embedding = artifacts.read_array(_embedding_path(config, winner, fold))
    parts = anatomy.with_embedding(averaged, winner.backbone, recipe.embedded_below(config, winner), config.test_views)
    row = keras.Model(parts.input, keras.ops.concatenate(parts.outputs, axis=1), name="pilah_shifts")
    return FoldModel(
        inference.load(inference.pick(config.engine, winner.backbone, "float32"), row, "float32"),
        prediction_sets.fit(saved.probabilities[others], saved.actual[others], saved.fold[others], config.coverage),
        typicality.fit(embedding[others], study.labels[others]),
        typicality.references(distances[others]),
    )


def keras_model(config: Config, study: Study, winner: Scenario, fold: int) -> keras.Model:
    """Return the winner's model by all folds but `fold`, with its test-time views: pixels -> scores.

    Raises:
        PilahError: the winner is fine-tuned, and the run has not kept the model of the fold.
    """
    finetuned = winner.strategy == "finetune"
    model = _finetuned(config, study, winner, fold) if finetuned else _frozen(config, study, winner, fold)
    return tta.averaged(model, config.test_views)


def _frozen(config: Config, study: Study, winner: Scenario, fold: int) -> keras.Model:
    """Return the backbone with a head trained on the features of the other folds."""
    _, head = folds.fit_head(study, winner, fold)
    weights = recipe.weights(config, winner.backbone)
    return assembly.assemble(winner.backbone, weights, image_size_px=config.image_size_px, trained_head=head)


def _finetuned(config: Config, study: Study, winner: Scenario, fold: int) -> keras.Model:
    """Return the fine-tuned model of `fold` from the checkpoint of its last epoch.

    Raises:
        PilahError: the checkpoint is missing, as in runs that have finished the fold.
    """
    checkpoint = trial_folder.fold_checkpoint(
        trial_folder.path(config.run_dir / run_folder.TRIALS, winner.number), fold
    )
    done, epochs = checkpoints.progress(checkpoint)[0], study.epochs_of_finetuning
    if done < epochs:
        raise PilahError(
            f"{checkpoint}.0.npz must hold the model of fold {fold + 1} after {epochs} epochs (got {done}). "
            "Runs remove it when the fold is finished. Choose a run with a frozen winner, or with its checkpoints."
        )
    assert study.finetuning
    on_disk = study.finetuning.frozen_activations_dir is not None
    no_photo = np.empty(0)  # no epoch is left to train
    examples = pixels.Examples([], no_photo, study.labels, [no_photo] if on_disk else None)
    rows = np.flatnonzero(study.fold_of != fold)
    seed = seeds.derive(study.seed, seeds.FOLD, fold)
    return finetuning.fit(study.recipe(winner), examples, rows, seed=seed, checkpoint=checkpoint)[0]


def _embedding_path(config: Config, winner: Scenario, fold: int) -> pathlib.Path:
    if winner.strategy != "finetune" or recipe.embedded_below(config, winner):
        return config.run_dir / run_folder.EMBEDDING
    return trial_folder.fold_embedding(trial_folder.path(config.run_dir / run_folder.TRIALS, winner.number), fold)
