"""SavedModel -> validation.json: compare it with the Keras model, with records, and with what the web page sends."""

import functools
import logging

import numpy as np

from components.base import artifacts, documents, rounding
from components.data import images
from components.models import assembly, features, finetuning, head
from components.publish import calibration_check, validate
from pipeline import recipe, run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage
from tuner.study import Study

log = logging.getLogger("pilah")
CALIBRATED_PHOTOS = 16  # whose sets and typicality are compared


def run(config: Config, progress: Progress) -> None:
    study, saved_model = recipe.study(config), config.run_dir / run_folder.EXPORT
    winner_f1 = run_folder.read_leaderboard(config.run_dir)["winner"]["f1"]
    validate.check_floor(winner_f1, config.min_f1)
    difference = _compare_with_keras_model(config, study)
    typicality_difference = _compare_calibration(config, study)
    record_scores = _record_scores(config, study)
    learnt_f1 = validate.check_learnt(record_scores, study.labels, study.classes, winner_f1)
    agreement, file_scores = validate.check_no_skew(
        saved_model,
        study.photo_list,
        record_classes=[study.classes[index] for index in record_scores.argmax(axis=1)],
        max_pixels=config.max_pixels,
        progress=progress,
    )
    web = validate.compare_web_jpegs(
        saved_model,
        study.photo_list,
        file_scores,
        max_pixels=config.max_pixels,
        progress=functools.partial(progress, what="web JPEGs"),
    )
    _log_web_agreement(web)
    figures: documents.Validation = {
        "max_score_difference": difference,
        "max_typicality_difference": typicality_difference,
        "record_and_file_agreement": agreement,
        "f1_on_training_photos": learnt_f1,
        "web_jpeg_photos": web.photos,
        "web_jpeg_agreement": web.same_class,
        "web_jpeg_mean_score_difference": web.mean_difference,
        "web_jpeg_max_score_difference": web.max_difference,
    }
    artifacts.write_json(config.run_dir / run_folder.VALIDATION, figures)


def _compare_with_keras_model(config: Config, study: Study) -> float:
    """Write the Keras model's scores of some photos, and return how much those of the SavedModel differ at most."""
    compared = recipe.sample_photos(config, validate.COMPARED_PHOTOS)
    difference, scores = validate.check_same_answers(
        assembly.load(config.run_dir / run_folder.KERAS_MODEL),
        config.run_dir / run_folder.EXPORT,
        recipe.plain_bytes(config, compared),
        config.image_size_px,
    )
    ids = [photo.id for photo in compared]
    answers = {"photos": ids, "classes": study.classes, "scores": scores.tolist()}
    artifacts.write_json(config.run_dir / run_folder.ANSWERS, answers)
    return difference


def _compare_calibration(config: Config, study: Study) -> float:
    """Compare the sets and the typicality of some photos with those of the stage calibration."""
    winner = recipe.winner(config)
    return calibration_check.check(
        assembly.load(config.run_dir / run_folder.KERAS_MODEL),
        config.run_dir / run_folder.EXPORT,
        recipe.plain_bytes(config, recipe.sample_photos(config, CALIBRATED_PHOTOS)),
        backbone=winner.backbone,
        test_views=config.test_views,
        calibration=recipe.calibration(config, study, winner),
        image_size_px=config.image_size_px,
    )


def _log_web_agreement(web: validate.WebAgreement) -> None:
    """Log how the web page's JPEGs agree with the photos, with a warning if too few keep their class."""
    log.info(
        "Sent as the web page does, as JPEGs of at most %s pixels a side, %s of %s photos keep their class; "
        "scores differ by %s on average and %s at most",
        images.WEB_SIDE_PX,
        rounding.text(web.same_class, ".1%"),
        web.photos,
        rounding.text(web.mean_difference, ".4f"),
        rounding.text(web.max_difference, ".4f"),
    )
    if web.same_class < validate.MIN_WEB_AGREEMENT:
        log.warning(
            "Only %s of the photos keep their class when sent as the web page does, and %.0f%% should: the page "
            "is less accurate than this run's figures (docs/web-page.md)",
            rounding.text(web.same_class, ".1%"),
            100 * validate.MIN_WEB_AGREEMENT,
        )


def _record_scores(config: Config, study: Study) -> np.ndarray:
    """Return the winner's scores of every record, float32 [photos, classes]."""
    winner = recipe.winner(config)
    if winner.strategy == "finetune":
        model = assembly.load(config.run_dir / run_folder.KERAS_MODEL)
        return finetuning.predict(model, study.all_pixels(), np.arange(len(study.labels)))
    views = features.test_views(study.features_dir / winner.backbone, study.test_views)
    return head.predict_averaged(assembly.load(config.run_dir / run_folder.HEAD), views)


STAGE = Stage(
    name="validate",
    inputs=recipe.export_inputs,
    outputs=lambda config: [run_folder.VALIDATION, run_folder.ANSWERS],
    run=run,
    reads={"models": f"{run_folder.MODEL}/*.keras"},
    covered=[
        run_folder.LEADERBOARD,
        *run_folder.USABLE_PHOTOS,
        *run_folder.all_files(
            run_folder.CALIBRATION_FOLDER, run_folder.EXPORT, run_folder.FEATURES, run_folder.DATASET, run_folder.IMAGES
        ),
    ],
    added=["photos", "models"],
)
