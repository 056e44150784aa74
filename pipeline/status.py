"""What a run folder holds: stages done and left, and how long the rest should take. Needs no TensorFlow."""

import pathlib

import rich.box
import rich.console
import rich.table

from components import artifacts
from components.errors import PilahError
from pipeline import marks
from pipeline.config import STAGES
from pipeline.progress import duration


def show(run_dir: pathlib.Path, console: rich.console.Console) -> None:
    """Print a line a stage.

    Raises:
        PilahError: there is no run in `run_dir`.
    """
    if not (run_dir / "run.json").exists():
        raise PilahError(
            f"--run-dir must hold a run. Received: {run_dir}, which has no run.json. Start one with 'run'."
        )
    settings = artifacts.read_json(run_dir / "run.json")
    shown = rich.table.Table(title=str(run_dir), box=rich.box.SIMPLE_HEAD)
    for name in ("stage", "state", "took", "should still take"):
        shown.add_column(name)
    for name in STAGES:
        mark = marks.read(run_dir, name)
        if mark:
            shown.add_row(name, "done", duration(mark["seconds"]), "")
            continue
        done, total, seconds = _parts(run_dir, name, settings)
        state = f"{done} of {total}" if total else "to do"
        left = duration(seconds / done * (total - done)) if done else "not measured yet"
        shown.add_row(name, state, duration(seconds) if done else "", left)
    console.print(shown)


def _parts(run_dir: pathlib.Path, name: str, settings: dict) -> tuple[int, int, float]:
    """(parts done, parts in all, seconds that those done took) of an unfinished stage; all 0 where it has no parts."""
    if name == "features":
        pattern, total = "features/*/view-*.json", len(settings["backbones"]) * (settings["views"] + 1)
    elif name == "search":
        scenarios = len(settings["backbones"]) * len(settings["optimizers"]) * len(settings["dropouts"])
        pattern, total = "trials/*/fold-*.json", scenarios * settings["folds"]
    else:
        return 0, 0, 0.0
    seconds = [artifacts.read_json(part)["seconds"] for part in run_dir.glob(pattern)]
    return min(len(seconds), total), total, sum(seconds)
