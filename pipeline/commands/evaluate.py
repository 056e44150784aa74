"""Evaluation of the pushed model on other photos: its scores, its predictions, and the files left out."""

import collections
import dataclasses
import logging
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import rich.console

from components.audit import evaluation
from components.base import artifacts, documents, finding_types
from components.base.answers import Answers
from components.base.errors import PilahError
from components.data import class_folders, listing, photo_scan, photo_sources, photos
from components.models import prediction_sets, typicality
from components.publish import push, validate
from pipeline import config as config_module
from pipeline import lock, run_folder, runner
from pipeline.commands import evaluation_tables
from pipeline.config import Config
from pipeline.progress import Progress, reporting
from pipeline.stages import report
from tuner import predictions

log = logging.getLogger("pilah")
LEFT_OUT_COLUMNS = ("path", "label", "reason")
TRAINED_ON = "copy of a photo of the study"
READ = (  # files of the run
    *run_folder.USABLE_PHOTOS,
    run_folder.DUPLICATES,
    run_folder.LEADERBOARD,
    run_folder.CALIBRATION,
    run_folder.DISTANCES,
)


def run(
    run_dir: pathlib.Path,
    images: pathlib.Path,
    console: rich.console.Console,
    *,
    labels: pathlib.Path | None = None,
    zip_encoding: str | None = None,
) -> None:
    """Score the newest version on `images` into RUN/evaluations, print the figures, and write the report again.

    Writes NAME.json, NAME-predictions.csv and NAME-left-out.csv, where NAME is that of `images`, and replaces those of
    an earlier evaluation.

    Args:
        images: folder or zip of class folders.
        labels: table of the classes of `images`, see class_folders.scan.
        zip_encoding: of the names in a zip that does not state it.

    Raises:
        PilahError: there is no pushed version, a class is not the model's, or no photo can be scored.
    """
    photo_sources.check_encoding(zip_encoding)
    config = dataclasses.replace(config_module.read(run_dir), labels=labels, zip_encoding=zip_encoding)
    with lock.locked(config.run_dir):
        card = push.served(config.run_dir / run_folder.SERVED, documents.ServedModel)
        if card is None:
            raise PilahError(f"--run-dir must hold a pushed model, and {run_dir} has none. Push one with 'run'.")
        runner.check_outputs(config.run_dir, lambda file: file in READ)
        push.check_files(config.run_dir / run_folder.SERVED / str(card["version"]), card)
        path = write(config, card, images, console)
        evaluation_tables.show(path, console)
        report.refresh(config.run_dir, console)


def write(
    config: Config, card: documents.ModelDescription, images: pathlib.Path, console: rich.console.Console
) -> pathlib.Path:
    """Score the version that `card` describes, write the three files in RUN/evaluations, and return the first.

    Raises:
        PilahError: a class is not the model's, or no photo can be scored.
    """
    scan = _scan(config, images, card["classes"])
    with reporting(console, "evaluate") as progress:
        new, left_out = new_photos(config, scan)
        scored, answers, unusable = score(config, card, new, progress)
    left_out += unusable
    if answers is None:
        raise PilahError(
            f"None of the {len(left_out)} files in {images} is a usable photo outside the study. Choose other photos."
        )
    name = images.stem if images.is_file() else images.resolve().name
    path = config.run_dir / run_folder.EVALUATIONS / f"{name}.json"
    before = artifacts.read_json(path, finding_types.Evaluation)["images"] if path.exists() else ""
    if before not in ("", str(images.resolve())):
        log.warning("%s of %s is replaced: rename a folder to keep both", path.name, before)
    write_predictions(path.with_name(f"{name}-predictions.csv"), scored, answers)
    artifacts.write_csv(path.with_name(f"{name}-left-out.csv"), LEFT_OUT_COLUMNS, left_out)
    usable = run_folder.usable_photos(config.run_dir)
    actual = np.array([card["classes"].index(label) for _, _, label in scored])
    summary = {
        "images": str(images.resolve()),
        "version": card["version"],
        "classes": card["classes"],
        **evaluation.figures(actual, answers),
        "stated_coverage": card.get("settings", {}).get("coverage"),
        "cross_validated_f1": card["figures"]["f1"],
        "cross_validated": cross_validated(config, card),
        "left_out": dict(collections.Counter(row["reason"] for row in left_out).most_common()),
        # otherwise copies of the photos that the version was trained on cannot be left out
        "training_photos_known": card["data"]["photos_and_folds"] == photos.fingerprint(usable),
    }
    artifacts.write_json(path, summary)
    return path


def _scan(config: Config, images: pathlib.Path, classes: Sequence[str]) -> photo_scan.Scan:
    """List the files in `images` by class, as `config` says, and log warnings.

    Raises:
        PilahError: a class is not one of `classes`.
    """
    digest = artifacts.file_digest(images) if images.is_file() else ""
    name = photo_sources.unpacked_name(digest, config.zip_encoding)
    folder = photo_sources.folder_of(images, config.run_dir / run_folder.IMAGES / name, config.zip_encoding)
    scan = class_folders.scan([folder], classes, labels=config.labels, merge=config.merge_classes)
    evaluation.check_classes(scan.classes, classes)
    for warning in scan.warnings:
        log.warning(warning)
    return scan


def new_photos(config: Config, scan: photo_scan.Scan) -> tuple[list[tuple[str, str, str]], list[dict[str, str]]]:
    """Return (id, path, label) of each photo that is not in the study, and a row for each file left out."""
    unique, copies = listing.unique_photos(scan.photos, lambda done, total: None)
    reasons = {"duplicate": "copy of another photo here", "conflict": "under several classes"}
    left_out = [{"path": copy.path, "label": copy.label, "reason": reasons[copy.kind]} for copy in copies]
    left_out += [{"path": file.path, "label": file.label, "reason": file.reason} for file in scan.rejects]
    left_out += [{"path": file.path, "label": "", "reason": file.reason} for file in scan.ignored]
    tables = [run_folder.read_rows(config.run_dir, name) for name in (run_folder.PHOTOS, run_folder.DUPLICATES)]
    known = {row["id"] for table in tables for row in table}
    left_out += [{"path": path, "label": label, "reason": TRAINED_ON} for id_, path, label in unique if id_ in known]
    return [photo for photo in unique if photo[0] not in known], left_out


def score(
    config: Config, card: documents.ModelDescription, new: Sequence[tuple[str, str, str]], progress: Progress
) -> tuple[list[tuple[str, str, str]], Answers | None, list[dict[str, str]]]:
    """Return the usable photos of `new`, the served version's answers for them, and a row for each unusable photo."""
    answers, usable, unusable = evaluation.score(
        [(path, photo_id) for photo_id, path, _ in new],
        validate.load_signature(config.run_dir / run_folder.SERVED / str(card["version"])),
        classes=card["classes"],
        max_pixels=config.max_pixels,
        progress=progress,
    )
    rows = [{"path": new[row][1], "label": new[row][2], "reason": reason} for row, reason in unusable]
    return [new[row] for row in usable], answers, rows


def cross_validated(config: Config, card: documents.ModelDescription) -> dict[str, Any] | None:
    """Return evaluation.figures of the version's scenario in cross-validation, with sets and typicality cross-fitted.

    Return None if the run no longer has the predictions that the version was chosen and calibrated by.
    """
    if not (config.run_dir / run_folder.CALIBRATION).exists():
        return None
    calibration = artifacts.read_json(config.run_dir / run_folder.CALIBRATION, documents.Calibration)
    winner = run_folder.read_leaderboard(config.run_dir)["winner"]
    path = config.run_dir / run_folder.predictions(winner["scenario"])
    if not path.exists():
        return None
    chosen_by = (winner["f1"], artifacts.file_digest(path), calibration["coverage"])
    if chosen_by != (card["figures"]["f1"], calibration["predictions"], card.get("settings", {}).get("coverage")):
        return None
    winner_answers = predictions.read(path)
    in_set = prediction_sets.cross_fitted(
        winner_answers.probabilities, winner_answers.actual, winner_answers.fold, calibration["coverage"]
    )
    typical = typicality.cross_fitted(artifacts.read_array(config.run_dir / run_folder.DISTANCES), winner_answers.fold)
    return evaluation.figures(
        winner_answers.actual, Answers(winner_answers.probabilities, winner_answers.classes, in_set, typical)
    )


def write_predictions(path: pathlib.Path, scored: Sequence[tuple[str, str, str]], answers: Answers) -> None:
    """Write a row for each photo: its class, the predicted one, the score of each class, prediction set, typicality."""
    rows = [
        {
            "id": photo_id,
            "path": photo_path,
            "label": label,
            **predictions.answer_columns(answers.scores[row], answers.class_names),
            "prediction_set": ""
            if answers.in_set is None
            else prediction_sets.as_text(answers.in_set[row], answers.class_names),
            "typicality": "" if answers.typicality is None else f"{answers.typicality[row]:.4f}",
        }
        for row, (photo_id, photo_path, label) in enumerate(scored)
    ]
    artifacts.write_csv(path, list(rows[0]), rows)
