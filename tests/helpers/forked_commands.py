"""Commands of the pipeline in forks of one process that has imported TensorFlow, which takes seconds a process."""

import dataclasses
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from components.base import settings

ROOT = pathlib.Path(__file__).parents[2]
SERVER = "import forked_commands; forked_commands.serve()"  # not a file: training workers would run it again


@dataclasses.dataclass(frozen=True)
class Command:
    """A command that was started.

    Attributes:
        pid: process id.
        log: file with what it prints.
        exit_code: waits for its end and returns its exit code, or minus the signal that ended it.
    """

    pid: int
    log: pathlib.Path
    exit_code: Callable[[], int]

    @property
    def printed(self) -> str:
        return self.log.read_text()

    @property
    def words(self) -> str:
        """What it printed, without its line breaks."""
        return " ".join(self.printed.split())

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        assert self.exit_code() == -signal.SIGKILL, f"it had ended before: {self.printed}"

    def kill_when(self, reached: Callable[[], object]) -> None:
        """Send SIGKILL as soon as `reached()` is true."""
        ended, deadline = os.pidfd_open(self.pid), time.monotonic() + 900
        while not reached():
            assert not select.select([ended], [], [], 0.01)[0], f"it ended before it could be killed: {self.printed}"
            assert time.monotonic() < deadline, f"it never got there: {self.printed}"
        os.close(ended)
        self.kill()


class Commands:
    """The process that forks."""

    def __init__(self, folder: pathlib.Path):
        path = os.pathsep.join([str(ROOT), str(pathlib.Path(__file__).parent)])
        self._folder, self._count = folder, 0
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, *arguments: object, small: bool = False, processes: int | None = None) -> Command:
        """Start `python -m pipeline` with `arguments`.

        Args:
            small: whether ResNet50 and VGG19 are networks of three convolutions.
            processes: number of processes that train; None leaves it to the pipeline.
        """
        self._count += 1
        log = self._folder / f"{self._count}.txt"
        pid = self._ask([[str(argument) for argument in arguments], str(log), small, processes])
        return Command(pid, log, lambda: self._ask(pid))

    def run(self, *arguments: object, small: bool = False, processes: int | None = None) -> tuple[int, Command]:
        """Run a command to its end; return its exit code too."""
        command = self.start(*arguments, small=small, processes=processes)
        return command.exit_code(), command

    def close(self) -> None:
        self._server.communicate()
        assert self._server.returncode == 0

    def _ask(self, request: Any) -> int:
        assert self._server.stdin and self._server.stdout
        print(json.dumps(request), file=self._server.stdin, flush=True)
        return int(self._server.stdout.readline())


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Return the commands of a module, which are killed at its end."""
    started = Commands(tmp_path_factory.mktemp("printed"))
    yield started
    started.close()


def serve() -> None:
    """Answer each line of standard input: start a command and print its process id, or wait for one to end."""
    import pipeline.__main__  # sets variables that TensorFlow reads when it is imported
    import pipeline.main  # noqa: F401  # imports TensorFlow, and starts none of its threads

    running = set()
    for line in sys.stdin:
        request = json.loads(line)
        if isinstance(request, int):
            answer = os.waitstatus_to_exitcode(os.waitpid(request, 0)[1])
            running.discard(request)
        else:
            answer = _fork(*request)
            running.add(answer)
        print(answer, flush=True)
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def _fork(arguments: list[str], log: str, small: bool, processes: int | None) -> int:
    """Start a command in a fork; return its process id."""
    pid = os.fork()
    if pid:
        return pid
    code: Any = 1
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number, target in enumerate([os.open(os.devnull, os.O_RDONLY), output, output]):
            os.dup2(target, number)
        if small:
            _use_small_networks()
        if processes:
            from tuner import workers

            workers.count = lambda tasks: processes
        from pipeline.cli import app

        app(arguments, prog_name="python -m pipeline")
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        os._exit(code)


def _use_small_networks() -> None:
    """Put other networks in the place of ResNet50 and VGG19, which differ in their features and have random weights."""
    import tiny_backbone

    from components.models import backbones

    def build(weights: Any, **arguments: Any) -> Any:
        if weights:
            raise OSError("small networks have no weights to download")
        return tiny_backbone.build(weights, **arguments)

    scales: dict[settings.Backbone, float] = {"ResNet50": 255.0, "VGG19": 64.0}
    for name, scale in scales.items():
        backbones.BACKBONES[name] = dataclasses.replace(
            backbones.BACKBONES[name],
            build=build,
            preprocess=lambda pixels, scale=scale: pixels / scale - 1,
            parameters=2104,
            channels=16,
        )
