"""The audit of a finished study: what it looks at, where it writes what it found, and its summary."""

import collections
import dataclasses
import functools
import importlib.metadata
import logging
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import rich.box
import rich.console
import rich.table

from components.audit import image_quality, label_issues, tables
from components.base import artifacts
from components.base.errors import PilahError
from components.data import grouped_folds, near_duplicates, photos
from components.models import features
from pipeline import config as config_module
from pipeline import lock, progress, recipe, run_folder, runner
from pipeline.config import STAGES, Config
from tuner import predictions, resplit

log = logging.getLogger("pilah")
PACKAGES = ("imagehash", "cleanlab")
FOLD_DRAWS = 3  # seeds with which the folds are drawn anew: how far F1 moves by the split alone


def run(run_dir: pathlib.Path, console: rich.console.Console) -> None:
    """Write RUN/audit/*.csv and audit.json, and print what they hold.

    Raises:
        PilahError: the study is not finished.
    """
    config = finished(run_dir)
    with lock.locked(config.run_dir), progress.reporting(console, "audit") as report:
        pairs = audit_near_duplicates(config, report)
        doubts = audit_labels(config)
        odd = audit_pictures(config, report)
        photo_list = run_folder.usable_photos(config.run_dir)
        rows = tables.near_duplicate_rows(pairs, photo_list)
        artifacts.write_csv(config.run_dir / run_folder.NEAR_DUPLICATES, tables.NEAR_DUPLICATE_COLUMNS, rows)
        artifacts.write_csv(config.run_dir / run_folder.LABEL_ISSUES, tables.LABEL_DOUBT_COLUMNS, doubts)
        artifacts.write_csv(config.run_dir / run_folder.IMAGE_QUALITY, tables.ODD_PHOTO_COLUMNS, odd)
        found = {
            "photos": len(photo_list),
            "photos_and_folds": photos.fingerprint(photo_list),
            "exact_duplicates": exact_duplicate_counts(config),
            "near_duplicates": tables.near_duplicate_counts(rows),
            "label_doubts": label_doubt_counts(doubts),
            "odd_photos": {kind: sum(row["kind"] == kind for row in odd) for kind in image_quality.THRESHOLDS},
            "folds": compare_folds(config, pairs.group, report),
            "settings": settings(config, pairs.min_cosine),
            "scenarios": trial_settings(config),
        }
        artifacts.write_json(config.run_dir / run_folder.AUDIT_SUMMARY, found)
    show(config.run_dir, console)


def finished(run_dir: pathlib.Path) -> Config:
    """The configuration of the run in `run_dir`, less what it refined: an audit trains heads alone.

    Raises:
        PilahError: the run has no leaderboard of its settings yet, or none of frozen backbones.
    """
    config = config_module.read(run_dir)
    if left := [name for name in runner.left(config) if STAGES.index(name) < STAGES.index("model")]:
        raise PilahError(
            f"An audit needs a finished search, and {run_dir} has still to do {', '.join(left)}. Let 'run' finish."
        )
    if config.strategy == "finetune":
        raise PilahError(
            f"An audit needs features of frozen backbones, and {run_dir} has --strategy finetune. Audit a run of the "
            "same photos with --strategy features."
        )
    return dataclasses.replace(config, refine=0)


def audit_near_duplicates(config: Config, report: progress.Progress) -> near_duplicates.NearDuplicates:
    """By the hash of every photo's file, and by the winner's backbone's features of it as it is."""
    study = recipe.study(config)
    hashed = functools.partial(report, what="hashes")
    signs = near_duplicates.perceptual_hashes(study.photo_list, config.max_pixels, hashed)
    clean = np.load(features.view_path(study.features_dir / recipe.winner(config).backbone, 0))
    return near_duplicates.find(signs, clean, study.labels)


def audit_labels(config: Config) -> list[dict[str, Any]]:
    """Rows of label_doubts.csv, by the winner's out-of-fold probabilities."""
    study = recipe.study(config)
    path = config.run_dir / run_folder.predictions(recipe.winner(config).number)
    predicted = predictions.read(path)
    if predicted.ids != [photo.id for photo in study.photo_list] or predicted.classes != study.classes:
        raise RuntimeError(f"{path} has predictions of other photos or classes than the run.")
    probabilities = predicted.probabilities
    doubted = label_issues.likely_mislabelled(study.labels, probabilities)
    return tables.label_doubt_rows(doubted, probabilities, study.photo_list, study.classes)


def audit_pictures(config: Config, report: progress.Progress) -> list[dict[str, Any]]:
    """Rows of odd_photos.csv."""
    photo_list = run_folder.usable_photos(config.run_dir)
    findings = image_quality.find(photo_list, config.max_pixels, functools.partial(report, what="pictures"))
    return tables.odd_photo_rows(findings, photo_list)


def compare_folds(config: Config, groups: np.ndarray, report: progress.Progress) -> dict[str, Any] | None:
    """Macro F1 with folds redrawn plainly, and redrawn with near-duplicates kept together.

    Of the winner, or where that was refined of the scenario that it was refined from, which takes minutes, not hours.
    None where the groups cannot be dealt so that every fold tests every class.
    """
    study, winner = recipe.study(config), recipe.frozen_winner(config)
    try:
        draws = resplit.plain_and_grouped(
            study,
            winner,
            groups,
            range(config.seed, config.seed + FOLD_DRAWS),
            functools.partial(report, what="folds"),
        )
    except grouped_folds.UngroupableError as error:
        log.warning("F1 with near-duplicates kept in one fold cannot be measured: %s", error)
        return None
    plain, grouped = (np.array([draw[name] for draw in draws]) for name in ("plain", "grouped"))
    return {
        "scenario": winner.number,
        "draws": draws,
        "plain_mean": float(plain.mean()),
        "plain_spread": float(np.ptp(plain)),
        "grouped_mean": float(grouped.mean()),
        "grouped_spread": float(np.ptp(grouped)),
        "difference": float((grouped - plain).mean()),
    }


def exact_duplicate_counts(config: Config) -> dict[str, int]:
    """What the photos stage left out already: exact copies, and files whose bytes stand under several classes."""
    kinds = collections.Counter(row["kind"] for row in run_folder.read_rows(config.run_dir, run_folder.DUPLICATES))
    return {"copies": kinds["duplicate"], "conflicts": kinds["conflict"]}


def label_doubt_counts(doubts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How many in all, and of each label and suggestion, most first."""
    counts = collections.Counter((row["label"], row["suggested"]) for row in doubts)
    pairs = [{"label": label, "suggested": other, "photos": count} for (label, other), count in counts.most_common()]
    return {"photos": len(doubts), "pairs": pairs}


def settings(config: Config, min_cosine: float) -> dict[str, Any]:
    """What the counts depend on, beside the photos."""
    winner = recipe.winner(config)
    return {
        "scenario": winner.number,
        "backbone": winner.backbone,
        "max_hamming_bits": near_duplicates.MAX_HAMMING_BITS,
        "hash_bits": near_duplicates.HASH_BITS,
        "min_cosine": min_cosine,
        "odd_photos": image_quality.THRESHOLDS,
        "group_folds": config.group_folds,
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def trial_settings(config: Config) -> dict[str, Any]:
    """Of the scenarios whose answers and heads the audit took, by number: it is of no others."""
    numbers = {recipe.winner(config).number, recipe.frozen_winner(config).number}
    return {str(n): artifacts.read_json(config.run_dir / run_folder.trial_settings(n)) for n in sorted(numbers)}


def show(run_dir: pathlib.Path, console: rich.console.Console) -> None:
    """Print the counts of audit.json, and where the lists are."""
    found = artifacts.read_json(run_dir / run_folder.AUDIT_SUMMARY)
    near, compared, made_with = found["near_duplicates"], found["folds"], found["settings"]
    shown = rich.table.Table(title=f"Audit of {found['photos']} photos", box=rich.box.SIMPLE_HEAD)
    for name in ("found", "photos", "of which"):
        shown.add_column(name, justify="right" if name == "photos" else "left")
    exact = found["exact_duplicates"]
    shown.add_row("exact copies", str(exact["copies"]), "left out before the study")
    shown.add_row("under several classes", str(exact["conflicts"]), "left out before the study")
    shown.add_row(
        "near-duplicates",
        str(near["photos_in_groups"]),
        f"{near['pairs']} pairs in {near['groups']} groups; {near['pairs_across_folds']} pairs cross folds, "
        f"{near['pairs_across_classes']} cross classes",
    )
    worst = ", ".join(f"{p['photos']} {p['label']} -> {p['suggested']}" for p in found["label_doubts"]["pairs"][:3])
    shown.add_row("doubtful labels", str(found["label_doubts"]["photos"]), worst)
    for kind, count in found["odd_photos"].items():
        shown.add_row(kind.replace("_", " "), str(count), "")
    console.print(shown)
    if compared:
        console.print(
            f"Macro F1 of scenario {compared['scenario']} with folds drawn {len(compared['draws'])} times: "
            f"{compared['plain_mean']:.4f} plain (spread {compared['plain_spread']:.4f}), "
            f"{compared['grouped_mean']:.4f} with near-duplicates kept together (spread "
            f"{compared['grouped_spread']:.4f}), {compared['difference']:+.4f}.",
            highlight=False,
        )
    console.print(
        f"Near-duplicates differ in at most {made_with['max_hamming_bits']} of {made_with['hash_bits']} bits of the "
        f"hash, or have features of a cosine of at least {made_with['min_cosine']:.3f} ({made_with['backbone']}). "
        f"The lists are in {run_dir / run_folder.AUDIT}.",
        highlight=False,
        soft_wrap=True,
    )
