"""What audit, leakage check and evaluations left in a run folder, where they are of the photos and folds it holds.

Of audit and leakage check the recipe must be the run's too.
"""

import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

from components.base import artifacts
from components.publish import push
from pipeline import leaderboard_table, run_folder

PAIRS_SHOWN = 24  # of near-duplicates; the audit's lists hold all
DOUBTS_SHOWN = 120
ODD_SHOWN = 48


def compute(run_dir: pathlib.Path, photos_and_folds: str, leaderboard: dict[str, Any] | None) -> dict[str, Any]:
    """The figures of the three, each None (evaluations: none) where it is not there or is of something else.

    Args:
        photos_and_folds: the fingerprint of the photos that the run holds now.
        leaderboard: None before the search is finished.
    """
    there = run_dir / run_folder.EVALUATIONS
    known = [path for path in sorted(there.glob("*.json")) if _is_of(run_dir, path, photos_and_folds)]
    return {
        "audit": audit(run_dir, photos_and_folds, leaderboard) if leaderboard else None,
        "protocol": leakage_check(run_dir, leaderboard) if leaderboard else None,
        "evaluations": [evaluation(path) for path in known],
        "evaluations_of_others": len(list(there.glob("*.json"))) - len(known),
    }


def audit(run_dir: pathlib.Path, photos_and_folds: str, leaderboard: dict[str, Any]) -> dict[str, Any] | None:
    """audit.json, and the first of its pairs across folds or classes, of its doubts and of its odd photos.

    None where it is of other photos or folds, or of another winner, whose answers it doubts labels by.
    """
    found = _read(run_dir / run_folder.AUDIT_SUMMARY)
    if not found or found["photos_and_folds"] != photos_and_folds:
        return None
    same_winner = found["settings"]["scenario"] == leaderboard["winner"]["scenario"]
    if not same_winner or found.get("scenarios") != _settings_of(run_dir, found.get("scenarios", ())):
        return None
    pairs = _pairs_across(artifacts.read_csv(run_dir / run_folder.NEAR_DUPLICATES))
    doubts = _rows(run_dir / run_folder.LABEL_ISSUES, ("id", "label", "suggested"), ("p_label", "p_suggested"))
    return {
        **found,
        "pairs_across": len(pairs),
        "pairs": pairs[:PAIRS_SHOWN],
        "doubts": doubts[:DOUBTS_SHOWN],
        "odd": _rows(run_dir / run_folder.IMAGE_QUALITY, ("id", "kind", "label"), ("measure",))[:ODD_SHOWN],
    }


def leakage_check(run_dir: pathlib.Path, leaderboard: dict[str, Any]) -> dict[str, Any] | None:
    """F1 of each scenario, honest, with the model carried (it leaks) and in the thesis, and how near these tables are.

    The thesis's is None where the study is not the thesis's. None for all where the settings of any scenario are not
    those that the check had.
    """
    found = _read(run_dir / run_folder.LEAKAGE_CHECK)
    if not found or not _has_the_recipe_of(run_dir, leaderboard):
        return None
    honest = {row["scenario"]: row["f1"] for row in leaderboard["scenarios"]}
    thesis = leaderboard_table.thesis_f1(run_dir, leaderboard)
    rows = [
        {
            **{name: row[name] for name in ("scenario", "backbone", "optimizer", "dropout", "leaking")},
            "honest_f1": honest[row["scenario"]],
            "carried_f1": row["f1"],
            "thesis_f1": thesis.get(row["scenario"]),
        }
        for row in found["scenarios"]
    ]
    return {"leaking": True, "scenarios": rows, "compared": found["compared"]}


def evaluation(path: pathlib.Path) -> dict[str, Any]:
    """The evaluation in `path`, under its name and without the paths in it, as a report may be handed on."""
    found = artifacts.read_json(path)
    shown = ("version", "photos", "precision", "recall", "f1", "accuracy", "cross_validated_f1", "missing_classes")
    return {
        "name": path.stem,
        **{name: found[name] for name in (*shown, "classes", "per_class", "confusion_matrix")},
        "left_out": sum(found["left_out"].values()),
    }


def _is_of(run_dir: pathlib.Path, path: pathlib.Path, photos_and_folds: str) -> bool:
    """Whether the evaluation in `path` is of a version that is there, made from the photos that the run holds."""
    found = artifacts.read_json(path)
    model = _read(run_dir / run_folder.SERVED / str(found["version"]) / push.DESCRIPTION)
    of_these = model is not None and model["data"]["photos_and_folds"] == photos_and_folds
    return of_these and bool(found["training_photos_known"])


def _has_the_recipe_of(run_dir: pathlib.Path, leaderboard: dict[str, Any]) -> bool:
    """Whether the leakage check had the settings (photos and folds among them) that frozen scenarios have now."""
    numbers = [str(row["scenario"]) for row in leaderboard["scenarios"] if row["strategy"] == "features"]
    carried = artifacts.read_json(run_dir / run_folder.LEAKAGE_TRIALS / artifacts.SETTINGS)["scenarios"]
    return bool(carried == _settings_of(run_dir, numbers))


def _settings_of(run_dir: pathlib.Path, numbers: Iterable[str]) -> dict[str, Any]:
    """What the trials of these scenarios were made with."""
    return {number: _read(run_dir / run_folder.trial_settings(int(number))) for number in numbers}


def _pairs_across(rows: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
    """The pairs that cross folds or classes: those across classes first, then the most similar."""
    pairs = [
        {
            "ids": [row["first_id"], row["second_id"]],
            "labels": [row["first_label"], row["second_label"]],
            "folds": [int(row["first_fold"]), int(row["second_fold"])],
            "hamming_bits": int(row["hamming_bits"]),
            "cosine": float(row["cosine"]),
        }
        for row in rows
        if row["first_fold"] != row["second_fold"] or row["first_label"] != row["second_label"]
    ]
    return sorted(pairs, key=lambda pair: (pair["labels"][0] == pair["labels"][1], -pair["cosine"]))


def _rows(path: pathlib.Path, words: Sequence[str], numbers: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of a list of the audit's: its columns `words`, and its columns `numbers` as numbers."""
    return [
        {**{name: row[name] for name in words}, **{name: float(row[name]) for name in numbers}}
        for row in artifacts.read_csv(path)
    ]


def _read(path: pathlib.Path) -> dict[str, Any] | None:
    return artifacts.read_json(path) if path.exists() else None
