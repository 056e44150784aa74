"""What each stage is given and where it leaves its artifact; the order stands in pipeline/main.py."""

import collections
import functools
import logging
import os
import pathlib
import shutil
from collections.abc import Collection, Sequence
from typing import Any

import keras
import numpy as np

from components.base import artifacts
from components.data import (
    augment,
    class_folders,
    class_levels,
    grouped_folds,
    missing_photos,
    photo_sources,
    photos,
    records,
)
from components.demo import synthetic_photos
from components.models import assembly, features, finetune, head, inference, tta
from components.publish import export, push, validate
from pipeline import provenance, served, shared
from pipeline.config import Config
from pipeline.progress import Report
from tuner import choose, cross_validation, workers
from tuner.scenarios import Scenario
from tuner.study import Study

log = logging.getLogger("pilah")
WARMUP_PHOTOS = 8
PUSHED = "pushed.json"  # {"version": number}
UNREADABLE, IGNORED = "unreadable.csv", "ignored.csv"  # in the run folder


def photos_inputs(config: Config) -> dict[str, Any]:
    """Names, sizes and times of the photos, which is quicker than reading them all.

    Photos that the run folder holds are unpacked or drawn first, so that a change of these is seen too.
    """
    return {
        "folds": config.folds,
        "seed": config.seed,
        "images": config.images,
        "group_folds": config.group_folds,
        "max_pixels": config.max_pixels if config.group_folds else None,  # larger photos have no hash
        "files": class_folders.scan(_photo_folders(config)).fingerprint(),
    }


def check_photos(config: Config) -> None:
    """Raise where folders hold no classes; what zips hold is known once they are unpacked."""
    if config.images and all(given.is_dir() for given in config.images):
        class_levels.find(config.images)


def photos_outputs(config: Config) -> list[str]:
    return ["photos.csv", "duplicates.csv", UNREADABLE, IGNORED]


def list_photos(config: Config, report: Report) -> None:
    if not config.images:
        log.warning("the photos are drawn, not real: this run shows that the pipeline works, not how well it sorts")
    roots = _photo_folders(config)
    scan = class_folders.scan(roots)
    listed, duplicates = photos.list_photos(scan, config.folds, config.seed, report)
    _check_missing(config, roots, scan, {photo.id for photo in listed} | {copy.id for copy in duplicates})
    if config.group_folds:
        hashed = functools.partial(report, what="hashes")
        listed = grouped_folds.regroup(listed, config.folds, config.seed, config.max_pixels, hashed)
    photos.write_unreadable(config.run_dir / UNREADABLE, scan.rejects)
    photos.write_ignored(config.run_dir / IGNORED, scan.ignored)
    photos.write_duplicates(config.run_dir / "duplicates.csv", duplicates)
    photos.write(config.run_dir / "photos.csv", listed)
    _log_files(scan, listed, duplicates)


def _check_missing(
    config: Config, roots: Sequence[pathlib.Path], scan: class_folders.Scan, present: Collection[str]
) -> None:
    """Name the photos that the list of the run before has and this one has not.

    Raises:
        PilahError: a folder has lost all of its photos, and --accept-missing is not given.
    """
    before = config.run_dir / "photos.csv"
    missing = missing_photos.find(photos.read(before), present, roots) if before.exists() else []
    if missing and not config.accept_missing:
        missing_photos.check_folders(missing, [path for path, _ in scan.photos])
    if missing:
        log.warning("%d photos of the last run are missing, such as %s", len(missing), missing[0].path)


def _log_files(
    scan: class_folders.Scan, listed: Sequence[photos.Photo], duplicates: Sequence[photos.Duplicate]
) -> None:
    """Account for every file, and name what is wrong with some."""
    copies = sum(duplicate.kind == "duplicate" for duplicate in duplicates)
    log.info("%d classes: %s", len(scan.classes), ", ".join(scan.classes))
    log.info(
        "%d files: %d photos, %d exact copies, %d in several classes, %d unreadable, %d ignored (%s)",
        len(scan.photos) + len(scan.rejects) + len(scan.ignored),
        len(listed),
        copies,
        len(duplicates) - copies,
        len(scan.rejects),
        len(scan.ignored),
        f"photos.csv, duplicates.csv, {UNREADABLE}, {IGNORED}",
    )
    for warning in scan.warnings:
        log.warning(warning)
    conflicts = collections.defaultdict(list)  # id -> paths
    for duplicate in duplicates:
        if duplicate.kind == "conflict":
            conflicts[duplicate.id].append(duplicate.path)
    for paths in conflicts.values():
        log.error("identical files in several classes, none of them is used: %s", ", ".join(paths))


def _photo_folders(config: Config) -> list[pathlib.Path]:
    """The folders that hold the class folders: those given, or in the run folder, drawn or unpacked where needed."""
    images = config.run_dir / "images"
    if not config.images:
        return [_draw(images / "drawn", config.photos_per_class, config.seed)]
    names = [_zip_digest(given, given.stat()) if given.is_file() else "given" for given in config.images]
    return [photo_sources.folder_of(given, images / name) for given, name in zip(config.images, names, strict=True)]


@functools.cache
def _zip_digest(path: pathlib.Path, state: os.stat_result) -> str:
    """The digest of a zip, computed once for each `state` of it, as it may be large."""
    return artifacts.file_digest(path)


def _draw(folder: pathlib.Path, photos_per_class: int, seed: int) -> pathlib.Path:
    """Draw photos into `folder`, unless it holds them."""
    settings, drawn_with = {"photos_per_class": photos_per_class, "seed": seed}, folder.with_name("drawn.json")
    if not (folder.exists() and drawn_with.exists() and artifacts.read_json(drawn_with) == settings):
        drawn_with.unlink(missing_ok=True)
        synthetic_photos.write(folder, photos_per_class, seed, lambda done, total: None)
        artifacts.write_json(drawn_with, settings)
    return folder


def dataset_inputs(config: Config) -> dict[str, Any]:
    unreadable = artifacts.read_csv(config.run_dir / UNREADABLE)
    return {
        "photos": artifacts.file_digest(config.run_dir / "photos.csv"),
        **({"unreadable": unreadable} if unreadable else {}),  # so that runs from before there was this list hold
        "image_size_px": config.image_size_px,
        "max_pixels": config.max_pixels,
        "max_rejects": config.max_rejects,
    }


def dataset_outputs(config: Config) -> list[str]:
    return ["dataset/rejects.csv", "dataset/*/*/dataset_info.json", "dataset/*/*/*"]


def write_records(config: Config, report: Report) -> None:
    rejects = records.build(
        config.run_dir / "dataset",
        photos.read(config.run_dir / "photos.csv"),
        config.image_size_px,
        config.max_pixels,
        config.max_rejects,
        config.folds,
        config.beam_args,
        report,
        artifacts.read_csv(config.run_dir / UNREADABLE),
    )
    if rejects:
        log.warning("%d photos cannot be used (dataset/rejects.csv)", len(rejects))


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
        "engine": inference.pick(config.engine),
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
            inference.pick(config.engine),
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
    alone = not (heads or shared.keeps_trunk(config) or inference.on_gpu())
    processes = 1 if alone else workers.count(tasks)
    cross_validation.search(study, scenarios, trials_dir, processes, report)
    choose.check_complete(trials_dir, scenarios)


def choice_inputs(config: Config) -> dict[str, Any]:
    """The predictions themselves too: on a GPU the same settings may give others."""
    made = [config.run_dir / name for name in (*search_outputs(config), *refine_outputs(config))]
    return {
        **search_inputs(config),
        "refined": refine_inputs(config)["scenarios"] if config.refine else [],
        "predictions": artifacts.digest([artifacts.file_digest(path) for path in made]),
    }


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
    model = tta.averaged(refit(config, shared.study(config), winner), config.test_views)
    assembly.save(model, config.run_dir / "model" / "model.keras")
    provenance.note(config)
    shutil.rmtree(_unfinished_model(config), ignore_errors=True)


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
    unfinished, every_row = _unfinished_model(config), np.arange(len(study.labels))
    artifacts.claim(unfinished, study.settings(winner))
    examples, state = study.examples(winner.backbone), unfinished / "state"
    model, _ = finetune.fit(study.recipe(winner), examples, every_row, study.seed, state)
    return assembly.without_optimizer(model)


def _unfinished_model(config: Config) -> pathlib.Path:
    return config.run_dir / "model" / "unfinished"


def export_inputs(config: Config) -> dict[str, Any]:
    return {"model": artifacts.file_digest(config.run_dir / "model" / "model.keras")}


def export_model(config: Config, report: Report) -> None:
    export.export(
        assembly.load(config.run_dir / "model" / "model.keras"),
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
    artifacts.write_json(config.run_dir / served.ANSWERS, answers)
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


def push_inputs(config: Config) -> dict[str, Any]:
    return {**validate_inputs(config), "validation": artifacts.read_json(config.run_dir / "validation.json")}


def push_outputs(config: Config) -> list[str]:
    """The version that was pushed, or any where an earlier Pilah pushed it; a rollback adds another."""
    pushed = config.run_dir / PUSHED
    version = artifacts.read_json(pushed)["version"] if pushed.exists() else "[0-9]*"
    return [f"served/{push.MODEL_NAME}/{version}/{name}" for name in ("saved_model.pb", push.DESCRIPTION)]


def push_model(config: Config, report: Report) -> None:
    base = config.run_dir / "served" / push.MODEL_NAME
    description = provenance.describe(config)
    comparison = validate.check_not_worse(description, push.served(base), config.force)
    answers = config.run_dir / served.ANSWERS  # with the version, which may be rolled back to
    version = push.push(config.run_dir / "export", base, description, config.keep_versions, answers)
    artifacts.write_json(config.run_dir / PUSHED, {"version": int(version.name)})
    log.info("pushed %s: %s", version, comparison)
