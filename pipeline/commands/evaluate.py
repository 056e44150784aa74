"""Evaluation of the pushed model on other photos: its scores, its predictions, and the files left out."""

import collections
import dataclasses
import logging
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import rich.box
import rich.console
import rich.table

from components.audit import evaluation
from components.base import artifacts, documents, finding_types, rounding
from components.base.errors import PilahError
from components.data import class_folders, class_names, listing, photo_scan, photo_sources, photos
from components.publish import push, validate
from pipeline import config as config_module
from pipeline import lock, run_folder, runner
from pipeline.config import Config
from pipeline.progress import Progress, reporting
from pipeline.stages import report
from tuner import predictions

log = logging.getLogger("pilah")
LEFT_OUT_COLUMNS = ("path", "label", "reason")
TRAINED_ON = "copy of a photo of the study"
MATRIX_CLASSES = 12  # a larger confusion matrix does not fit on a screen
FIGURES = ("precision", "recall", "f1")


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
        runner.check_outputs(config.run_dir, lambda file: file in (*run_folder.USABLE_PHOTOS, run_folder.DUPLICATES))
        push.check_files(config.run_dir / run_folder.SERVED / str(card["version"]), card)
        path = write(config, card, images, console)
        show(path, console)
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
        scored, scores, unusable = score(config, card, new, progress)
    left_out += unusable
    if not scored:
        raise PilahError(
            f"None of the {len(left_out)} files in {images} is a usable photo outside the study. Choose other photos."
        )
    name = images.stem if images.is_file() else images.resolve().name
    path = config.run_dir / run_folder.EVALUATIONS / f"{name}.json"
    before = artifacts.read_json(path, finding_types.Evaluation)["images"] if path.exists() else ""
    if before not in ("", str(images.resolve())):
        log.warning("%s of %s is replaced: rename a folder to keep both", path.name, before)
    write_predictions(path.with_name(f"{name}-predictions.csv"), scored, scores, card["classes"])
    artifacts.write_csv(path.with_name(f"{name}-left-out.csv"), LEFT_OUT_COLUMNS, left_out)
    usable = run_folder.usable_photos(config.run_dir)
    actual = [card["classes"].index(label) for _, _, label in scored]
    summary = {
        "images": str(images.resolve()),
        "version": card["version"],
        "classes": card["classes"],
        **evaluation.figures(actual, scores.argmax(axis=1).tolist(), card["classes"]),
        "cross_validated_f1": card["figures"]["f1"],
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
) -> tuple[list[tuple[str, str, str]], np.ndarray, list[dict[str, str]]]:
    """Return the usable photos of `new`, the served version's scores of them, and a row for each unusable photo."""
    scores, usable, unusable = evaluation.score(
        [(path, photo_id) for photo_id, path, _ in new],
        validate.load_signature(config.run_dir / run_folder.SERVED / str(card["version"])),
        classes=card["classes"],
        max_pixels=config.max_pixels,
        progress=progress,
    )
    rows = [{"path": new[row][1], "label": new[row][2], "reason": reason} for row, reason in unusable]
    return [new[row] for row in usable], scores, rows


def write_predictions(
    path: pathlib.Path, scored: Sequence[tuple[str, str, str]], scores: np.ndarray, classes: Sequence[str]
) -> None:
    """Write a row for each photo: id, path, label, predicted, and the score of each class."""
    rows = [
        {"id": photo_id, "path": photo_path, "label": label, **predictions.answer_columns(photo_scores, classes)}
        for (photo_id, photo_path, label), photo_scores in zip(scored, scores, strict=True)
    ]
    artifacts.write_csv(path, list(rows[0]), rows)


def show(path: pathlib.Path, console: rich.console.Console) -> None:
    """Print the evaluation in `path`, with a row for each class."""
    results: dict[str, Any] = artifacts.read_json(path)
    in_columns = results["classes"] if len(results["classes"]) <= MATRIX_CLASSES else []
    names = ("photos", "precision", "recall", "F1", *(f"as {name}" for name in in_columns))
    table = rich.table.Table(
        "class",
        *(rich.table.Column(name, justify="right") for name in names),
        title=f"Version {results['version']} on {results['photos']} photos of {results['images']}",
        box=rich.box.SIMPLE_HEAD,
    )
    for row in results["per_class"]:
        counts = results["confusion_matrix"][results["classes"].index(row["class"])]
        figures = (rounding.text(row[name], ".4f") for name in FIGURES)
        table.add_row(row["class"], str(row["photos"]), *figures, *map(str, counts[: len(in_columns)]))
    averages = (rounding.text(results[name], ".4f") for name in FIGURES)
    table.add_row("mean of classes", str(results["photos"]), *averages, style="bold")
    console.print(table)
    console.print(
        f"Accuracy {rounding.text(results['accuracy'], '.4f')}. In cross-validation on the photos of the study, the "
        f"model has macro F1 {rounding.text(results['cross_validated_f1'], '.4f')}.",
        highlight=False,
    )
    lines = [f"{count} left out: {reason}." for reason, count in results["left_out"].items()]
    if missing := results["missing_classes"]:
        lines.append(f"Classes without photos, left out of the means: {class_names.joined(missing)}.")
    if not in_columns:
        lines.append(f"The confusion matrix is in {path}.")
    if not results["training_photos_known"]:
        lines.append(
            "The run's photos have changed since this version was trained: it may have been trained on some of these."
        )
    for line in lines:
        console.print(line, style="yellow", highlight=False)
