"""The audit of a finished study: near-duplicates, label issues, image quality, and a summary of them."""

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
import scipy.stats

from components.audit import image_quality, label_issues, tables
from components.base import artifacts, rounding, seeds
from components.base.errors import PilahError
from components.data import grouped_folds, near_duplicates, photos
from components.models import features
from pipeline import cluster, lock, recipe, run_folder, runner
from pipeline import config as config_module
from pipeline.config import STAGES, Config
from pipeline.progress import Progress, reporting
from pipeline.stages import report
from tuner import predictions, resplit
from tuner.study import Study

log = logging.getLogger("pilah")
PACKAGES = ("imagehash", "cleanlab")
SIGNIFICANCE = 0.05
FOLD_DRAWS = 10  # number of new splits into folds, over which the effect of near-duplicates is averaged
MOST_SEEDS = 5 * FOLD_DRAWS  # tried, because some splits cannot keep near-duplicates together


def run(run_dir: pathlib.Path, console: rich.console.Console, cluster_address: str | None = None) -> None:
    """Write RUN/audit/*.csv and audit.json, print a summary, and write the report again.

    Args:
        cluster_address: address of a Dask scheduler whose workers train; None trains here.

    Raises:
        PilahError: the study is not finished, or the cluster cannot be used.
    """
    config = finished(run_dir, cluster_address)
    with lock.locked(config.run_dir):
        cluster.check(config, console)
        with reporting(console, "audit") as progress:
            write(config, progress)
        show(config.run_dir, console)
        report.refresh(config.run_dir, console)


def write(config: Config, progress: Progress) -> None:
    """Write RUN/audit/*.csv and audit.json."""
    study = recipe.study(config)
    near = find_near_duplicates(config, study, progress)
    near_rows = tables.near_duplicate_rows(near, study.photo_list)
    issue_rows = find_label_issues(config, study)
    poor = image_quality.find(study.photo_list, config.max_pixels, functools.partial(progress, what="pictures"))
    quality_rows = tables.image_quality_rows(poor, study.photo_list)
    for name, columns, rows in (
        (run_folder.NEAR_DUPLICATES, tables.NEAR_DUPLICATE_COLUMNS, near_rows),
        (run_folder.LABEL_ISSUES, tables.LABEL_ISSUE_COLUMNS, issue_rows),
        (run_folder.IMAGE_QUALITY, tables.IMAGE_QUALITY_COLUMNS, quality_rows),
    ):
        artifacts.write_csv(config.run_dir / name, columns, rows)
    kinds = run_folder.count_duplicates(config.run_dir)
    summary = {
        "photos": len(study.photo_list),
        "photos_and_folds": photos.fingerprint(study.photo_list),
        "exact_duplicates": {"copies": kinds["duplicate"], "conflicts": kinds["conflict"]},
        "near_duplicates": tables.near_duplicate_counts(near_rows),
        "label_doubts": count_label_issues(issue_rows),
        "odd_photos": {kind: sum(row["kind"] == kind for row in quality_rows) for kind in image_quality.THRESHOLDS},
        "folds": compare_folds(config, study, near.group, progress) if near_rows else None,
        "settings": settings(config, near.min_cosine),
        "scenarios": {
            str(number): artifacts.read_json(config.run_dir / run_folder.trial_settings(number))
            for number in sorted({recipe.winner(config).number, recipe.frozen_winner(config).number})
        },
    }
    artifacts.write_json(config.run_dir / run_folder.AUDIT_SUMMARY, summary)


def finished(run_dir: pathlib.Path, cluster_address: str | None = None) -> Config:
    """Return the configuration of the run in `run_dir`, without refined scenarios, as an audit trains only heads.

    Raises:
        PilahError: the run has no leaderboard with its current settings, or none of frozen backbones, or a file of it
            has changed.
    """
    config = config_module.read(run_dir)
    if left := [name for name in runner.left(config) if STAGES.index(name) < STAGES.index("model")]:
        raise PilahError(
            f"An audit needs a finished search, but {run_dir} lacks the stages {', '.join(left)}. Finish 'run' first."
        )
    if config.strategy == "finetune":
        raise PilahError(
            f"An audit needs features of frozen backbones, and {run_dir} has --strategy finetune. Audit a run of the "
            "same photos with --strategy features."
        )
    runner.check_outputs(run_dir, lambda file: not file.startswith(run_folder.DATASET) or file == run_folder.REJECTS)
    return dataclasses.replace(config, refine=0, cluster=cluster_address)


def find_near_duplicates(config: Config, study: Study, progress: Progress) -> near_duplicates.NearDuplicates:
    """Find near-duplicates by the perceptual hashes of the photos, and by the features of the winner's backbone."""
    hashes = near_duplicates.perceptual_hashes(
        study.photo_list, config.max_pixels, functools.partial(progress, what="hashes")
    )
    clean = artifacts.read_array(features.view_path(study.features_dir / recipe.winner(config).backbone, 0))
    return near_duplicates.find(hashes, clean, study.labels)


def find_label_issues(config: Config, study: Study) -> list[dict[str, Any]]:
    """Return rows of label_doubts.csv, from the winner's out-of-fold probabilities."""
    path = config.run_dir / run_folder.predictions(recipe.winner(config).number)
    answers = predictions.read(path)
    if answers.ids != [photo.id for photo in study.photo_list] or answers.classes != study.classes:
        raise RuntimeError(f"{path} has predictions of other photos or classes than the run.")
    mislabelled = label_issues.likely_mislabelled(study.labels, answers.probabilities)
    return tables.label_issue_rows(mislabelled, answers.probabilities, study.photo_list, study.classes)


def compare_folds(config: Config, study: Study, groups: np.ndarray, progress: Progress) -> dict[str, Any] | None:
    """Return the macro F1 with new stratified folds, with near-duplicates in them moved together, and the difference.

    The scenario is the winner, or the one of the search that the winner was refined from, because fine-tuning again
    would take hours. None if keeping the groups together would leave a fold without some class.

    The p-value is that of a paired t test. It accounts for the choice of the split, but not for that of the photos.
    """
    scenario = recipe.frozen_winner(config)
    # not the seed of the run, by whose split the winner was chosen
    split_seeds = [seeds.derive(config.seed, seeds.AUDIT_SPLIT, number) for number in range(MOST_SEEDS)]
    try:
        with cluster.executor(config, progress) as (executor, progress_with_state):
            draws = resplit.plain_and_grouped(
                study,
                scenario,
                groups,
                seeds=split_seeds,
                draws=FOLD_DRAWS,
                progress=functools.partial(progress_with_state, what="folds"),
                executor=executor,
            )
    except grouped_folds.UngroupableError as error:
        log.warning("F1 with near-duplicates kept in one fold cannot be measured: %s", error)
        return None
    plain, grouped, differences = ([draw[name] for draw in draws] for name in ("plain", "grouped", "difference"))
    return {
        "scenario": scenario.number,
        "draws": draws,
        "plain_mean": float(np.mean(plain)),
        "grouped_mean": float(np.mean(grouped)),
        "difference": float(np.mean(differences)),
        "standard_error": float(scipy.stats.sem(differences)),
        "p": float(scipy.stats.ttest_1samp(differences, 0).pvalue) if any(differences) else 1.0,
    }


def count_label_issues(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Count the rows of label_doubts.csv, in all and for each pair of label and suggestion, largest first."""
    counts = collections.Counter((row["label"], row["suggested"]) for row in rows)
    pairs = [{"label": label, "suggested": other, "photos": count} for (label, other), count in counts.most_common()]
    return {"photos": len(rows), "pairs": pairs}


def settings(config: Config, min_cosine: float) -> dict[str, Any]:
    """Return the settings, besides the photos, that the counts depend on."""
    winner = recipe.winner(config)
    return {
        "scenario": winner.number,
        "backbone": winner.backbone,
        "max_hamming_bits": near_duplicates.MAX_HAMMING_BITS,
        "hash_bits": near_duplicates.HASH_BITS,
        "min_cosine": min_cosine,
        "odd_photos": image_quality.THRESHOLDS,
        "group_folds": config.group_folds,
        "fold_draws": FOLD_DRAWS,
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def show(run_dir: pathlib.Path, console: rich.console.Console) -> None:
    """Print the counts of audit.json, and where the lists are."""
    summary = artifacts.read_json(run_dir / run_folder.AUDIT_SUMMARY)
    exact, near, issues = (summary[name] for name in ("exact_duplicates", "near_duplicates", "label_doubts"))
    across = f"{near['pairs_across_folds']} pairs cross folds, {near['pairs_across_classes']} cross classes"
    worst = ", ".join(f"{pair['photos']} {pair['label']} -> {pair['suggested']}" for pair in issues["pairs"][:3])
    table = rich.table.Table(
        "finding",
        rich.table.Column("photos", justify="right"),
        "details",
        title=f"Audit of {summary['photos']} photos",
        box=rich.box.SIMPLE_HEAD,
    )
    for finding, count, details in (
        ("exact copies", exact["copies"], "left out of the study"),
        ("identical files with different labels", exact["conflicts"], "left out of the study"),
        ("near-duplicates", near["photos_in_groups"], f"{near['pairs']} pairs in {near['groups']} groups; {across}"),
        ("label issues", issues["photos"], worst),
        *((kind.replace("_", " "), count, "") for kind, count in summary["odd_photos"].items()),
    ):
        table.add_row(finding, str(count), details)
    console.print(table)
    if folds := summary["folds"]:
        more = "more" if folds["p"] < SIGNIFICANCE else "no more"
        console.print(
            f"Mean macro F1 of scenario {folds['scenario']} over {len(folds['draws'])} other splits into folds: "
            f"{rounding.text(folds['plain_mean'], '.4f')} stratified, "
            f"{rounding.text(folds['grouped_mean'], '.4f')} with near-duplicates kept together. "
            f"Difference {folds['difference']:+.4f}, standard error {rounding.text(folds['standard_error'], '.4f')}: "
            f"{more} than the choice of the split explains (paired t test, p {folds['p']:.3f}).",
            highlight=False,
        )
    elif not near["pairs"]:
        console.print("There are no near-duplicates to keep in one fold.", highlight=False)
    used = summary["settings"]
    console.print(
        f"Near-duplicates differ in at most {used['max_hamming_bits']} of {used['hash_bits']} bits of the hash, or "
        f"their features have a cosine of at least {used['min_cosine']:.3f} ({used['backbone']}). The lists are in "
        f"{run_dir / run_folder.AUDIT}.",
        highlight=False,
        soft_wrap=True,
    )
