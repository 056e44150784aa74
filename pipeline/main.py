"""The whole pipeline, stage by stage."""

import keras
import rich.console
import tensorflow as tf

from components.base import artifacts
from components.base.errors import PilahError
from pipeline import (
    cluster,
    config_check,
    leaderboard_table,
    lock,
    next_commands,
    recipe,
    resolved_settings,
    resume,
    run_folder,
    runner,
)
from pipeline.config import STAGES, Config, to_json
from pipeline.stages import (
    calibration,
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
    photos.STAGE,  # folder or zip of photos -> list with classes and folds
    dataset.STAGE,  # list -> TFRecords of square photos
    features.STAGE,  # TFRecords -> activations of the frozen backbones, a file for each view
    search.STAGE,  # activations, or TFRecords in fine-tuning -> out-of-fold probabilities of every scenario
    refine.STAGE,  # the best scenarios, fine-tuned -> their out-of-fold probabilities
    choice.STAGE,  # probabilities -> leaderboard and winner
    model.STAGE,  # winner -> Keras model, trained on all photos
    calibration.STAGE,  # the winner's probabilities and activations -> rule of its prediction sets, and distances
    export.STAGE,  # Keras model -> SavedModel that takes the bytes of photos
    validate.STAGE,  # SavedModel -> comparison of its answers with the Keras model's
    push.STAGE,  # SavedModel -> next version folder
    report.STAGE,  # all artifacts -> HTML page, and the card of the pushed version
)
assert tuple(stage.name for stage in PIPELINE) == STAGES


def run(config: Config, from_stage: str | None, overwrite: bool, console: rich.console.Console) -> None:
    """Run every stage that is not finished, and print the leaderboard.

    Args:
        from_stage: stage from which everything is rerun; None runs only what is needed.
        overwrite: discard finished work that was made with other settings.

    Raises:
        PilahError: the run cannot continue; the message says what to do.
    """
    if keras.config.backend() != "tensorflow":
        raise PilahError(
            f"KERAS_BACKEND must be tensorflow, or unset (got {keras.config.backend()}): heads and exports need it. "
            "Only 'make bench-gpu' runs with jax."
        )
    if tf.config.list_physical_devices("GPU"):  # CPU kernels are deterministic anyway
        tf.config.experimental.enable_op_determinism()
    with lock.locked(config.run_dir):
        # check before any work what would fail after an hour of it
        for name in config.backbones:
            recipe.engine(config, name)
        photos.check(config)
        cluster.check(config, console)
        config = recipe.with_weights(config, is_new=not (config.run_dir / run_folder.CONFIG).exists())
        config_check.check(config, ())  # --refine, with fewer scenarios
        resolved = recipe.resolve(config)
        if not (config.run_dir / run_folder.CONFIG).exists():
            resume.check_new(config.run_dir, overwrite)
            artifacts.write_json(config.run_dir / run_folder.CONFIG, to_json(config))
        elif not overwrite and resume.has_finished_work(config.run_dir):
            resume.check_nothing_lost(config, resolved, photos.expected_list(config))
        if from_stage not in STAGES[: STAGES.index("dataset") + 1] and resume.has_finished_work(config.run_dir):
            dataset.check(config)
        if from_stage:
            for stage in PIPELINE[STAGES.index(from_stage) :]:
                runner.forget(stage, config)
        list_photos, *other_stages = PIPELINE
        runner.run(list_photos, config, console)
        # before run.json: a run killed between the two then shows no trials, instead of trials with other settings
        resolved_settings.write(config.run_dir, resolved)
        artifacts.write_json(config.run_dir / run_folder.CONFIG, to_json(config))
        for stage in other_stages:
            try:
                runner.run(stage, config, console)
            except PilahError:
                if STAGES.index(stage.name) > STAGES.index("choice"):  # such as a model that is not good enough
                    leaderboard_table.show(config.run_dir, console)
                    console.print(next_commands.after_failed_push(config), soft_wrap=True, highlight=False)
                raise
        leaderboard_table.show(config.run_dir, console)
