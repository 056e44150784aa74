"""The whole pipeline, stage by stage."""

import shutil

import keras
import rich.console
import tensorflow as tf

from components.base import artifacts
from components.base.errors import PilahError
from components.models import inference
from pipeline import leaderboard_table, lock, resolved_settings, runner, shared
from pipeline.config import STAGES, Config, to_json
from pipeline.runner import Stage
from pipeline.stages import (
    choice,
    dataset,
    export,
    features,
    model,
    photos,
    push,
    refine,
    report,
    search,
    validate,
)

PIPELINE = (
    # folder or zip of photos -> list with classes and folds
    Stage("photos", photos.inputs, photos.outputs, photos.run),
    # list -> TFRecords of squares of pixels
    Stage("dataset", dataset.inputs, dataset.outputs, dataset.run),
    # TFRecords -> activations of the frozen backbones, a file a view
    Stage("features", features.inputs, features.outputs, features.run, features.resumed),
    # activations, or TFRecords to fine-tune on -> out-of-fold probabilities of every scenario
    Stage("search", search.inputs, search.outputs, search.run, search.resumed),
    # the best scenarios, with their backbones trained too -> out-of-fold probabilities of these
    Stage("refine", refine.inputs, refine.outputs, refine.run, refine.resumed),
    # probabilities -> leaderboard and winner
    Stage("choice", choice.inputs, choice.outputs, choice.run),
    # winner -> Keras model, refitted on all photos
    Stage("model", model.inputs, model.outputs, model.run, model.resumed),
    # Keras model -> SavedModel that takes the bytes of photos
    Stage("export", export.inputs, export.outputs, export.run),
    # SavedModel -> proof that it answers as it should
    Stage("validate", validate.inputs, validate.outputs, validate.run),
    # SavedModel -> next version folder
    Stage("push", push.inputs, push.outputs, push.run, fixed=False),
    # all of it -> a page to look at, and the card of the version pushed
    Stage("report", report.inputs, report.outputs, report.run, fixed=False),
)
assert tuple(stage.name for stage in PIPELINE) == STAGES


def run(config: Config, from_stage: str | None, console: rich.console.Console) -> None:
    """Run every stage that is not done yet, and print the board.

    Args:
        from_stage: a stage from which on everything is done again; None does only what is needed.

    Raises:
        PilahError: the run cannot go on; the message says what to do.
    """
    if keras.config.backend() != "tensorflow":
        raise PilahError(
            f"KERAS_BACKEND must be tensorflow, or unset (got {keras.config.backend()}): heads and exports need it. "
            "Only 'make bench-gpu' runs with jax."
        )
    if tf.config.list_physical_devices("GPU"):  # on CPUs the same ops give the same bits anyway
        tf.config.experimental.enable_op_determinism()
    # what would be missing in an hour is checked now, before anything is changed
    inference.pick(config.engine)
    photos.check(config)
    shared.look_up_weights(config)
    with lock.locked(config.run_dir):
        if from_stage:
            for stage in PIPELINE[STAGES.index(from_stage) :]:
                runner.forget(stage, config)
        list_photos, *long_stages = PIPELINE
        runner.run(list_photos, config, console)
        # before run.json: a run killed between the two then shows no trials rather than some of other settings
        resolved_settings.write(config.run_dir, shared.resolve(config))
        artifacts.write_json(config.run_dir / "run.json", to_json(config))
        for stage in long_stages:
            runner.run(stage, config, console)
            if stage.name == "model":  # nothing is left to train on these gigabytes
                shutil.rmtree(config.run_dir / shared.TRUNK, ignore_errors=True)
        leaderboard_table.show(config.run_dir, console)
