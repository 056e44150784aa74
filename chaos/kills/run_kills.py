"""SIGKILL a run at random moments, give the same command again, and compare its end with that of an undisturbed run.

The commands are those of `python -m pipeline run`, with small networks in place of ResNet50 and VGG19.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import pathlib
import random
import re
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from chaos.kills import run_files, strikes
from chaos.outcomes import Outcome
from components.demo import synthetic_photos
from pipeline.config import STAGES

if TYPE_CHECKING:  # a plugin of pytest, which must not be imported before it is registered
    from forked_commands import Command, Commands

COMMON = """--profile demo --optimizers Adam --folds 3 --random-weights --image-size 48 --seed 7 --min-f1 0""".split()
SEARCH = [*COMMON, *"--backbones ResNet50,VGG19 --dropouts 0.0,0.5 --views 2 --epochs 20".split()]
ALL_STAGES = [*COMMON, *"--backbones ResNet50,VGG19 --dropouts 0.0,0.5 --views 2 --test-views 2 --epochs 2".split()]
ALL_STAGES += "--refine 1 --unfreeze top --ensemble 2 --finetuning-rate 1e-3".split()
SMALL = [*COMMON, *"--backbones VGG19 --dropouts 0.0 --views 1 --epochs 2 --engine tensorflow".split()]
STARTED = re.compile(r" INFO (\w+): started$", re.MULTILINE)
UNDISTURBED = "undisturbed"
START = "start"  # before the first stage
KILLS_OF_ONE_RUN = 8  # after which it may end
KILLS_OF_ONE_SEARCH = 4
MISSES = 3  # runs in a row that end before they are killed, after which the trial fails
MOST_RENAMES = 12  # in one start
SEARCH_SECONDS = 15.0  # with two processes, which import TensorFlow first


@dataclasses.dataclass
class Tally:
    """What the kills of one kind have hit and destroyed."""

    stages: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    processes: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    lost: list[str] = dataclasses.field(default_factory=list)
    doubled: list[str] = dataclasses.field(default_factory=list)
    failures: list[str] = dataclasses.field(default_factory=list)

    def outcomes(self, trial: str) -> list[Outcome]:
        """Return a row for all kills, and a row for the number of kills of each process and in each stage."""
        failures = [*self.failures, *(f"lost {name}" for name in self.lost)]
        failures += [f"doubled {name}" for name in self.doubled]
        hits = [Outcome(f"  {process}", count) for process, count in self.processes.items()]
        hits += [Outcome(f"  in {stage}", self.stages[stage]) for stage in (START, *STAGES) if self.stages[stage]]
        return [Outcome(trial, self.stages.total(), len(self.lost), len(self.doubled), tuple(failures)), *hits]


class Trial:
    """A folder of photos, an undisturbed run of them, and the same run that is killed.

    Attributes:
        seconds: stage -> seconds that it took in the undisturbed run.
    """

    def __init__(self, commands: Commands, folder: pathlib.Path, settings: list[str], rng: random.Random):
        self.commands, self.folder, self.settings, self.rng = commands, folder, settings, rng
        folder.mkdir()
        self.photos = folder / "photos"
        synthetic_photos.write(self.photos, 8, seed=1, progress=lambda done, total: None)
        self.tally = Tally()
        self._end(self.start(UNDISTURBED, 1))
        self.expected = run_files.inventory(folder / UNDISTURBED)
        marks = {stage: folder / UNDISTURBED / "stages" / f"{stage}.json" for stage in STAGES}
        self.seconds: dict[str, float] = {
            stage: json.loads(path.read_text())["seconds"] for stage, path in marks.items() if path.exists()
        }

    def start(self, name: str, processes: int, killed_at: int | None = None) -> Command:
        """Start the command on the run folder `name`, with a new log."""
        (self.folder / name / "log.txt").unlink(missing_ok=True)
        arguments = ["--run-dir", self.folder / name, "--images", self.photos, *self.settings]
        return self.commands.start("run", *arguments, small=True, processes=processes, killed_at=killed_at)

    def left(self, name: str) -> list[str]:
        """Return the stages of the run `name` that are not finished."""
        marks = self.folder / name / "stages"
        return [stage for stage in self.seconds if not (marks / f"{stage}.json").exists()]

    def wait_for(self, command: Command, name: str, stage: str) -> bool:
        """Wait until the run `name` that `command` has just started is in `stage`; return False if it ends earlier."""
        while not _has_reached(current_stage(self.folder / name / "log.txt"), stage):
            if not command.is_running:
                return False
            time.sleep(0.0005)
        return True

    def kill_in(self, name: str, stage: str, strike: Callable[[Command], str], processes: int = 1) -> bool:
        """Start the run `name` and strike at a random moment of `stage`; return False if the run ended before it."""
        log, before = self.folder / name / "log.txt", run_files.finished_work(self.folder / name)
        command = self.start(name, processes)
        # sooner rather than later, because a part of the work may be done
        pause = self.seconds.get(stage, 1.0) * self.rng.random() ** 2
        if not self.wait_for(command, name, stage) or command.ends_within(pause):
            self._check_end(command, name, before)
            return False
        try:
            self.tally.processes[strike(command)] += 1
        except AssertionError as error:
            self.tally.failures.append(str(error))
        self.tally.stages[current_stage(log)] += 1
        self._check_work(name, before)
        return True

    def kill_at_rename(self, name: str) -> bool:
        """Start the run `name` and kill it before or after a rename; return False if the run ended before it."""
        before = run_files.finished_work(self.folder / name)
        command = self.start(name, 1, killed_at=self.rng.randrange(2 * MOST_RENAMES))
        if command.exit_code() != -signal.SIGKILL:
            self._check_end(command, name, before)
            return False
        self.tally.stages[current_stage(self.folder / name / "log.txt")] += 1
        self._check_work(name, before)
        return True

    def end(self, name: str) -> None:
        """Let the run `name` end, and compare its files with those of the undisturbed run."""
        before = run_files.finished_work(self.folder / name)
        self._check_end(self.start(name, 1), name, before)

    def _check_end(self, command: Command, name: str, before: dict[str, int]) -> None:
        self._end(command)
        self._check_work(name, before)
        lost, doubled, changed = run_files.compare(self.expected, run_files.inventory(self.folder / name))
        self.tally.lost += lost
        self.tally.doubled += doubled
        self.tally.failures += changed

    def _check_work(self, name: str, before: dict[str, int]) -> None:
        """Note finished folds and views that were computed again."""
        now = run_files.finished_work(self.folder / name)
        self.tally.lost += [f"{file} (computed again)" for file, written in before.items() if now.get(file) != written]

    def _end(self, command: Command) -> None:
        code = command.exit_code()
        if code or "Traceback" in command.printed:
            self.tally.failures.append(f"exit code {code}: {command.printed[-500:]}")


def run(trial: Trial, kills: int) -> list[Outcome]:
    """Return the outcome of `kills` kills of runs, spread over their stages."""

    def kill(name: str) -> bool:
        stage = min((START, *trial.left(name)), key=lambda stage: trial.tally.stages[stage])
        return trial.kill_in(name, stage, trial.rng.choice([strikes.kill_process, strikes.kill_group]))

    number = _kill_runs(trial, "killed", kills, kill, most=KILLS_OF_ONE_RUN)
    return trial.tally.outcomes(f"kills of {number} runs")


def run_renames(trial: Trial, kills: int) -> list[Outcome]:
    """Return the outcome of `kills` kills of runs before or after a file or folder gets its name."""
    trial.tally = Tally()
    number = _kill_runs(trial, "renaming", kills, trial.kill_at_rename, most=kills)
    return trial.tally.outcomes(f"kills of {number} runs before or after a rename")


def run_search(commands: Commands, folder: pathlib.Path, kills: int, rng: random.Random) -> list[Outcome]:
    """Return the outcome of `kills` kills of searches with two training processes: of one, of their parent, of all."""
    trial = Trial(commands, folder, SEARCH, rng)
    trial.seconds["search"] = SEARCH_SECONDS
    all_strikes = [lambda command: strikes.kill_worker(command, rng), strikes.kill_process, strikes.kill_group]

    def kill(name: str) -> bool:
        features = folder / name / "stages" / "features.json"
        try:
            if not features.exists():
                trial.start(name, 1).kill_when(features.exists)
        except AssertionError as error:
            trial.tally.failures.append(str(error))
            return False
        strike = all_strikes[trial.tally.stages.total() % len(all_strikes)]
        return trial.kill_in(name, "search", strike, processes=2)

    number = _kill_runs(trial, "killed", kills, kill, most=KILLS_OF_ONE_SEARCH)
    return trial.tally.outcomes(f"kills of {number} searches with 2 training processes")


def _kill_runs(trial: Trial, prefix: str, kills: int, kill: Callable[[str], bool], most: int) -> int:
    """Kill and end runs until there are `kills` kills or a failure, such as MISSES runs in a row without a kill.

    Args:
        prefix: start of the names of the runs.
        kill: kills the run of a name; returns whether it did before the run ended.
        most: number of kills of one run, after which it may end.

    Returns:
        The number of runs.
    """
    number = misses = 0
    while not trial.tally.failures and (left := kills - trial.tally.stages.total()) > 0:
        name, number, hits = f"{prefix}-{number}", number + 1, 0
        while hits < min(left, most) and not trial.tally.failures and kill(name):
            hits += 1
        trial.end(name)
        misses = 0 if hits else misses + 1
        if misses == MISSES:
            trial.tally.failures.append(f"{misses} runs in a row ended before they were killed")
    return number


def current_stage(log: pathlib.Path) -> str:
    """Return the stage that started last in the log, START before the first."""
    stages = STARTED.findall(log.read_text(errors="replace")) if log.exists() else []
    return stages[-1] if stages else START


def _has_reached(current: str, stage: str) -> bool:
    return stage == START or (current != START and STAGES.index(current) >= STAGES.index(stage))
