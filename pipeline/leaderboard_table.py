"""The leaderboard as a table, with the thesis's F1 if the photos are the thesis's."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import rich.box
import rich.console
import rich.measure
import rich.table

from components.base import artifacts, documents, metrics, rounding
from components.data import class_names
from pipeline import resolved_settings, run_folder, thesis
from tuner import choose, scenarios

LEFT_ALIGNED = ("backbone", "optimizer", "strategy")
MAX_ROWS = 30  # the thesis's 27 scenarios and refined ones
DROPPED_IF_NARROW = ("seconds", "accuracy", "recall", "precision")  # columns, the first one first


def show(run_dir: pathlib.Path, console: rich.console.Console) -> None:
    """Print the scenarios, best first, the winner, and caveats about the photos and weights."""
    leaderboard = run_folder.read_leaderboard(run_dir)
    is_synthetic = not artifacts.read_json(run_dir / run_folder.CONFIG)["images"]
    console.print(table(leaderboard, thesis.f1_of_scenarios(run_dir, leaderboard), is_synthetic, console))
    winner = leaderboard["winner"]
    console.print(
        f"Winner: scenario {winner['scenario']} ({scenarios.text(winner)}), {winner['reason']}.",
        highlight=False,
        soft_wrap=True,
    )
    for line in _corrected(leaderboard):
        console.print(line, highlight=False, soft_wrap=True)
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


def _corrected(leaderboard: documents.Leaderboard) -> list[str]:
    """Return the line with the winner's F1 corrected for its selection; none for leaderboards of earlier versions."""
    values = [leaderboard["winner"].get(name) for name in documents.CorrectedF1.__annotations__]
    if "f1_corrected" not in leaderboard["winner"]:
        return []
    texts = [rounding.text(value, ".4f") for value in values if isinstance(value, float)]
    if not texts:
        return ["No two scenarios give different answers, so nothing was selected and F1 needs no correction."]
    f1, low, high = texts
    return [
        f"Corrected for its selection among {len(leaderboard['scenarios'])} scenarios, its F1 is {f1} (95 % confidence "
        f"interval {low} to {high}, BBC-CV)."
    ]


def caveats(run_dir: pathlib.Path) -> list[str]:
    """Return the lines about files that were left out, and about random weights."""
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
    }
    return [line for line, applies in lines.items() if applies]


def table(
    leaderboard: documents.Leaderboard, thesis_f1: dict[int, float], is_synthetic: bool, console: rich.console.Console
) -> rich.table.Table:
    """Return the scenarios, best first, with as many columns as fit on the console.

    Args:
        thesis_f1: scenario -> F1 in the thesis; empty for other studies, which have no column for it.
    """
    columns = _columns(leaderboard, thesis_f1)
    title = (
        f"{leaderboard['photos']}{' synthetic' if is_synthetic else ''} photos, {leaderboard['folds']} folds, "
        f"seed {leaderboard['seed']}"
    )
    if len(leaderboard["scenarios"]) > MAX_ROWS:
        title += f", best {MAX_ROWS} of {len(leaderboard['scenarios'])} scenarios"
    if len({*columns["strategy"]}) == 1:
        title += f", strategy {columns.pop('strategy')[0]}"
    result = _table(columns, title)
    for name in DROPPED_IF_NARROW:
        if (
            rich.measure.measure_renderables(console, console.options.update(width=1_000), [result]).maximum
            > console.width
        ):
            del columns[name]
            result = _table(columns, title)
    return result


def _columns(leaderboard: documents.Leaderboard, thesis_f1: dict[int, float]) -> dict[str, list[str]]:
    """Return name -> cells of every column, with the scenarios best first."""
    rows = choose.best_first(leaderboard["scenarios"], leaderboard["winner"]["scenario"])[:MAX_ROWS]
    columns = {name: [str(row[name]) for row in rows] for name in ("scenario", "backbone", "optimizer", "dropout")}
    stated: list[Mapping[str, Any]] = list(rows)
    for searched, label in scenarios.SEARCHED.items():
        values = [row.get(searched) for row in stated]
        if len({*values}) > 1:
            columns[label] = [f"{value:g}" if value else "" for value in values]
    columns["strategy"] = [row["strategy"] for row in rows]
    columns["F1"] = [rounding.text(row["f1"], ".4f") for row in rows]
    if thesis_f1:
        numbers = [row["scenario"] for row in rows]
        columns["thesis F1"] = [rounding.text(thesis_f1[n], ".4f") if n in thesis_f1 else "" for n in numbers]
    for name in ("precision", "recall", "accuracy"):
        columns[name] = [rounding.text(row[name], ".4f") for row in rows]
    columns["seconds"] = [f"{row['seconds']:.1f}" for row in rows]
    return columns


def _table(columns: dict[str, list[str]], title: str) -> rich.table.Table:
    """Return a table without lines above and below it, whose first row is that of the winner."""
    justify = {name: "left" if name in LEFT_ALIGNED else "right" for name in columns}
    result = rich.table.Table(
        *(rich.table.Column(name, justify=justify[name], no_wrap=True) for name in columns),  # type: ignore[arg-type]
        title=title,
        title_justify="left",
        box=rich.box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    for number, cells in enumerate(zip(*columns.values(), strict=True)):
        result.add_row(*cells, style=None if number else "bold")
    return result
