"""What a run folder holds: stages done and left, and how long the rest should take. Needs no TensorFlow."""

import dataclasses
import pathlib
from collections.abc import Sequence

import rich.box
import rich.console
import rich.table

from components import artifacts
from pipeline import config as config_module
from pipeline import marks
from pipeline.config import STAGES, Config
from pipeline.progress import duration


def show(run_dir: pathlib.Path, console: rich.console.Console) -> None:
    """Print a line a stage.

    Raises:
        PilahError: there is no run in `run_dir`.
    """
    config = config_module.read(run_dir)
    shown = rich.table.Table(title=str(run_dir), box=rich.box.SIMPLE_HEAD)
    for name in ("stage", "state", "took", "should still take"):
        shown.add_column(name)
    for name in STAGES:
        mark = marks.read(run_dir, name)
        if mark:
            shown.add_row(name, "done", duration(mark["seconds"]), "")
            continue
        if not config.needs(name):
            shown.add_row(name, "not needed", "", "")
            continue
        parts = _parts(config, name)
        done, total = sum(len(part.seconds) for part in parts), sum(part.total for part in parts)
        state = f"{done} of {total}" if parts else "to do"
        took = sum(sum(part.seconds) for part in parts)
        left = sum((part.total - len(part.seconds)) * _mean(part.seconds, took / done) for part in parts) if done else 0
        shown.add_row(name, state, duration(took) if done else "", duration(left) if done else "not measured yet")
    console.print(shown)


@dataclasses.dataclass(frozen=True)
class Part:
    """Pieces of a stage that cost alike: how many there are, and the seconds that those done took."""

    total: int
    seconds: list[float]


def _parts(config: Config, name: str) -> list[Part]:
    """The parts of a stage, one a backbone; none where the stage is done in one go."""
    parts = []
    per_backbone = len(config.optimizers) * len(config.dropouts)
    for position, backbone in enumerate(config.backbones):
        if name == "features":
            folder = config.run_dir / "features" / backbone
            views, total = (
                sorted([*folder.glob("view-*.json"), *folder.glob("test-*.json")]),
                config.views + config.test_views,
            )
            parts.append(Part(total, [artifacts.read_json(file)["seconds"] for file in views[:total]]))
        elif name == "search":
            parts.append(_folds(config, range(position * per_backbone + 1, (position + 1) * per_backbone + 1)))
    if name == "refine":
        parts.append(_folds(config, range(config.scenario_count + 1, config.scenario_count + config.refine + 1)))
    return parts


def _folds(config: Config, numbers: Sequence[int]) -> Part:
    """The folds of the scenarios `numbers`."""
    folders = [config.run_dir / "trials" / f"{number:02d}" for number in numbers]
    seconds = [artifacts.read_json(file)["seconds"] for folder in folders for file in folder.glob("fold-*.json")]
    return Part(len(folders) * config.folds, seconds)


def _mean(seconds: list[float], otherwise: float) -> float:
    return sum(seconds) / len(seconds) if seconds else otherwise
