"""What a run folder holds: stages done and left, and how long the rest should take. Needs no TensorFlow."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
import rich.box
import rich.console
import rich.table

from components.base import artifacts
from pipeline import config as config_module
from pipeline import resolved_settings, run_folder, runner, trials
from pipeline.config import STAGES, Config
from pipeline.progress import duration
from tuner import trial_folder


def show(run_dir: pathlib.Path, console: rich.console.Console) -> None:
    """Print a line a stage.

    Raises:
        PilahError: there is no run in `run_dir`.
    """
    config = config_module.read(run_dir)
    to_do = runner.left(config)
    shown = rich.table.Table(title=str(run_dir), box=rich.box.SIMPLE_HEAD)
    for name in ("stage", "state", "took", "should still take"):
        shown.add_column(name)
    for name in STAGES:
        if not config.needs(name):
            shown.add_row(name, "not needed", "", "")
            continue
        mark = runner.read(run_dir, name)
        if mark:
            state = "done before, to be looked at again" if name in to_do else "done"
            shown.add_row(name, state, duration(mark["seconds"]), "")
            continue
        parts = _parts(config, name)
        done, total, took = (sum(getattr(part, one) for part in parts) for one in ("done", "total", "seconds"))
        state = f"{done:.3g} of {total}" if parts else "to do"
        left = sum((part.total - part.done) * part.pace(took / done) for part in parts) if done else 0
        shown.add_row(name, state, duration(took) if done else "", duration(left) if done else "not measured yet")
    console.print(shown)


@dataclasses.dataclass(frozen=True)
class Part:
    """Pieces of a stage that cost alike: how many there are, how many are done, and the seconds that these took."""

    total: int
    done: float
    seconds: float

    def pace(self, otherwise: float) -> float:
        """Seconds a piece; `otherwise` where none is done."""
        return self.seconds / self.done if self.done else otherwise


def _parts(config: Config, name: str) -> list[Part]:
    """The parts of a stage, one a backbone; none where the stage is done in one go."""
    parts = []
    per_backbone = len(config.optimizers) * len(config.dropouts)
    usable = run_folder.usable_photos(config.run_dir)
    for position, backbone in enumerate(config.backbones):
        if name == "features":
            folder, total = config.run_dir / run_folder.features(backbone), config.views + config.test_views
            views = sorted([*folder.glob("view-*.json"), *folder.glob("test-*.json")])
            if not trials.features_are_of_run(config, usable, resolved_settings.read(config.run_dir), backbone):
                views = []  # the stage will compute them again
            seconds = [artifacts.read_json(file)["seconds"] for file in views[:total]]
            parts.append(Part(total, len(seconds), sum(seconds)))
        elif name == "search":
            parts.append(_folds(config, range(position * per_backbone + 1, (position + 1) * per_backbone + 1)))
    if name == "refine":
        parts.append(_folds(config, config.refined_numbers))
    return parts


def _folds(config: Config, numbers: Sequence[int]) -> Part:
    """The folds of the scenarios `numbers` made with the run's settings, and those under way by their epochs."""
    trials_dir = config.run_dir / run_folder.TRIALS
    of_run = trials.read_settings(
        config, run_folder.usable_photos(config.run_dir), resolved_settings.read(config.run_dir)
    )
    every = {number: trial_folder.path(trials_dir, number) for number in numbers}
    folders = [path for number, path in every.items() if number in of_run or not (path / artifacts.SETTINGS).exists()]
    seconds = [artifacts.read_json(file)["seconds"] for folder in folders for file in folder.glob("fold-*.json")]
    epochs, spent = [], []
    for file in (file for folder in folders for file in folder.glob("fold-*.npz")):
        with contextlib.suppress(FileNotFoundError), np.load(file) as state:  # it goes when its fold is done
            epochs.append(state["history"].shape[1])
            spent.append(float(state["seconds"]))
    done = len(seconds) + sum(epochs) / (config.epochs * config.ensemble)
    return Part(len(every) * config.folds, done, sum([*seconds, *spent]) / _side_by_side(trials_dir))


def _side_by_side(trials_dir: pathlib.Path) -> int:
    """How many processes train folds, as the search notes it."""
    path = trials_dir / trial_folder.PROCESSES
    return int(artifacts.read_json(path)["processes"]) if path.exists() else 1
