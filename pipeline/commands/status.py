"""Status of a run: stages done and left, how long the rest should take, and the winner. Needs no TensorFlow."""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Collection, Sequence

import numpy as np
import rich.box
import rich.console
import rich.table

from components.base import artifacts, documents, rounding, settings
from components.data import photos
from pipeline import config as config_module
from pipeline import next_commands, resolved_settings, run_folder, runner, trials
from pipeline.config import STAGES, Config
from pipeline.progress import duration
from tuner import scenarios, trial_folder


def show(run_dir: pathlib.Path, console: rich.console.Console) -> None:
    """Print a row for each stage; of a finished run also the winner, the report and the commands to try next.

    Raises:
        PilahError: there is no run in `run_dir`.
    """
    config = config_module.read(run_dir)
    to_do, run_state = runner.left(config), RunState(config)
    table = rich.table.Table("stage", "state", "time spent", "time left", title=str(run_dir), box=rich.box.SIMPLE_HEAD)
    for name in STAGES:
        mark = runner.read(run_dir, name)
        if not config.needs(name):
            table.add_row(name, "not needed", "", "")
        elif mark:
            state = "done before, to be checked again" if name in to_do else "done"
            table.add_row(name, state, duration(mark["seconds"]), "")
        else:
            table.add_row(name, *_progress(_parts(run_state, name)))
    console.print(table)
    if not to_do:
        runner.check_outputs(run_dir, lambda file: file == run_folder.LEADERBOARD)
        winner = run_folder.read_leaderboard(config.run_dir)["winner"]
        recipe = scenarios.text(winner)
        score = rounding.text(winner["f1"], ".4f")
        lines = [f"Winner: scenario {winner['scenario']} ({recipe}), macro F1 {score}."]
        for line in [*lines, *next_commands.after_push(config)]:
            console.print(line, highlight=False, soft_wrap=True)


@dataclasses.dataclass(frozen=True)
class RunState:
    """What was computed with the run's settings; read once, because reading a million photos takes seconds."""

    config: Config

    @functools.cached_property
    def usable(self) -> list[photos.Photo]:
        return run_folder.usable_photos(self.config.run_dir)

    @functools.cached_property
    def resolved(self) -> resolved_settings.Resolved | None:
        return resolved_settings.read(self.config.run_dir)

    @functools.cached_property
    def scenarios(self) -> Collection[int]:
        """The numbers of the scenarios whose trials have the run's settings."""
        return trials.read_settings(self.config, self.usable, self.resolved)

    def has_features(self, backbone: settings.Backbone) -> bool:
        return trials.features_match(self.config, self.usable, self.resolved, backbone)


@dataclasses.dataclass(frozen=True)
class Part:
    """Tasks of a stage that take equally long: their number, how many are done, and the seconds that these took."""

    total: int
    done: float
    seconds: float


def _progress(parts: Sequence[Part]) -> tuple[str, str, str]:
    """Return state, time spent and time left of a stage; parts without a finished task count with the average time."""
    done, spent = sum(part.done for part in parts), sum(part.seconds for part in parts)
    state = f"{done:.3g} of {sum(part.total for part in parts)}" if parts else "to do"
    if not done:
        return state, "", "not measured yet"
    paces = [part.seconds / part.done if part.done else spent / done for part in parts]
    left = sum((part.total - part.done) * pace for part, pace in zip(parts, paces, strict=True))
    return state, duration(spent), duration(left)


def _parts(run_state: RunState, stage: str) -> list[Part]:
    """Return the parts of a stage, one for each backbone; none if the stage has no intermediate results."""
    config = run_state.config
    if stage == "features":
        return [_views(run_state, backbone) for backbone in config.backbones]
    if stage == "refine":
        return [_folds(run_state, config.refined_numbers)]
    numbers = config.searched_numbers
    # scenarios of a grid are sorted by backbone; an oracle changes backbones as it likes
    per_backbone = len(numbers) // (len(config.backbones) if config.oracle == "grid" else 1)
    starts = range(0, len(numbers), per_backbone)
    return [_folds(run_state, numbers[start : start + per_backbone]) for start in starts] if stage == "search" else []


def _views(run_state: RunState, backbone: settings.Backbone) -> Part:
    """Return the views of the features of a backbone, done if they were computed with the run's settings."""
    config = run_state.config
    folder, total = config.run_dir / run_folder.features(backbone), config.views + config.test_views
    files = sorted([*folder.glob("view-*.json"), *folder.glob("test-*.json")])[:total]
    if not run_state.has_features(backbone):
        files = []
    return Part(total, len(files), sum(artifacts.read_json(file, documents.Timed)["seconds"] for file in files))


def _folds(run_state: RunState, numbers: Sequence[int]) -> Part:
    """Return the folds of the scenarios `numbers`, done if trained with the run's settings, in part by their epochs."""
    config, matching = run_state.config, run_state.scenarios
    trials_dir = config.run_dir / run_folder.TRIALS
    paths = {number: trial_folder.path(trials_dir, number) for number in numbers}
    folders = [path for n, path in paths.items() if n in matching or not (path / artifacts.SETTINGS).exists()]
    files = [file for folder in folders for file in folder.glob("fold-*.json")]
    seconds = [artifacts.read_json(file, documents.Timed)["seconds"] for file in files]
    done = float(len(seconds))
    for file in (file for folder in folders for file in folder.glob("fold-*.npz")):
        with contextlib.suppress(FileNotFoundError), np.load(file) as checkpoint:  # removed when its fold is finished
            done += checkpoint["history"].shape[1] / config.epochs_of_members(config.epochs)
            seconds.append(float(checkpoint["seconds"]))
    in_parallel = trials_dir / trial_folder.PROCESSES
    processes = artifacts.read_json(in_parallel, documents.Processes)["processes"] if in_parallel.exists() else 1
    return Part(len(numbers) * config.folds, done, sum(seconds) / processes)
