"""SavedModel -> validation.json: it answers as the Keras model does, from records and from files."""

from typing import Any

import numpy as np

from components.base import artifacts
from components.data import photos
from components.models import assembly, features, finetune, head
from components.publish import validate
from pipeline import recipe, run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage
from tuner.study import Study


def inputs(config: Config) -> dict[str, Any]:
    return {
        "export": run_folder.export_digest(config.run_dir),
        "winner": run_folder.read_leaderboard(config.run_dir)["winner"],
        "min_f1": config.min_f1,
        "photos": photos.fingerprint(run_folder.usable_photos(config.run_dir)),
    }


def outputs(config: Config) -> list[str]:
    return [run_folder.VALIDATION, run_folder.ANSWERS]


def run(config: Config, progress: Progress) -> None:
    study, saved_model = recipe.study(config), config.run_dir / run_folder.EXPORT
    winner = run_folder.read_leaderboard(config.run_dir)["winner"]
    validate.check_floor(winner["f1"], config.min_f1)
    compared = recipe.sample_photos(config, validate.COMPARED_PHOTOS)
    difference, scores = validate.check_same_answers(
        assembly.load(config.run_dir / run_folder.KERAS_MODEL),
        saved_model,
        recipe.plain_bytes(config, compared),
        config.image_size_px,
    )
    answers = {
        "photos": [photo.id for photo in compared],
        "classes": study.classes,
        "scores": scores.tolist(),
    }
    artifacts.write_json(config.run_dir / run_folder.ANSWERS, answers)
    record_scores = _record_scores(config, study)
    learnt_f1 = validate.check_learnt(record_scores, study.labels, study.classes, winner["f1"])
    record_classes = [study.classes[index] for index in record_scores.argmax(axis=1)]
    agreement = validate.check_no_skew(saved_model, study.photo_list, record_classes, config.max_pixels, progress)
    figures = {
        "max_score_difference": difference,
        "record_and_file_agreement": agreement,
        "f1_on_training_photos": learnt_f1,
    }
    artifacts.write_json(config.run_dir / run_folder.VALIDATION, figures)


def _record_scores(config: Config, study: Study) -> np.ndarray:
    """What the winner says of every record, float32 [photos, classes]."""
    winner = recipe.winner(config)
    if winner.strategy == "finetune":
        model = assembly.load(config.run_dir / run_folder.KERAS_MODEL)
        return finetune.predict(model, study.all_pixels(), np.arange(len(study.labels)))
    views = features.test_views(study.features_dir / winner.backbone, study.test_views)
    return head.predict_averaged(assembly.load(config.run_dir / run_folder.HEAD), views)


STAGE = Stage(
    "validate",
    inputs,
    outputs,
    run,
    reads={"models": f"{run_folder.MODEL}/*.keras"},
    covered=[
        run_folder.LEADERBOARD,
        run_folder.PHOTOS,
        run_folder.REJECTS,
        f"{run_folder.EXPORT}/**/*",
        f"{run_folder.FEATURES}/**/*",
        f"{run_folder.DATASET}/**/*",
        f"{run_folder.IMAGES}/**/*",
    ],
    added=["photos", "models"],
)
