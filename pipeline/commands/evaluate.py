"""The pushed model on another folder of photos: its figures there, its answers, and what was left out."""

import collections
import logging
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import rich.box
import rich.console
import rich.table

from components.audit import evaluation
from components.base import artifacts, documents
from components.base.errors import PilahError
from components.data import class_folders, listing, photo_sources, photos
from components.publish import push, validate
from pipeline import config as config_module
from pipeline import progress, run_folder
from pipeline.config import Config
from tuner import predictions

log = logging.getLogger("pilah")
LEFT_OUT_COLUMNS = ("path", "label", "reason")
TRAINED_ON = "copy of a photo of the study"


def run(run_dir: pathlib.Path, images: pathlib.Path, console: rich.console.Console) -> None:
    """Score the newest version on `images` (folder or zip) into RUN/evaluations, and print the figures.

    Writes NAME.json, NAME-predictions.csv and NAME-left-out.csv, NAME being that of `images`; what an earlier
    evaluation of that name left there is replaced.

    Raises:
        PilahError: there is no pushed version, a class is not the model's, or no photo is left to score.
    """
    config = config_module.read(run_dir)
    card = push.served(config.run_dir / run_folder.SERVED)
    if card is None:
        raise PilahError(f"--run-dir must hold a pushed model, and {run_dir} has none. Push one with 'run'.")
    unpacked = artifacts.file_digest(images) if images.is_file() else "given"
    folder = photo_sources.folder_of(images, config.run_dir / run_folder.IMAGES / unpacked)
    scan = class_folders.scan([folder], card["classes"])
    evaluation.check_classes(scan.classes, card["classes"])
    for warning in scan.warnings:
        log.warning(warning)
    with progress.reporting(console, "evaluate") as report:
        others, left_out = new_photos(config, scan)
        scored, scores, unusable = score(config, card, others, report)
    left_out += unusable
    if not scored:
        raise PilahError(
            f"None of the {len(left_out)} files in {images} is usable and not of the study. Give other photos."
        )
    name = images.stem if images.is_file() else images.resolve().name
    out = config.run_dir / run_folder.EVALUATIONS
    _warn_of_replacement(out / f"{name}.json", images)
    write_predictions(out / f"{name}-predictions.csv", scored, scores, card["classes"])
    artifacts.write_csv(out / f"{name}-left-out.csv", LEFT_OUT_COLUMNS, left_out)
    artifacts.write_json(out / f"{name}.json", summary(config, card, images, scored, scores, left_out))
    show(out / f"{name}.json", console)


def _warn_of_replacement(path: pathlib.Path, images: pathlib.Path) -> None:
    if path.exists() and (before := artifacts.read_json(path)["images"]) != str(images.resolve()):
        log.warning("%s of %s is replaced: rename a folder to keep both", path.name, before)


def new_photos(config: Config, scan: class_folders.Scan) -> tuple[list[tuple[str, str, str]], list[dict[str, str]]]:
    """(id, path, label) of the photos that the study has not seen, each once, and a row a file left out."""
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
    config: Config, card: documents.ModelDescription, others: Sequence[tuple[str, str, str]], report: progress.Progress
) -> tuple[list[tuple[str, str, str]], np.ndarray, list[dict[str, str]]]:
    """Those of `others` that are usable, the served version's scores of them, and a row an unusable one."""
    saved_model = config.run_dir / run_folder.SERVED / str(card["version"])
    scores, usable, unusable = evaluation.answer(
        [(path, photo_id) for photo_id, path, _ in others],
        validate.load_signature(saved_model),
        card["classes"],
        config.max_pixels,
        report,
    )
    rows = [{"path": others[row][1], "label": others[row][2], "reason": reason} for row, reason in unusable]
    return [others[row] for row in usable], scores, rows


def write_predictions(
    path: pathlib.Path, scored: Sequence[tuple[str, str, str]], scores: np.ndarray, classes: Sequence[str]
) -> None:
    """A row a photo: id, path, label, predicted, and the score of each class."""
    rows = [
        {
            "id": photo_id,
            "path": where,
            "label": label,
            "predicted": classes[int(row.argmax())],
            **predictions.probability_columns(row, classes),
        }
        for (photo_id, where, label), row in zip(scored, scores, strict=True)
    ]
    artifacts.write_csv(path, list(rows[0]), rows)


def summary(
    config: Config,
    card: documents.ModelDescription,
    images: pathlib.Path,
    scored: Sequence[tuple[str, str, str]],
    scores: np.ndarray,
    left_out: Sequence[dict[str, str]],
) -> dict[str, Any]:
    """NAME.json: which model, on what, its figures there and in the study, and files left out by reason."""
    classes: list[str] = card["classes"]
    usable = run_folder.usable_photos(config.run_dir)
    actual = [classes.index(label) for _, _, label in scored]
    return {
        "images": str(images.resolve()),
        "version": card["version"],
        "classes": classes,
        **evaluation.figures(actual, scores.argmax(axis=1).tolist(), classes),
        "cross_validated_f1": card["figures"]["f1"],
        "left_out": dict(collections.Counter(row["reason"] for row in left_out).most_common()),
        # Was the version trained on the photos that the run holds now? Else its own photos cannot be told apart.
        "training_photos_known": card["data"]["photos_and_folds"] == photos.fingerprint(usable),
    }


def show(path: pathlib.Path, console: rich.console.Console) -> None:
    """Print the evaluation that `path` holds, a line a class."""
    found = artifacts.read_json(path)
    title = f"Version {found['version']} on {found['photos']} photos of {found['images']}"
    shown = rich.table.Table(title=title, box=rich.box.SIMPLE_HEAD)
    shown.add_column("class")
    for name in ("photos", "precision", "recall", "F1", *(f"as {name}" for name in found["classes"])):
        shown.add_column(name, justify="right")
    for row in found["per_class"]:
        counts = found["confusion_matrix"][found["classes"].index(row["class"])]
        figures = [f"{row[name]:.4f}" for name in ("precision", "recall", "f1")]
        shown.add_row(row["class"], str(row["photos"]), *figures, *map(str, counts))
    averages = [f"{found[name]:.4f}" for name in ("precision", "recall", "f1")]
    shown.add_row("mean of classes", str(found["photos"]), *averages, style="bold")
    console.print(shown)
    console.print(
        f"Accuracy {found['accuracy']:.4f}. Cross-validated on its own photos, the model has macro F1 "
        f"{found['cross_validated_f1']:.4f}.",
        highlight=False,
    )
    for reason, count in found["left_out"].items():
        console.print(f"{count} left out: {reason}.", style="yellow", highlight=False)
    if found["missing_classes"]:
        console.print(f"Not there, and not in the means: {', '.join(found['missing_classes'])}.", style="yellow")
    if not found["training_photos_known"]:
        console.print(
            "The version was trained on other photos than the run holds now: copies of them may be among these.",
            style="yellow",
        )
