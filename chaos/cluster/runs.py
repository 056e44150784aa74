"""Runs on a cluster that suffer a fault each, and their files compared with those of a run on one machine."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import random
import shutil
import signal
import time
from typing import TYPE_CHECKING

from chaos.cluster import faults, watch
from chaos.cluster.faults import Fault, Misfit, Scene
from chaos.cluster.machines import WORKERS, Machines
from chaos.kills import run_kills

if TYPE_CHECKING:  # a plugin of pytest, which must not be imported before it is registered
    from forked_commands import Command, Commands

RETURN_SECONDS = 5.0  # for what a worker that is back might still write
MOST_RESTARTS = 3  # of a run
MOST_MISSES = 5  # of a stage in which a run is to be hit
SHARED_STAGES = ("features", "search", "refine", "model")  # whose work is done by the workers
NOISE = ("Traceback", "distributed.", "tornado.")  # of libraries


@dataclasses.dataclass
class Row:
    """What a fault did to a run; the lists have names of files, or reasons."""

    fault: str
    study: str
    when: str = ""
    restarts: int = 0
    lost: list[str] = dataclasses.field(default_factory=list)
    doubled: list[str] = dataclasses.field(default_factory=list)
    changed: list[str] = dataclasses.field(default_factory=list)
    failures: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0


class Trial(run_kills.Trial):
    """A run on one machine, the same run on a cluster, and those that suffer a fault."""

    def __init__(
        self, commands: Commands, folder: pathlib.Path, study: str, settings: list[str], cluster: Machines, seed: int
    ):
        super().__init__(commands, folder, settings, random.Random(seed))
        self.study, self.cluster, self.number, self.started = study, cluster, 0, 0.0

    def start(self, name: str, processes: int, killed_at: int | None = None) -> Command:
        """Start a run on one core, because each worker has one thread, and sums depend on the number of threads."""
        command = super().start(name, processes, killed_at)
        os.sched_setaffinity(command.pid, {min(os.sched_getaffinity(0))})
        return command

    def undisturbed(self) -> Row:
        """Return the row of a run without a fault, which gives the seconds of the stages."""
        row = Row("none", self.study, failures=list(self.tally.failures))
        self.cluster.start()
        with watch.Watch(self.folder / "cluster") as files:
            self._end_run(row, self._start_run("cluster"), (0,))
        self._compare(row, files)
        marks = {stage: self.folder / "cluster" / "stages" / f"{stage}.json" for stage in SHARED_STAGES}
        self.seconds = {
            stage: json.loads(path.read_text())["seconds"] for stage, path in marks.items() if path.exists()
        }
        return row

    def suffer(self, fault: Fault | Misfit) -> Row:
        """Let a new run suffer a fault, and start it again until it ends with exit code 0."""
        self.number += 1
        row, name, worker = Row(fault.name, self.study), f"fault-{self.number}", self.rng.choice(WORKERS)
        try:
            self.cluster.start()
            if isinstance(fault, Misfit):
                self._refuse(row, fault, name, worker)
            else:
                self._hit(row, fault, name, worker)
        except (AssertionError, OSError) as error:  # such as a worker that does not return
            row.failures.append(f"{type(error).__name__}: {error}")
            self.cluster.stop_all()
        return row

    def _hit(self, row: Row, fault: Fault, name: str, worker: str) -> None:
        """Start a run, strike at a random moment of a stage, and let it end."""
        row.when = self.rng.choice(list(self.seconds))
        command = self._start_until(name, row.when)
        with watch.Watch(self.folder / name) as files:
            fault.strike(Scene(self.cluster, command, worker, self.rng))
            code = self._end_run(row, command, fault.codes, fault.words)
            self._continue(row, name, code)
        self._compare(row, files)

    def _refuse(self, row: Row, fault: Misfit, name: str, worker: str) -> None:
        """Start a run with a wrong worker, which it must name, and again without that worker."""
        (self.folder / name).mkdir()
        self.cluster.stop(worker)
        fault.start(self.cluster, worker, self.folder / name, self.folder / f"{name}-worker")
        self.cluster.wait_for_workers()
        with watch.Watch(self.folder / name) as files:
            words = f"{self.cluster.worker_name(worker)} {fault.words}"
            code = self._end_run(row, self._start_run(name), fault.codes, words)
            row.when = f"refused, {row.seconds:.1f} s"
            self.cluster.stop(worker)
            self._continue(row, name, code)
        self._compare(row, files)

    def _continue(self, row: Row, name: str, code: int) -> None:
        """Give the same command again until its exit code is 0, and wait until all workers are back."""
        while code and row.restarts < MOST_RESTARTS:
            row.restarts += 1
            self.cluster.start()
            code = self._end_run(row, self._start_run(name), (0,))
        self.cluster.start()
        time.sleep(RETURN_SECONDS)

    def _start_until(self, name: str, stage: str) -> Command:
        """Start a run, and return it at a random moment of `stage`; if it is past that by then, start another one.

        Raises:
            AssertionError: several runs were past the stage.
        """
        for _ in range(MOST_MISSES):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            command = self._start_run(name)
            is_there = self.wait_for(command, name, stage) and not command.ends_within(
                self.rng.uniform(0, self.seconds[stage])
            )
            if is_there and run_kills.current_stage(self.folder / name / "log.txt") == stage:
                return command
            command.ends_within(faults.RUN_SECONDS)
            self.seconds[stage] /= 2  # the machine is less busy than before
        raise AssertionError(f"{MOST_MISSES} runs were past {stage} before the fault")

    def _start_run(self, name: str) -> Command:
        """Start the command on the run folder `name`, with a new log."""
        (self.folder / name / "log.txt").unlink(missing_ok=True)
        options = ["--run-dir", self.folder / name, "--images", self.photos, "--cluster", self.cluster.address]
        self.started = time.monotonic()
        return self.commands.start("run", *options, *self.settings, small=True)

    def _end_run(self, row: Row, command: Command, codes: tuple[int, ...], words: str = "") -> int:
        """Wait until a run ends, note what is wrong with its end, and return its exit code."""
        if not command.ends_within(faults.RUN_SECONDS):
            row.failures.append(f"did not end within {faults.RUN_SECONDS:.0f} s: {command.printed[-600:]}")
            os.killpg(command.pid, signal.SIGKILL)
        code = command.exit_code()
        row.seconds += time.monotonic() - self.started
        if code not in codes or not is_clear(code, command.printed, words):
            row.failures.append(f"exit code {code}: {command.printed[-1500:]}")
        return code

    def _compare(self, row: Row, files: watch.Watch) -> None:
        """Note the differences from the run on one machine, and the files that were written again."""
        row.lost, row.doubled, row.changed = watch.differences(self.folder / run_kills.UNDISTURBED, files.run_dir)
        row.doubled += [f"{name} (written again)" for name in files.again]


def is_clear(code: int, printed: str, words: str) -> bool:
    """Return whether a command that failed printed one error, with these words, and no command those of libraries."""
    errors = [line for line in printed.splitlines() if line.startswith("pilah: ")]
    return len(errors) == (code == 1) and all(words in line for line in errors) and not any(w in printed for w in NOISE)
