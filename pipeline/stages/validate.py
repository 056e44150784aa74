"""SavedModel -> validation.json: it answers as the Keras model does, from records and from files."""

from typing import Any

import numpy as np

from components.base import artifacts
from components.models import assembly, features, finetune, head
from components.publish import validate
from pipeline import shared
from pipeline.config import Config
from pipeline.progress import Report
from tuner.study import Study


def inputs(config: Config) -> dict[str, Any]:
    return shared.published(config)


def outputs(config: Config) -> list[str]:
    return ["validation.json", shared.ANSWERS]


def run(config: Config, report: Report) -> None:
    study, saved_model = shared.study(config), config.run_dir / "export"
    winner = artifacts.read_json(config.run_dir / "leaderboard.json")["winner"]
    validate.check_floor(winner["f1"], config.min_f1)
    compared = shared.some_photos(config, validate.COMPARED_PHOTOS)
    difference, scores = validate.check_same_answers(
        assembly.load(config.run_dir / "model" / "model.keras"),
        saved_model,
        shared.plain_bytes(config, compared),
        config.image_size_px,
    )
    answers = {
        "photos": [photo.id for photo in compared],
        "classes": study.classes,
        "scores": scores.tolist(),
    }
    artifacts.write_json(config.run_dir / shared.ANSWERS, answers)
    record_scores = _record_scores(config, study)
    learnt_f1 = validate.check_learnt(record_scores, study.labels, study.classes, winner["f1"])
    record_classes = [study.classes[index] for index in record_scores.argmax(axis=1)]
    agreement = validate.check_no_skew(saved_model, study.photo_list, record_classes, config.max_pixels, report)
    figures = {
        "max_score_difference": difference,
        "record_and_file_agreement": agreement,
        "f1_on_training_photos": learnt_f1,
    }
    artifacts.write_json(config.run_dir / "validation.json", figures)


def _record_scores(config: Config, study: Study) -> np.ndarray:
    """What the winner says of every record, float32 [photos, classes]."""
    winner = shared.winner(config)
    if winner.strategy == "finetune":
        model = assembly.load(config.run_dir / "model" / "model.keras")
        return finetune.predict(model, study.all_pixels(), np.arange(len(study.labels)))
    views = features.test_views(study.features_dir / winner.backbone, study.test_views)
    return head.predict_averaged(assembly.load(config.run_dir / "model" / "head.keras"), views)
