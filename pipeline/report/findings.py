"""Results of the audit, the leakage check and the evaluations that still apply to the run.

A result applies until photos or folds change. For the audit and the leakage check, the settings of the scenarios must
also be unchanged.
"""

import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

from components.base import artifacts, documents, evaluations, finding_types
from components.publish import push
from pipeline import run_folder
from pipeline import thesis as thesis_module

PAIRS_SHOWN = 24  # near-duplicates on the page; the audit's CSV files list all
LABEL_ISSUES_SHOWN = 120
QUALITY_ISSUES_SHOWN = 48


def compute(run_dir: pathlib.Path, photos_and_folds: str, leaderboard: documents.Leaderboard | None) -> dict[str, Any]:
    """Return the figures of all three: None, or an empty list of evaluations, if no result applies.

    Args:
        photos_and_folds: fingerprint of the run's photos and folds.
        leaderboard: None until the search is finished.
    """
    folder = run_dir / run_folder.EVALUATIONS
    current = [path for path in sorted(folder.glob("*.json")) if _applies(run_dir, path, photos_and_folds)]
    return {
        "audit": audit(run_dir, photos_and_folds, leaderboard) if leaderboard else None,
        "leakage_check": leakage_check(run_dir, leaderboard) if leaderboard else None,
        "evaluations": [evaluation(path) for path in current],
        "evaluations_of_others": len(list(folder.glob("*.json"))) - len(current),
    }


def audit(run_dir: pathlib.Path, photos_and_folds: str, leaderboard: documents.Leaderboard) -> dict[str, Any] | None:
    """Return audit.json with the first pairs across folds or classes, label issues and image quality issues.

    Return None if photos, folds or the winner, whose predictions show the label issues, have changed since the audit,
    or if it was made by an earlier version, which did not compute the standard error of the comparison of folds.
    """
    path = run_dir / run_folder.AUDIT_SUMMARY
    results = _read(path, finding_types.PastAudit)
    if not results or results["photos_and_folds"] != photos_and_folds or "fold_draws" not in results["settings"]:
        return None
    artifacts.read_json(path, finding_types.Audit)
    same_winner = results["settings"]["scenario"] == leaderboard["winner"]["scenario"]
    if not same_winner or results.get("scenarios") != _settings_of(run_dir, results.get("scenarios", ())):
        return None
    with artifacts.reading_rows(run_dir / run_folder.NEAR_DUPLICATES):
        pairs = _pairs_across(artifacts.read_csv(run_dir / run_folder.NEAR_DUPLICATES))
    label_issues = _rows(run_dir / run_folder.LABEL_ISSUES, ("id", "label", "suggested"), ("p_label", "p_suggested"))
    return {
        **results,
        "pairs_across": len(pairs),
        "pairs": pairs[:PAIRS_SHOWN],
        "doubts": label_issues[:LABEL_ISSUES_SHOWN],
        "odd": _rows(run_dir / run_folder.IMAGE_QUALITY, ("id", "kind", "label"), ("measure",))[:QUALITY_ISSUES_SHOWN],
    }


def leakage_check(run_dir: pathlib.Path, leaderboard: documents.Leaderboard) -> dict[str, Any] | None:
    """Return F1 of each scenario with new models, with a carried model (leaking) and in the thesis, and their gaps.

    The thesis's F1 is None unless this is the thesis's study. Return None if the settings of a scenario have changed
    since the check.
    """
    results = _read(run_dir / run_folder.LEAKAGE_CHECK, finding_types.LeakageCheck)
    if not results or not _has_same_settings(run_dir, leaderboard):
        return None
    honest_f1 = {row["scenario"]: row["f1"] for row in leaderboard["scenarios"]}
    thesis = thesis_module.f1_of_scenarios(run_dir, leaderboard)
    thesis_folds = thesis_module.fold_f1_of_scenarios(run_dir, leaderboard)
    rows = [
        {
            **{name: row[name] for name in ("scenario", "backbone", "optimizer", "dropout", "leaking")},
            "honest_f1": honest_f1[row["scenario"]],
            "carried_f1": row["f1"],
            "carried_fold_f1": row["fold_f1"],
            "thesis_fold_f1": thesis_folds.get(row["scenario"]),
            "thesis_f1": thesis.get(row["scenario"]),
        }
        for row in results["scenarios"]
    ]
    return {"leaking": True, "scenarios": rows} | {key: results[key] for key in ("compared", "mean_of_folds", "folds")}


def evaluation(path: pathlib.Path) -> dict[str, Any]:
    """Return the evaluation in `path` under the name of its file, without paths, because reports are shared.

    Evaluations by earlier versions have no stated coverage, and fewer scores.
    """
    results = artifacts.read_json(path, finding_types.Evaluation)
    names = ("version", "photos", "precision", "recall", "f1", "accuracy", "cross_validated_f1", "missing_classes")
    return {
        "name": path.stem,
        **{name: results[name] for name in (*names, "classes", "per_class", "confusion_matrix")},
        "stated_coverage": results.get("stated_coverage"),
        "compared": evaluations.compare(results),
        "compared_classes": evaluations.compare_classes(results),
        "left_out": sum(results["left_out"].values()),
    }


def _applies(run_dir: pathlib.Path, path: pathlib.Path, photos_and_folds: str) -> bool:
    """Return whether the evaluation in `path` is of a version that still exists and was trained on the run's photos."""
    results = artifacts.read_json(path, finding_types.Evaluation)
    version_dir = run_dir / run_folder.SERVED / str(results["version"])
    model = push.read(version_dir, documents.ServedModel) if (version_dir / push.DESCRIPTION).exists() else None
    same_photos = model is not None and model["data"]["photos_and_folds"] == photos_and_folds
    return same_photos and bool(results["training_photos_known"])


def _has_same_settings(run_dir: pathlib.Path, leaderboard: documents.Leaderboard) -> bool:
    """Return whether the frozen scenarios still have the settings, photos and folds of the leakage check."""
    numbers = [str(row["scenario"]) for row in leaderboard["scenarios"] if row["strategy"] == "features"]
    path = run_dir / run_folder.LEAKAGE_TRIALS / artifacts.SETTINGS
    checked_settings = artifacts.read_json(path, finding_types.LeakageSettings)["scenarios"]
    return bool(checked_settings == _settings_of(run_dir, numbers))


def _settings_of(run_dir: pathlib.Path, numbers: Iterable[str]) -> dict[str, Any]:
    """Return scenario -> settings of its trial."""
    return {number: _read(run_dir / run_folder.trial_settings(int(number))) for number in numbers}


def _pairs_across(rows: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
    """Return the pairs across folds or classes: those across classes first, then by similarity, highest first.

    Folds are numbered from 1, as in the file.
    """
    pairs = [
        {
            "ids": [row["first_id"], row["second_id"]],
            "labels": [row["first_label"], row["second_label"]],
            "folds": [int(row[name]) for name in ("first_fold", "second_fold")],
            "hamming_bits": int(row["hamming_bits"]),
            "cosine": float(row["cosine"]),
        }
        for row in rows
        if row["first_fold"] != row["second_fold"] or row["first_label"] != row["second_label"]
    ]
    return sorted(pairs, key=lambda pair: (pair["labels"][0] == pair["labels"][1], -pair["cosine"]))


def _rows(path: pathlib.Path, columns: Sequence[str], number_columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of an audit CSV file: text of `columns` and numbers of `number_columns`."""
    with artifacts.reading_rows(path):
        return [
            {**{name: row[name] for name in columns}, **{name: float(row[name]) for name in number_columns}}
            for row in artifacts.read_csv(path)
        ]


def _read(path: pathlib.Path, kind: Any = Any) -> dict[str, Any] | None:
    return artifacts.read_json(path, kind) if path.exists() else None
