"""The scheduler and the workers of a cluster, each on its own host."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

import distributed

from chaos.cluster import hosts as hosts_module
from chaos.cluster.hosts import Host
from chaos.kills import strikes

SCHEDULER, DRIVER = "scheduler", "driver"
WORKERS = ("worker1", "worker2", "worker3")
PORT = 8786
START_SECONDS = 180.0  # of a program on a busy machine
HELPERS = hosts_module.ROOT / "tests" / "helpers"


class Machines:
    """A scheduler and a worker on each of three hosts, with small networks in place of ResNet50 and VGG19."""

    def __init__(self, hosts: Mapping[str, Host], folder: pathlib.Path):
        self.hosts, self.folder = hosts, folder
        self.address = f"tcp://{hosts[SCHEDULER].address}:{PORT}"
        self._programs: dict[str, subprocess.Popen[bytes]] = {}  # name of the host -> its program

    def start(self) -> None:
        """Start what does not run, and wait until the scheduler has all three workers."""
        if not self._runs(SCHEDULER):
            for name in WORKERS:
                self.stop(name)
            self._start(SCHEDULER, "scheduler", "--host", self.hosts[SCHEDULER].address)
            hosts_module.wait_until(lambda: "\nscheduler at " in self._printed(SCHEDULER), START_SECONDS)
        for name in WORKERS:
            if not self._runs(name):
                self.start_worker(name)
        self.wait_for_workers()

    def wait_for_workers(self) -> None:
        """Wait until the scheduler has the workers of all hosts."""
        hosts_module.wait_until(lambda: self.registered() == [*WORKERS], START_SECONDS, 0.5)

    def start_worker(
        self,
        name: str,
        first: Sequence[pathlib.Path] = (),
        folder: pathlib.Path = hosts_module.ROOT,
        hidden: pathlib.Path | None = None,
    ) -> None:
        """Start the worker of a host, which may be a wrong one.

        Args:
            first: folders in which it looks for modules and packages first.
            folder: folder of the code.
            hidden: folder that it does not see.
        """
        options = ["--workers", 1, "--host", self.hosts[name].address]
        self._start(name, "worker", self.address, *options, first=first, folder=folder, hidden=hidden)

    def worker_name(self, name: str) -> str:
        """Return the name that the worker of a host has for the scheduler."""
        hosts_module.wait_until(lambda: "\n1 workers for" in self._printed(name), START_SECONDS)
        return self._printed(name).partition("\n1 workers for")[2].split()[1]

    def worker(self, name: str) -> int:
        """Return the process id of the worker of a host, which its nanny has started."""
        pids = strikes.training_processes(self._programs[name].pid)
        assert len(pids) == 1, f"{name} has {len(pids)} worker processes"
        return pids[0]

    def registered(self) -> list[str]:
        """Return the hosts whose workers the scheduler has."""
        address = {self.hosts[name].address: name for name in WORKERS}
        with contextlib.suppress(OSError), self.hosts[DRIVER].entered(), distributed.Client(self.address) as client:
            workers = client.scheduler_info(n_workers=-1)["workers"].values()
            return sorted(address[worker["host"]] for worker in workers)
        return []

    def stop(self, name: str) -> None:
        """Kill all processes of a host."""
        self.hosts[name].send_signal(signal.SIGKILL)
        if program := self._programs.pop(name, None):
            program.wait(START_SECONDS)

    def stop_all(self) -> None:
        for name in (SCHEDULER, *WORKERS):
            self.stop(name)

    def _runs(self, name: str) -> bool:
        return name in self._programs and self._programs[name].poll() is None

    def _printed(self, name: str) -> str:
        return self._log(name).read_text(errors="replace")

    def _log(self, name: str) -> pathlib.Path:
        return self.folder / f"{name}.txt"

    def _start(
        self,
        name: str,
        *arguments: object,
        first: Sequence[pathlib.Path] = (),
        folder: pathlib.Path = hosts_module.ROOT,
        hidden: pathlib.Path | None = None,
    ) -> None:
        temporary = self.folder / f"tmp-{name}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        self._log(name).write_text("")
        environment = {
            "TMPDIR": str(temporary),
            "PYTHONPATH": os.pathsep.join(map(str, (*first, folder, hosts_module.ROOT, HELPERS))),
            "DASK_DISTRIBUTED__NANNY__PRELOAD": "chaos.cluster.small_networks",
        }
        command = [sys.executable, "-m", "pipeline", *arguments]
        self._programs[name] = self.hosts[name].start(command, self._log(name), environment, folder, hidden)
