"""The faults: what is killed, stopped, cut off, slow or wrong, and how a run on the cluster may end then."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import random
import shutil
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from chaos.cluster.hosts import ROOT, Host
from chaos.cluster.machines import DRIVER, SCHEDULER, Machines

if TYPE_CHECKING:  # a plugin of pytest, which must not be imported before it is registered
    from forked_commands import Command

RUN_SECONDS = 400.0  # after which a run hangs
BRIEFLY = (1.0, 3.0)  # seconds; the scheduler waits longer for a worker
LONG = (12.0, 20.0)  # seconds; the scheduler does not wait that long
LONGEST = (35.0, 50.0)  # seconds; Dask gives connections up after 30 s
DELAY_SECONDS, BITS_PER_SECOND = 0.1, 1e6  # of a slow link
LOST_SCHEDULER = "Dask scheduler"  # was lost, or does not answer
DRIVER_KILLED = -signal.SIGKILL


@dataclasses.dataclass(frozen=True)
class Scene:
    """A run on a cluster, and the host whose worker is hit."""

    machines: Machines
    run: Command
    worker: str
    rng: random.Random

    def host(self, name: str = "") -> Host:
        """Return the host of this name, or that of the worker."""
        return self.machines.hosts[name or self.worker]


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault during a run; `codes` are the exit codes that the run may have, and `words` a part of its error."""

    name: str
    strike: Callable[[Scene], None]
    codes: tuple[int, ...] = (0,)
    words: str = ""


@dataclasses.dataclass(frozen=True)
class Misfit:
    """A worker that a run must refuse, with these words: `start` starts it on a host, with a folder for its files."""

    name: str
    start: Callable[[Machines, str, pathlib.Path, pathlib.Path], None]
    words: str
    codes: tuple[int, ...] = (1,)


def kill_worker(scene: Scene) -> None:
    """Kill a worker; its parent process, Dask's nanny, starts another one."""
    os.kill(scene.machines.worker(scene.worker), signal.SIGKILL)


def kill_host(scene: Scene) -> None:
    scene.host().send_signal(signal.SIGKILL)


def kill_driver(scene: Scene) -> None:
    os.killpg(scene.run.pid, signal.SIGKILL)


def kill_scheduler(scene: Scene) -> None:
    scene.host(SCHEDULER).send_signal(signal.SIGKILL)


def stop_worker(scene: Scene) -> None:
    """Stop a worker but not its nanny, which may kill it."""
    worker = scene.machines.worker(scene.worker)
    os.kill(worker, signal.SIGSTOP)
    time.sleep(scene.rng.uniform(*LONG))
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker, signal.SIGCONT)


def stop_host(scene: Scene) -> None:
    """Stop a worker and its nanny."""
    scene.host().send_signal(signal.SIGSTOP)
    time.sleep(scene.rng.uniform(*LONG))
    scene.host().send_signal(signal.SIGCONT)


def stop_host_until_the_end(scene: Scene) -> None:
    """Stop a worker and its nanny until the run has ended."""
    scene.host().send_signal(signal.SIGSTOP)
    scene.run.ends_within(RUN_SECONDS)
    scene.host().send_signal(signal.SIGCONT)


def cut(name: str, seconds: tuple[float, float]) -> Callable[[Scene], None]:
    """Return the fault that cuts the link of the host `name`, or of the worker if that is empty, for some time."""

    def strike(scene: Scene) -> None:
        scene.host(name).cut()
        time.sleep(scene.rng.uniform(*seconds))
        scene.host(name).mend()

    return strike


def slow(name: str) -> Callable[[Scene], None]:
    """Return the fault that makes the link of the host `name`, or of the worker if that is empty, slow."""

    def strike(scene: Scene) -> None:
        with scene.host(name).slow(DELAY_SECONDS, BITS_PER_SECOND):
            scene.run.ends_within(RUN_SECONDS)

    return strike


def start_with_other_package(machines: Machines, name: str, run_dir: pathlib.Path, folder: pathlib.Path) -> None:
    (folder / "keras-0.0.1.dist-info").mkdir(parents=True)
    (folder / "keras-0.0.1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: keras\nVersion: 0.0.1\n")
    machines.start_worker(name, first=[folder])


def start_with_other_code(machines: Machines, name: str, run_dir: pathlib.Path, folder: pathlib.Path) -> None:
    for package in ("pipeline", "components", "tuner"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "tuner" / "folds.py").open("a") as file:
        file.write("# changed\n")
    machines.start_worker(name, folder=folder)


def start_without_folder(machines: Machines, name: str, run_dir: pathlib.Path, folder: pathlib.Path) -> None:
    machines.start_worker(name, hidden=run_dir)


FAULTS: tuple[Fault | Misfit, ...] = (
    Fault("worker killed", kill_worker),
    Fault("worker and nanny killed", kill_host),
    Fault("driver killed", kill_driver, codes=(DRIVER_KILLED,)),
    Fault("scheduler killed", kill_scheduler, codes=(0, 1), words=LOST_SCHEDULER),  # 0 if no task was left
    Fault("worker stopped, 12 to 20 s", stop_worker),
    Fault("worker and nanny stopped, 12 to 20 s", stop_host),
    Fault("worker and nanny stopped until the end", stop_host_until_the_end),
    Fault("link of worker cut, 1 to 3 s", cut("", BRIEFLY)),
    Fault("link of worker cut, 12 to 20 s", cut("", LONG)),
    Fault("link of driver cut, 1 to 3 s", cut(DRIVER, BRIEFLY)),
    Fault("link of driver cut, 35 to 50 s", cut(DRIVER, LONGEST), codes=(0, 1), words=LOST_SCHEDULER),
    Fault("slow link of worker", slow("")),
    Fault("slow link of driver", slow(DRIVER)),
    Misfit("worker with other package", start_with_other_package, "has keras 0.0.1, and"),
    Misfit("worker with other code", start_with_other_code, "has other code of Pilah."),
    Misfit("worker without the run folder", start_without_folder, "does not see"),
)
SHORT = (FAULTS[1], FAULTS[2], FAULTS[3], FAULTS[6], FAULTS[13])
