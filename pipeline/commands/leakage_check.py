"""The protocol check: the honest board, the scenarios with one model carried through the folds, and the thesis's."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import rich.box
import rich.console
import rich.table
from scipy.stats import spearmanr

from components.base import artifacts, documents
from pipeline import lock, progress, recipe, run_folder
from pipeline import thesis as thesis_module
from pipeline.commands import audit
from tuner import leakage_check

WARNING = (
    "LEAKING: one model carried through the folds and never reset, so that it is tested on photos it has trained on. "
    "These figures show what that mistake does. They are no result."
)


def run(run_dir: pathlib.Path, console: rich.console.Console) -> None:
    """Write RUN/audit/protocol.json, a file a scenario beside it, and print the three tables as one.

    Raises:
        PilahError: the study is not finished.
    """
    config = audit.finished(run_dir)
    with lock.locked(config.run_dir), progress.reporting(console, "protocol (leaking)") as report:
        path, trials_dir = config.run_dir / run_folder.LEAKAGE_CHECK, config.run_dir / run_folder.LEAKAGE_TRIALS
        path.unlink(missing_ok=True)  # where it exists, it is of the settings in the folder beside it
        rows = leakage_check.check(recipe.study(config), recipe.scenarios(config), trials_dir, report)
        honest = run_folder.read_leaderboard(config.run_dir)
        thesis = thesis_module.f1_of_scenarios(config.run_dir, honest)
        found = {"leaking": True, "warning": WARNING, "scenarios": rows, "compared": compare(honest, rows, thesis)}
        artifacts.write_json(path, found)
    show(config.run_dir, console)


def compare(
    honest: documents.Leaderboard, carried: Sequence[dict[str, Any]], thesis: dict[int, float]
) -> dict[str, dict[str, float | None]]:
    """How near the tables are, by F1; the thesis's only where `thesis` (scenario -> F1) has any."""
    scores = {
        "honest": [row["f1"] for row in honest["scenarios"][: len(carried)]],  # those refined come after these
        "carried": [row["f1"] for row in carried],
        "thesis": [thesis[row["scenario"]] for row in carried] if thesis else [],
    }
    pairs = [("honest", "carried"), *([("honest", "thesis"), ("carried", "thesis")] if thesis else [])]
    return {f"{one}_and_{other}": distance(scores[one], scores[other]) for one, other in pairs}


def distance(first: Sequence[float], second: Sequence[float]) -> dict[str, float | None]:
    """Mean difference (second - first), mean absolute difference, and Spearman's rank correlation.

    The last is None where ranks mean nothing: a single scenario, or all alike.
    """
    differences = np.subtract(second, first)
    ranked = min(len(set(first)), len(set(second))) > 1
    return {
        "mean_difference": float(differences.mean()),
        "mean_absolute_difference": float(np.abs(differences).mean()),
        "rank_correlation": float(spearmanr(first, second).statistic) if ranked else None,
    }


def show(run_dir: pathlib.Path, console: rich.console.Console) -> None:
    """Print the F1 of every scenario three times, and how near the tables are."""
    found = artifacts.read_json(run_dir / run_folder.LEAKAGE_CHECK)
    honest = run_folder.read_leaderboard(run_dir)
    thesis = thesis_module.f1_of_scenarios(run_dir, honest)
    shown = rich.table.Table(title="Protocol check", box=rich.box.SIMPLE_HEAD)
    for name in ("scenario", "backbone", "optimizer", "dropout"):
        shown.add_column(name, justify="left" if name in ("backbone", "optimizer") else "right")
    for name in ("honest F1", "carried F1 (LEAKING)", *(["thesis F1"] if thesis else [])):
        shown.add_column(name, justify="right")
    frozen = honest["scenarios"][: len(found["scenarios"])]  # those refined come after these
    for row, carried in zip(frozen, found["scenarios"], strict=True):
        figures = [row["f1"], carried["f1"], *([thesis[row["scenario"]]] if thesis else [])]
        settings = (str(row["scenario"]), row["backbone"], row["optimizer"], str(row["dropout"]))
        shown.add_row(*settings, *(f"{figure:.4f}" for figure in figures))
    console.print(shown)
    for name, value in found["compared"].items():
        rank = "none" if value["rank_correlation"] is None else f"{value['rank_correlation']:.3f}"
        console.print(
            f"{name.replace('_', ' ')}: mean difference {value['mean_difference']:+.4f}, mean absolute difference "
            f"{value['mean_absolute_difference']:.4f}, rank correlation {rank}",
            highlight=False,
        )
    console.print(found["warning"], style="bold yellow", soft_wrap=True, highlight=False)
