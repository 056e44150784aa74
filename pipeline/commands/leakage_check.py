"""The leakage check: the honest leaderboard, the one of a model carried through the folds, and the thesis's F1."""

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
    "LEAKING: one model is trained through all folds without a reset, so that it is tested on photos that it was "
    "trained on. These figures show what that mistake does. They are no result."
)


def run(run_dir: pathlib.Path, console: rich.console.Console) -> None:
    """Write RUN/audit/protocol.json and a file for each scenario beside it, and print the tables as one.

    Raises:
        PilahError: the study is not finished.
    """
    config = audit.finished(run_dir)
    with lock.locked(config.run_dir), progress.reporting(console, "leakage check") as update_progress:
        path, trials_dir = config.run_dir / run_folder.LEAKAGE_CHECK, config.run_dir / run_folder.LEAKAGE_TRIALS
        path.unlink(missing_ok=True)  # it must never have other settings than the folder beside it
        rows = leakage_check.check(recipe.study(config), recipe.scenarios(config), trials_dir, update_progress)
        honest = run_folder.read_leaderboard(config.run_dir)
        compared = compare(honest, rows, thesis_module.f1_of_scenarios(config.run_dir, honest))
        artifacts.write_json(path, {"leaking": True, "warning": WARNING, "scenarios": rows, "compared": compared})
    show(config.run_dir, console)


def compare(
    honest: documents.Leaderboard, carried: Sequence[dict[str, Any]], thesis: dict[int, float]
) -> dict[str, dict[str, float | None]]:
    """Return the distances of the tables by F1; from the thesis only if `thesis` (scenario -> F1) is not empty."""
    scores = {
        "honest": [row["f1"] for row in honest["scenarios"][: len(carried)]],  # the refined ones are last
        "carried": [row["f1"] for row in carried],
        "thesis": [thesis[row["scenario"]] for row in carried] if thesis else [],
    }
    pairs = [("honest", "carried"), *([("honest", "thesis"), ("carried", "thesis")] if thesis else [])]
    return {f"{first}_and_{second}": distance(scores[first], scores[second]) for first, second in pairs}


def distance(first: Sequence[float], second: Sequence[float]) -> dict[str, float | None]:
    """Return mean difference (second - first), mean absolute difference, and Spearman's rank correlation.

    The last is None if the ranks mean nothing: a single scenario, or all scores equal.
    """
    differences = np.subtract(second, first)
    ranked = min(len(set(first)), len(set(second))) > 1
    return {
        "mean_difference": float(differences.mean()),
        "mean_absolute_difference": float(np.abs(differences).mean()),
        "rank_correlation": float(spearmanr(first, second).statistic) if ranked else None,
    }


def show(run_dir: pathlib.Path, console: rich.console.Console) -> None:
    """Print the F1 of every scenario in each table, and the distances of the tables."""
    results = artifacts.read_json(run_dir / run_folder.LEAKAGE_CHECK)
    honest = run_folder.read_leaderboard(run_dir)
    thesis = thesis_module.f1_of_scenarios(run_dir, honest)
    names = ("scenario", "backbone", "optimizer", "dropout", "honest F1", "carried F1 (LEAKING)")
    table = rich.table.Table(title="Leakage check", box=rich.box.SIMPLE_HEAD)
    for name in (*names, "thesis F1") if thesis else names:
        table.add_column(name, justify="left" if name in ("backbone", "optimizer") else "right")
    searched = honest["scenarios"][: len(results["scenarios"])]  # the refined ones are last
    for row, carried in zip(searched, results["scenarios"], strict=True):
        figures = [row["f1"], carried["f1"], *([thesis[row["scenario"]]] if thesis else [])]
        settings = (str(row["scenario"]), row["backbone"], row["optimizer"], str(row["dropout"]))
        table.add_row(*settings, *(f"{figure:.4f}" for figure in figures))
    console.print(table)
    for name, value in results["compared"].items():
        rank = "none" if value["rank_correlation"] is None else f"{value['rank_correlation']:.3f}"
        console.print(
            f"{name.replace('_', ' ')}: mean difference {value['mean_difference']:+.4f}, mean absolute difference "
            f"{value['mean_absolute_difference']:.4f}, rank correlation {rank}",
            highlight=False,
        )
    console.print(results["warning"], style="bold yellow", soft_wrap=True, highlight=False)
