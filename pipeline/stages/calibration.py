"""The winner's probabilities and activations -> rule of its prediction sets, and distances for its typicality."""

import logging
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.audit import answer_sets
from components.base import artifacts
from components.base.errors import PilahError
from components.data import class_names, records
from components.models import (
    anatomy,
    assembly,
    extraction,
    features,
    heatmap,
    inference,
    prediction_sets,
    typicality,
)
from pipeline import recipe, run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage
from tuner import predictions, trial_folder
from tuner.scenarios import Scenario
from tuner.study import Study

log = logging.getLogger("pilah")
COLUMNS = ("id", "label", "fold", "predicted", "prediction_set", "typicality")


def inputs(config: Config) -> dict[str, Any]:
    winner = recipe.winner(config)
    return {
        "coverage": config.coverage,
        "scenario": recipe.study(config).settings(winner),
        "predictions": artifacts.file_digest(config.run_dir / run_folder.predictions(winner.number)),
    }


def run(config: Config, progress: Progress) -> None:
    study, winner = recipe.study(config), recipe.winner(config)
    predictions_file = config.run_dir / run_folder.predictions(winner.number)
    answers = predictions.read(predictions_file)
    model = assembly.load(config.run_dir / run_folder.KERAS_MODEL)
    embedding = _write_embedding(config, study, winner, model, progress)
    _write_heatmaps(config, model, answers, progress)
    distances = typicality.held_out(_embeddings_of_folds(config, study, winner, embedding), study.labels, study.fold_of)
    with artifacts.writing_array(config.run_dir / run_folder.DISTANCES, distances.shape, np.float64) as write:
        write(distances)
    typical = typicality.cross_fitted(distances, study.fold_of)
    sets = prediction_sets.cross_fitted(answers.probabilities, answers.actual, answers.fold, config.coverage)
    _write_photos(config, answers, sets, typical)
    figures = _summary(answers, sets, typical, config.coverage)
    _warn_of_few_photos(figures["thresholds"][str(config.coverage)], answers.classes, config.coverage)
    artifacts.write_json(
        config.run_dir / run_folder.CALIBRATION, {"predictions": artifacts.file_digest(predictions_file), **figures}
    )


def _summary(
    answers: predictions.Predictions, sets: np.ndarray, typical: np.ndarray, coverage: float
) -> dict[str, Any]:
    """Return the contents of calibration.json without the digest of the predictions.

    Args:
        sets: bool [photos, classes], cross-fitted with `coverage`.
        typical: float64 [photos], the cross-fitted typicality.
    """
    of_fold = answers.probabilities, answers.actual, answers.fold
    rules = {value: prediction_sets.fit(*of_fold, value) for value in sorted({*prediction_sets.COVERAGES, coverage})}
    return {
        "coverage": coverage,
        "temperature": rules[coverage].temperature,
        "log_loss": prediction_sets.log_loss(answers.probabilities, answers.actual),
        "log_loss_scaled": prediction_sets.log_loss(prediction_sets.scaled_by_other_folds(*of_fold), answers.actual),
        "thresholds": {str(value): rule.thresholds.tolist() for value, rule in rules.items()},
        "classes": answers.classes,
        "sets": {
            str(value): answer_sets.figures(
                sets if value == coverage else prediction_sets.cross_fitted(*of_fold, value),
                answers.actual,
                answers.classes,
            )
            for value in rules
        },
        "flagged": answer_sets.flagged(typical),
        "certainty": answer_sets.certainty(sets, typical, answers.probabilities, answers.actual),
    }


def _warn_of_few_photos(thresholds: Sequence[float], classes: Sequence[str], coverage: float) -> None:
    in_every_set = [name for name, threshold in zip(classes, thresholds, strict=True) if threshold == 0]
    if in_every_set:
        log.warning(
            "%s: too few photos for sets with a coverage of %s, so these classes are in every set. Add photos of them, "
            "or lower --coverage",
            class_names.joined(in_every_set),
            coverage,
        )


def _write_embedding(
    config: Config, study: Study, winner: Scenario, model: keras.Model, progress: Progress
) -> np.ndarray:
    """Write the embedding of each photo by the model that is served, and return it, float32 [photos, channels].

    It is computed in float32, as when served: features in bfloat16 would change distances.
    """
    network = anatomy.embedding(model, winner.backbone, recipe.embedded_below(config, winner))
    path = config.run_dir / run_folder.EMBEDDING
    source = extraction.Source(
        config.run_dir / run_folder.DATASET, [photo.id for photo in study.photo_list], study.augmentation
    )
    for done in features.write_view(
        path,
        source.records,
        source.ids,
        forward=inference.load(inference.pick(config.engine, winner.backbone, "float32"), network, "float32"),
        view=0,
        augmentation=source.augmentation,
        dtype=np.float32,
    ):
        progress(done, len(source.ids))
    return artifacts.read_array(path, mmap_mode="r")


def _embeddings_of_folds(config: Config, study: Study, winner: Scenario, embedding: np.ndarray) -> list[np.ndarray]:
    """Return the embedding of all photos by each fold's model: the same one for all folds, if its layers are frozen.

    Raises:
        PilahError: the embedding of a fold is missing, such as in a run of an earlier version.
    """
    if winner.strategy != "finetune" or recipe.embedded_below(config, winner):
        return [embedding] * study.folds
    folder = trial_folder.path(config.run_dir / run_folder.TRIALS, winner.number)
    paths = [trial_folder.fold_embedding(folder, fold) for fold in range(study.folds)]
    if missing := [path for path in paths if not path.exists()]:
        raise PilahError(
            f"{missing[0]} is missing, which typicality needs; earlier versions did not write it. Restore it, or "
            f"delete {folder} and run again, which trains the folds of this scenario again."
        )
    return [artifacts.read_array(path, mmap_mode="r") for path in paths]


def _write_heatmaps(config: Config, model: keras.Model, answers: predictions.Predictions, progress: Progress) -> None:
    """Write the heat map of each wrong answer, for the class that was predicted, in the order of the photos.

    They are of `model`, which is trained on all photos, because the models of the folds are not kept.
    """
    shape = (None, config.image_size_px, config.image_size_px, 3)
    explain = tf.function(
        heatmap.grad_cam(model), input_signature=(tf.TensorSpec(shape, tf.uint8), tf.TensorSpec((None,), tf.int64))
    )
    wrong = answers.predicted != answers.actual
    batches = records.read(config.run_dir / run_folder.DATASET).map(lambda record: record["image"])
    heatmaps, done = [], 0
    for batch in batches.batch(features.BATCH_SIZE).prefetch(2).as_numpy_iterator():
        rows = slice(done, done + len(batch))
        if wrong[rows].any():
            heatmaps.append(explain(batch[wrong[rows]], answers.predicted[rows][wrong[rows]]).numpy())
        done += len(batch)
        progress(done, len(wrong), what="heat maps")
    maps = np.concatenate(heatmaps) if heatmaps else np.empty((0, 1, 1), np.float32)
    with artifacts.writing_array(config.run_dir / run_folder.HEATMAPS, maps.shape, np.float32) as write:
        write(maps)


def _write_photos(config: Config, answers: predictions.Predictions, sets: np.ndarray, typical: np.ndarray) -> None:
    """Write the prediction set and the typicality of each photo, by the rules of the other folds."""
    rows = (
        {
            "id": photo_id,
            "label": answers.classes[actual],
            "fold": fold + 1,
            "predicted": answers.classes[predicted],
            "prediction_set": prediction_sets.as_text(in_set, answers.classes),
            "typicality": f"{value:.4f}",
        }
        for photo_id, actual, fold, predicted, in_set, value in zip(
            answers.ids, answers.actual, answers.fold, answers.predicted, sets, typical, strict=True
        )
    )
    artifacts.write_csv(config.run_dir / run_folder.CALIBRATED_PHOTOS, COLUMNS, rows)


STAGE = Stage(
    name="calibration",
    inputs=inputs,
    outputs=lambda config: [f"{run_folder.CALIBRATION_FOLDER}/*"],
    run=run,
    reads={"model": run_folder.KERAS_MODEL},
    covered=[
        run_folder.LEADERBOARD,
        *run_folder.USABLE_PHOTOS,
        *run_folder.all_files(run_folder.DATASET, run_folder.FEATURES, run_folder.TRIALS),
    ],
)
