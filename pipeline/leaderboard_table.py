"""leaderboard.json as a table, beside the thesis's figures where the photos are the thesis's."""

import pathlib
from typing import Any

import numpy as np
import rich.box
import rich.console
import rich.table

from components.base import artifacts, metrics
from pipeline import resolved_settings, run_folder

SETTINGS = ("scenario", "backbone", "optimizer", "dropout", "strategy")
THESIS_RESULTS = pathlib.Path(__file__).with_name("thesis_results.csv")
THESIS_PHOTOS = "f510d6ebf216d606"  # digest of the ids, sorted, of the 2,521 photos that its 2,527 files leave


def show(run_dir: pathlib.Path, console: rich.console.Console) -> None:
    """Print the scenarios, best first, and where the pushed model is."""
    board = run_folder.read_leaderboard(run_dir)
    thesis = thesis_f1(run_dir, board)
    console.print(table(board, thesis))
    winner = board["winner"]
    console.print(
        f"Winner: scenario {winner['scenario']} ({winner['backbone']}, {winner['optimizer']}, dropout "
        f"{winner['dropout']}, {winner['strategy']}), {winner['reason']}.",
        highlight=False,
    )
    for line in caveats(run_dir):
        console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)
    for name in never_predicted(board):
        console.print(
            f"Class {name} is never predicted by the winner: its precision and F1 count as 0.", style="yellow"
        )


def caveats(run_dir: pathlib.Path) -> list[str]:
    """What a reader of the board has to know: files left out, drawn photos, random weights."""
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


def table(board: dict[str, Any], thesis: dict[int, float]) -> rich.table.Table:
    """The scenarios by F1; a column for the thesis's F1 where `thesis` (scenario -> F1) has any."""
    title = f"{board['photos']} photos, {board['folds']} folds, seed {board['seed']}"
    shown = rich.table.Table(title=title, box=rich.box.SIMPLE_HEAD)
    for name in SETTINGS:
        shown.add_column(name, justify="right" if name in ("scenario", "dropout") else "left")
    for name in ("precision", "recall", "F1", "accuracy", *(["thesis F1"] if thesis else []), "seconds"):
        shown.add_column(name, justify="right")
    for row in sorted(board["scenarios"], key=lambda row: (-row["f1"], row["scenario"])):
        figures = [f"{row[name]:.4f}" for name in ("precision", "recall", "f1", "accuracy")]
        if thesis:
            figures.append(f"{thesis[row['scenario']]:.4f}" if row["scenario"] in thesis else "")
        style = "bold" if row["scenario"] == board["winner"]["scenario"] else None
        settings = (str(row[name]) for name in SETTINGS)
        shown.add_row(*settings, *figures, f"{row['seconds']:.1f}", style=style)
    return shown


def thesis_f1(run_dir: pathlib.Path, board: dict[str, Any]) -> dict[int, float]:
    """Scenario -> the thesis's F1, where both the photos and the 27 scenarios are the thesis's; else nothing.

    Scenarios that were refined are not among the thesis's.
    """
    ids = sorted(row["id"] for row in run_folder.read_rows(run_dir, run_folder.PHOTOS))
    if artifacts.digest(ids) != THESIS_PHOTOS:
        return {}
    published = artifacts.read_csv(THESIS_RESULTS)
    theirs = [(int(row["scenario"]), row["backbone"], row["optimizer"], float(row["dropout"])) for row in published]
    ours = [tuple(row[name] for name in SETTINGS[:-1]) for row in board["scenarios"]]
    same = ours[: len(theirs)] == theirs
    return {int(row["scenario"]): float(row["f1"]) for row in published} if same else {}


def never_predicted(board: dict[str, Any]) -> tuple[str, ...]:
    """The classes for which the winner takes no photo at all."""
    (matrix,) = (
        row["confusion_matrix"] for row in board["scenarios"] if row["scenario"] == board["winner"]["scenario"]
    )
    return metrics.score(np.array(matrix), board["classes"]).never_predicted
