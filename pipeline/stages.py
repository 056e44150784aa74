"""What each stage is given and where it leaves its artifact; the order stands in pipeline/main.py."""

import functools
import logging
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from components import (
    artifacts,
    augment,
    averaging,
    dataset,
    drawn,
    engines,
    export,
    features,
    finetune,
    grouped_folds,
    head,
    photos,
    push,
    trainer,
    validate,
)
from pipeline import provenance, served, shared
from pipeline.config import Config
from pipeline.progress import Report
from tuner import choose, cross_validation, workers
from tuner.scenarios import Scenario
from tuner.study import Study

log = logging.getLogger("pilah")
WARMUP_PHOTOS = 8


def photos_inputs(config: Config) -> dict[str, Any]:
    """The photos by name, size and time of change, which is quicker than reading them all."""
    settings = {
        "folds": config.folds,
        "seed": config.seed,
        "images": config.images,
        "group_folds": config.group_folds,
        "max_pixels": config.max_pixels if config.group_folds else None,  # larger photos have no hash
    }
    if not config.images or not all(given.is_dir() for given in config.images):
        settings["run_dir"] = config.run_dir  # it holds the photos, and may have been moved with them
    if not config.images:
        return {**settings, "photos_per_class": config.photos_per_class}
    # what does not exist is not listed: photos.unpack says what is wrong
    listing = [
        (str(file), file.stat().st_size, file.stat().st_mtime_ns) for given in config.images for file in _files(given)
    ]
    return {**settings, "files": artifacts.digest(listing)}


def _files(given: pathlib.Path) -> list[pathlib.Path]:
    """The photos of a folder, behind links too, or the zip."""
    if given.is_dir():
        return [file for file, _ in photos.labelled_files(photos.class_folders(given))]
    return [given] if given.is_file() else []


def check_photos(config: Config) -> None:
    """Raise where folders hold no classes; what zips hold is known once they are unpacked."""
    if config.images and all(given.is_dir() for given in config.images):
        photos.all_class_folders(config.images)


def photos_outputs(config: Config) -> list[str]:
    """The lists, and the photos themselves where the run folder holds them."""
    if not config.images:
        return ["photos.csv", "duplicates.csv", "images/drawn"]
    unpacked = any(given.is_file() for given in config.images)
    return ["photos.csv", "duplicates.csv", *(["images"] if unpacked else [])]


def list_photos(config: Config, report: Report) -> None:
    listed, duplicates = photos.list_photos(_photo_folders(config, report), config.folds, config.seed, report)
    if config.group_folds:
        hashed = functools.partial(report, what="hashes")
        listed = grouped_folds.regroup(listed, config.folds, config.seed, config.max_pixels, hashed)
    photos.write_duplicates(config.run_dir / "duplicates.csv", duplicates)
    photos.write(config.run_dir / "photos.csv", listed)
    copies = sum(duplicate.kind == "duplicate" for duplicate in duplicates)
    conflicts = [duplicate for duplicate in duplicates if duplicate.kind == "conflict"]
    if copies:
        log.warning("%d exact copies left out, see duplicates.csv", copies)
    for photo_id in sorted({duplicate.id for duplicate in conflicts}):
        where = ", ".join(duplicate.path for duplicate in conflicts if duplicate.id == photo_id)
        log.error("the same bytes stand under several classes, all left out: %s", where)


def _photo_folders(config: Config, report: Report) -> list[pathlib.Path]:
    """Where the class folders are: as given, or in the run folder, drawn or unpacked under the digest of the zip."""
    if not config.images:
        log.warning("the photos are drawn, not real: this run shows that the pipeline works, not how well it sorts")
        folder = config.run_dir / "images" / "drawn"
        drawn.write(folder, config.photos_per_class, config.seed, report)
        return [folder]
    names = [artifacts.file_digest(given) if given.is_file() else "given" for given in config.images]
    return [
        photos.unpack(given, config.run_dir / "images" / name) for given, name in zip(config.images, names, strict=True)
    ]


def dataset_inputs(config: Config) -> dict[str, Any]:
    return {
        "photos": artifacts.file_digest(config.run_dir / "photos.csv"),
        "image_size_px": config.image_size_px,
        "max_pixels": config.max_pixels,
        "max_rejects": config.max_rejects,
    }


def write_records(config: Config, report: Report) -> None:
    rejects = dataset.build(
        config.run_dir / "dataset",
        photos.read(config.run_dir / "photos.csv"),
        config.image_size_px,
        config.max_pixels,
        config.max_rejects,
        config.folds,
        config.beam_args,
        report,
    )
    if rejects:
        log.warning("%d photos cannot be used, see dataset/rejects.csv", len(rejects))


def features_inputs(config: Config) -> dict[str, Any]:
    return {
        "photos": artifacts.file_digest(config.run_dir / "photos.csv"),
        "rejects": artifacts.file_digest(config.run_dir / "dataset" / "rejects.csv"),
        "weights": {name: shared.weights(config, name).fingerprint for name in config.backbones},
        "image_size_px": config.image_size_px,
        "views": config.views,
        "test_views": config.test_views,
        "flips": config.flips,
        "seed": config.seed,
        "engine": engines.pick(config.engine),
        "precision": features.pick_precision(config.precision),
    }


def features_outputs(config: Config) -> list[str]:
    """Every view of every backbone, any of which may be deleted to free the disk."""
    views = features.view_numbers(config.views, config.test_views)
    return [
        str(features.view_path(pathlib.Path("features", name), view)) for name in config.backbones for view in views
    ]


def compute_features(config: Config, report: Report) -> None:
    photo_ids = [photo.id for photo in shared.usable_photos(config)]
    for name in config.backbones:
        weights = shared.weights(config, name)
        features.extract(
            config.run_dir / "features" / name,
            config.run_dir / "dataset",
            photo_ids,
            name,
            weights,
            config.views,
            config.test_views,
            augment.Augmentation(config.seed, config.flips),
            config.image_size_px,
            engines.pick(config.engine),
            features.pick_precision(config.precision),
            functools.partial(report, what=name),
        )


def search_inputs(config: Config) -> dict[str, Any]:
    study = shared.study(config)
    return {"folds": config.folds, "scenarios": [study.settings(scenario) for scenario in shared.scenarios(config)]}


def search_outputs(config: Config) -> list[str]:
    return [_predictions(number) for number in range(1, config.scenario_count + 1)]


def search(config: Config, report: Report) -> None:
    _cross_validate(config, shared.scenarios(config), report)


def refine_inputs(config: Config) -> dict[str, Any]:
    """Their numbers are among them: behind another search they stand in other folders."""
    study, scenarios = shared.study(config), shared.refined(config)
    return {
        "folds": config.folds,
        "numbers": [scenario.number for scenario in scenarios],
        "scenarios": [study.settings(scenario) for scenario in scenarios],
    }


def refine_outputs(config: Config) -> list[str]:
    return [_predictions(number) for number in config.refined_numbers]


def refine(config: Config, report: Report) -> None:
    _cross_validate(config, shared.refined(config), report)


def refined_folders(config: Config) -> list[str]:
    return [f"trials/{number:02d}" for number in config.refined_numbers]


def _predictions(number: int) -> str:
    return f"trials/{number:02d}/predictions.csv"


def _cross_validate(config: Config, scenarios: Sequence[Scenario], report: Report) -> None:
    study, trials_dir = shared.study(config), config.run_dir / "trials"
    heads = scenarios[0].strategy == "features"
    tasks = len(scenarios) * (1 if heads else study.folds)
    # without a GPU, a whole backbone keeps all cores busy by itself, and needs 3 GB and more
    alone = not (heads or shared.keeps_trunk(config) or engines.on_gpu())
    processes = 1 if alone else workers.count(tasks)
    cross_validation.search(study, scenarios, trials_dir, processes, report)
    choose.check_complete(trials_dir, scenarios)


def choice_inputs(config: Config) -> dict[str, Any]:
    return {**search_inputs(config), "refined": refine_inputs(config)["scenarios"] if config.refine else []}


def choose_winner(config: Config, report: Report) -> None:
    board = choose.leaderboard(
        config.run_dir / "trials",
        [*shared.scenarios(config), *shared.refined(config)],
        shared.study(config),
        {name: shared.parameters(config, name) for name in config.backbones},
    )
    artifacts.write_json(config.run_dir / "leaderboard.json", board)


def model_inputs(config: Config) -> dict[str, Any]:
    return shared.study(config).settings(shared.winner(config))


def refit_winner(config: Config, report: Report) -> None:
    winner = shared.winner(config)
    refit = _refit_all if winner.strategy == "finetune" else _refit_head
    model = averaging.averaged(refit(config, shared.study(config), winner), config.test_views)
    trainer.save(model, config.run_dir / "model" / "model.keras")
    provenance.note(config)
    shutil.rmtree(_unfinished_model(config), ignore_errors=True)


def _refit_head(config: Config, study: Study, winner: Scenario) -> keras.Model:
    fitted = trainer.refit(
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
    trainer.save(fitted, config.run_dir / "model" / "head.keras")
    return trainer.assemble(winner.backbone, shared.weights(config, winner.backbone), config.image_size_px, fitted)


def _refit_all(config: Config, study: Study, winner: Scenario) -> keras.Model:
    unfinished, every_row = _unfinished_model(config), np.arange(len(study.labels))
    artifacts.claim(unfinished, study.settings(winner))
    examples, state = study.examples(winner.backbone), unfinished / "state"
    model, _ = finetune.fit(study.recipe(winner), examples, every_row, study.seed, state)
    return trainer.without_optimizer(model)


def _unfinished_model(config: Config) -> pathlib.Path:
    return config.run_dir / "model" / "unfinished"


def export_inputs(config: Config) -> dict[str, Any]:
    return {"model": artifacts.file_digest(config.run_dir / "model" / "model.keras")}


def export_model(config: Config, report: Report) -> None:
    export.export(
        trainer.load(config.run_dir / "model" / "model.keras"),
        shared.study(config).classes,
        config.image_size_px,
        shared.plain_bytes(config, shared.some_photos(config, WARMUP_PHOTOS)),
        config.run_dir / "export",
    )


def validate_inputs(config: Config) -> dict[str, Any]:
    files = sorted(file for file in (config.run_dir / "export").rglob("*") if file.is_file())
    return {
        "export": artifacts.digest([[file.name, artifacts.file_digest(file)] for file in files]),
        "winner": artifacts.read_json(config.run_dir / "leaderboard.json")["winner"],
        "min_f1": config.min_f1,
    }


def validate_export(config: Config, report: Report) -> None:
    study, saved_model = shared.study(config), config.run_dir / "export"
    winner = artifacts.read_json(config.run_dir / "leaderboard.json")["winner"]
    validate.check_floor(winner["f1"], config.min_f1)
    compared = shared.some_photos(config, validate.COMPARED_PHOTOS)
    difference, scores = validate.check_same_answers(
        trainer.load(config.run_dir / "model" / "model.keras"),
        saved_model,
        shared.plain_bytes(config, compared),
        config.image_size_px,
    )
    answers = {
        "photos": [photo.id for photo in compared],
        "classes": study.classes,
        "scores": scores.tolist(),
    }
    artifacts.write_json(config.run_dir / served.ANSWERS, answers)
    record_classes = [study.classes[index] for index in _record_scores(config, study).argmax(axis=1)]
    agreement = validate.check_no_skew(saved_model, study.photo_list, record_classes, config.max_pixels, report)
    figures = {"max_score_difference": difference, "record_and_file_agreement": agreement}
    artifacts.write_json(config.run_dir / "validation.json", figures)


def _record_scores(config: Config, study: Study) -> np.ndarray:
    """What the winner says of every record, float32 [photos, classes]."""
    winner = shared.winner(config)
    if winner.strategy == "finetune":
        model = trainer.load(config.run_dir / "model" / "model.keras")
        return finetune.predict(model, study.all_pixels(), np.arange(len(study.labels)))
    views = features.test_views(study.features_dir / winner.backbone, study.test_views)
    return head.predict_averaged(trainer.load(config.run_dir / "model" / "head.keras"), views)


def push_inputs(config: Config) -> dict[str, Any]:
    return {**validate_inputs(config), "validation": artifacts.read_json(config.run_dir / "validation.json")}


def push_model(config: Config, report: Report) -> None:
    base = config.run_dir / "served" / push.MODEL_NAME
    description = provenance.describe(config)
    comparison = validate.check_not_worse(description, push.served(base), config.force)
    answers = config.run_dir / served.ANSWERS  # with the version, which may be rolled back to
    version = push.push(config.run_dir / "export", base, description, config.keep_versions, answers)
    log.info("pushed %s: %s", version, comparison)
