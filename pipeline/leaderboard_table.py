"""The leaderboard as a table, with the thesis's F1 if the photos are the thesis's."""

import pathlib

import numpy as np
import rich.box
import rich.console
import rich.table

from components.base import artifacts, documents, metrics, rounding
from components.data import class_names
from pipeline import resolved_settings, run_folder, thesis
from tuner import choose

SETTINGS = ("scenario", "backbone", "optimizer", "dropout", "strategy")


def show(run_dir: pathlib.Path, console: rich.console.Console) -> None:
    """Print the scenarios, best first, the winner, and what to know about the photos and weights."""
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
    matrices = {row["scenario"]: np.array(row["confusion_matrix"]) for row in leaderboard["scenarios"]}
    if names := metrics.score(matrices[winner["scenario"]], leaderboard["classes"]).never_predicted:
        console.print(
            f"The winner never predicts {len(names)} of {len(leaderboard['classes'])} classes, whose precision and F1 "
            f"count as 0: {class_names.joined(names)}.",
            style="yellow",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def caveats(run_dir: pathlib.Path) -> list[str]:
    """Return what a reader of the leaderboard has to know: files left out, synthetic photos, random weights."""
    kinds = run_folder.count_duplicates(run_dir)
    conflicts, copies = kinds["conflict"], kinds["duplicate"]
    rejects = len(run_folder.read_rows(run_dir, run_folder.REJECTS))
    resolved = resolved_settings.read(run_dir)
    assert resolved  # the run wrote it when it started
    random = resolved_settings.random_backbones(resolved.weights)
    lines = {
        f"ERROR in the photos: {conflicts} identical files with different labels left out (duplicates.csv).": conflicts,
        f"{copies} exact copies left out (duplicates.csv).": copies,
        f"{rejects} unusable photos left out (dataset/rejects.csv).": rejects,
        f"RANDOM weights in {', '.join(random)} instead of ImageNet's: these rows show that the pipeline works, "
        "not how accurate it is.": random,
        "The photos are synthetic.": not artifacts.read_json(run_dir / run_folder.CONFIG)["images"],
    }
    return [line for line, applies in lines.items() if applies]


def table(leaderboard: documents.Leaderboard, thesis_f1: dict[int, float]) -> rich.table.Table:
    """Return the scenarios, best first, with a column for the thesis's F1 if `thesis_f1` (scenario -> F1) has any."""
    names = (*SETTINGS, "precision", "recall", "F1", "accuracy", *(["thesis F1"] if thesis_f1 else []), "seconds")
    left_aligned = ("backbone", "optimizer", "strategy")
    columns = (rich.table.Column(name, justify="left" if name in left_aligned else "right") for name in names)
    title = f"{leaderboard['photos']} photos, {leaderboard['folds']} folds, seed {leaderboard['seed']}"
    result = rich.table.Table(*columns, title=title, box=rich.box.SIMPLE_HEAD)
    for row in choose.best_first(leaderboard["scenarios"], leaderboard["winner"]["scenario"]):
        number = row["scenario"]
        settings = (number, row["backbone"], row["optimizer"], row["dropout"], row["strategy"])
        figures = [rounding.text(row[name], ".4f") for name in ("precision", "recall", "f1", "accuracy")]
        if thesis_f1:
            figures.append(rounding.text(thesis_f1[number], ".4f") if number in thesis_f1 else "")
        style = "bold" if number == leaderboard["winner"]["scenario"] else None
        result.add_row(*map(str, settings), *figures, f"{row['seconds']:.1f}", style=style)
    return result
