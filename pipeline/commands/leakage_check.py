"""The leakage check: the honest leaderboard, the one of a model carried through the folds, and the thesis's F1.

The F1 of the folds in the order of training shows where the leak begins: only the first fold is tested by a model that
has not been trained on it.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import rich.box
import rich.console
import rich.table
from scipy.stats import spearmanr

from components.base import artifacts, documents, metrics, rounding
from pipeline import cluster, lock, recipe, run_folder, trials
from pipeline import thesis as thesis_module
from pipeline.commands import audit
from pipeline.config import Config
from pipeline.progress import Progress, reporting
from pipeline.stages import report
from tuner import leakage_check, predictions
from tuner.study import Study

WARNING = (
    "LEAKING: one model is trained through all folds without a reset, so that it is tested on photos that it was "
    "trained on. These figures show the effect of that mistake. They are no result."
)


def run(run_dir: pathlib.Path, console: rich.console.Console, cluster_address: str | None = None) -> None:
    """Write leakage_check.json and a folder beside it into RUN/audit, print the tables, and write the report again.

    Args:
        cluster_address: address of a Dask scheduler whose workers train; None trains here.

    Raises:
        PilahError: the study is not finished, or another version of Pilah trained it.
    """
    config = audit.finished(run_dir, cluster_address)
    trials.check_version(run_dir)
    with lock.locked(config.run_dir):
        cluster.check(config, console)
        with reporting(console, "leakage check") as progress:
            write(config, progress)
        show(config.run_dir, console)
        report.refresh(config.run_dir, console)


def write(config: Config, progress: Progress) -> None:
    """Write RUN/audit/leakage_check.json and a file for each scenario beside it."""
    path, trials_dir = config.run_dir / run_folder.LEAKAGE_CHECK, config.run_dir / run_folder.LEAKAGE_TRIALS
    path.unlink(missing_ok=True)  # it must never have other settings than the folder beside it
    study, scenario_list = recipe.study(config), trials.searched_scenarios(config)
    with cluster.executor(config, progress) as (executor, progress_with_state):
        rows = leakage_check.check(study, scenario_list, trials_dir, progress_with_state, executor)
    honest = run_folder.read_leaderboard(config.run_dir)
    fold_f1 = {
        "honest": {scenario.number: honest_fold_f1(config, study, scenario.number) for scenario in scenario_list},
        "carried": {row["scenario"]: row["fold_f1"] for row in rows},
        "thesis": thesis_module.fold_f1_of_scenarios(config.run_dir, honest),
    }
    results = {
        "leaking": True,
        "warning": WARNING,
        "scenarios": rows,
        "compared": compare(honest, rows, thesis_module.f1_of_scenarios(config.run_dir, honest)),
        "mean_of_folds": mean_by_fold(fold_f1, [row["scenario"] for row in rows]),
        "folds": {
            backbone: mean_by_fold(fold_f1, [row["scenario"] for row in rows if row["backbone"] == backbone])
            for backbone in dict.fromkeys(row["backbone"] for row in rows)  # an oracle may not have chosen all
        },
    }
    artifacts.write_json(path, results)


def honest_fold_f1(config: Config, study: Study, number: int) -> list[float]:
    """Return the macro F1 of each fold of scenario `number` in the search, which trains a new model for each."""
    answers = predictions.read(config.run_dir / run_folder.predictions(number))
    in_folds = [answers.fold == fold for fold in range(study.folds)]
    classes = len(study.classes)
    matrices = [metrics.confusion(answers.actual[rows], answers.predicted[rows], classes) for rows in in_folds]
    return [metrics.f1_of_present_classes(matrix) for matrix in matrices]


def mean_by_fold(
    fold_f1: Mapping[str, Mapping[int, Sequence[float]]], numbers: Sequence[int]
) -> dict[str, list[float]]:
    """Return table -> F1 of each fold, its mean over those scenarios of `numbers` that the table has."""
    known = {name: [table[number] for number in numbers if number in table] for name, table in fold_f1.items()}
    return {name: np.mean(rows, axis=0).tolist() for name, rows in known.items() if rows}


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

    The correlation is None for a single scenario, or if all scores are equal.
    """
    differences = np.subtract(second, first)
    ranked = min(len(set(first)), len(set(second))) > 1
    return {
        "mean_difference": float(differences.mean()),
        "mean_absolute_difference": float(np.abs(differences).mean()),
        "rank_correlation": float(spearmanr(first, second).statistic) if ranked else None,
    }


def show(run_dir: pathlib.Path, console: rich.console.Console) -> None:
    """Print the F1 of every scenario in each table, over all photos and by fold, and the distances of the tables."""
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
        table.add_row(*settings, *(rounding.text(figure, ".4f") for figure in figures))
    console.print(table)
    console.print(_fold_table(results, thesis_module.fold_f1_of_scenarios(run_dir, honest)))
    for name, value in results["compared"].items():
        rank = "none" if value["rank_correlation"] is None else f"{value['rank_correlation']:.3f}"
        console.print(
            f"{name.replace('_', ' ')}: mean difference {value['mean_difference']:+.4f}, mean absolute difference "
            f"{value['mean_absolute_difference']:.4f}, rank correlation {rank}",
            highlight=False,
        )
    console.print(results["warning"], style="bold yellow", soft_wrap=True, highlight=False)


def _fold_table(results: dict[str, Any], thesis: Mapping[int, Sequence[float]]) -> rich.table.Table:
    """Return F1 by fold in the order of training: of each scenario, then the means of each backbone."""
    table = rich.table.Table(title="F1 by fold", box=rich.box.SIMPLE_HEAD)
    for name in ("scenarios", "carried (LEAKING)", *(["thesis"] if thesis else []), "honest"):
        table.add_column(name)
    for row in results["scenarios"]:
        published = [_joined(thesis.get(row["scenario"], ()), 2)] if thesis else []
        table.add_row(str(row["scenario"]), _joined(row["fold_f1"]), *published, "")
    table.add_section()
    for backbone, means in results["folds"].items():
        published = [_joined(means.get("thesis", ()))] if thesis else []
        table.add_row(f"{backbone}, mean", _joined(means["carried"]), *published, _joined(means["honest"]))
    return table


def _joined(values: Sequence[float], decimals: int = 3) -> str:
    return " ".join(f"{value:.{decimals}f}" for value in values) or "not published"
