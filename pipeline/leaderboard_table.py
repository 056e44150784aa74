"""leaderboard.json as a table, beside the thesis's figures where the photos are the thesis's."""

import pathlib

import numpy as np
import rich.box
import rich.console
import rich.table

from components.base import artifacts, documents, metrics
from pipeline import resolved_settings, run_folder, thesis

SETTINGS = ("scenario", "backbone", "optimizer", "dropout", "strategy")


def show(run_dir: pathlib.Path, console: rich.console.Console) -> None:
    """Print the scenarios, best first, and where the pushed model is."""
    leaderboard = run_folder.read_leaderboard(run_dir)
    console.print(table(leaderboard, thesis.f1_of_scenarios(run_dir, leaderboard)))
    winner = leaderboard["winner"]
    console.print(
        f"Winner: scenario {winner['scenario']} ({winner['backbone']}, {winner['optimizer']}, dropout "
        f"{winner['dropout']}, {winner['strategy']}), {winner['reason']}.",
        highlight=False,
    )
    for line in caveats(run_dir):
        console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)
    for name in never_predicted(leaderboard):
        console.print(
            f"Class {name} is never predicted by the winner: its precision and F1 count as 0.", style="yellow"
        )


def caveats(run_dir: pathlib.Path) -> list[str]:
    """Return what a reader of the leaderboard has to know: files left out, synthetic photos, random weights."""
    duplicates = run_folder.read_rows(run_dir, run_folder.DUPLICATES)
    conflicts = sum(row["kind"] == "conflict" for row in duplicates)
    rejects = len(run_folder.read_rows(run_dir, run_folder.REJECTS))
    resolved = resolved_settings.read(run_dir)
    assert resolved  # the run wrote it when it started
    random = resolved_settings.random_backbones(resolved.weights)
    lines = {
        f"ERROR in the photos: {conflicts} files whose bytes stand under several classes, left out "
        "(duplicates.csv).": conflicts,
        f"{len(duplicates) - conflicts} exact copies left out (duplicates.csv).": len(duplicates) - conflicts,
        f"{rejects} unusable photos left out (dataset/rejects.csv).": rejects,
        f"RANDOM weights in {', '.join(random)}, as ImageNet's were not at hand: their rows show that the pipeline "
        "works, not how well they sort.": random,
        "The photos are drawn, not real.": not artifacts.read_json(run_dir / run_folder.CONFIG)["images"],
    }
    return [line for line, true in lines.items() if true]


def table(leaderboard: documents.Leaderboard, thesis_f1: dict[int, float]) -> rich.table.Table:
    """Return the scenarios by F1, with a column for the thesis's F1 where `thesis_f1` (scenario -> F1) has any."""
    title = f"{leaderboard['photos']} photos, {leaderboard['folds']} folds, seed {leaderboard['seed']}"
    result = rich.table.Table(title=title, box=rich.box.SIMPLE_HEAD)
    for name in SETTINGS:
        result.add_column(name, justify="right" if name in ("scenario", "dropout") else "left")
    for name in ("precision", "recall", "F1", "accuracy", *(["thesis F1"] if thesis_f1 else []), "seconds"):
        result.add_column(name, justify="right")
    for row in sorted(leaderboard["scenarios"], key=lambda row: (-row["f1"], row["scenario"])):
        figures = [f"{score:.4f}" for score in (row["precision"], row["recall"], row["f1"], row["accuracy"])]
        if thesis_f1:
            figures.append(f"{thesis_f1[row['scenario']]:.4f}" if row["scenario"] in thesis_f1 else "")
        style = "bold" if row["scenario"] == leaderboard["winner"]["scenario"] else None
        settings = (row["scenario"], row["backbone"], row["optimizer"], row["dropout"], row["strategy"])
        result.add_row(*map(str, settings), *figures, f"{row['seconds']:.1f}", style=style)
    return result


def never_predicted(leaderboard: documents.Leaderboard) -> tuple[str, ...]:
    """Return the classes that the winner never predicts."""
    (matrix,) = (
        row["confusion_matrix"]
        for row in leaderboard["scenarios"]
        if row["scenario"] == leaderboard["winner"]["scenario"]
    )
    return metrics.score(np.array(matrix), leaderboard["classes"]).never_predicted
