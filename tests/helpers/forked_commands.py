"""Run commands of the pipeline and the server in forks of one process, which imports TensorFlow only once."""

import dataclasses
import functools
import importlib
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from components.base import settings

ROOT = pathlib.Path(__file__).parents[2]
SERVER = "import forked_commands; forked_commands.serve()"  # not a file, because training workers would run it again
IMPORTS = {
    "pipeline": "pipeline.main",
    "serving": "serving.embedded.server",
}  # program -> module that imports TensorFlow
LIMIT_SECONDS = 1800  # far more than a command of the tests takes on a busy machine


@dataclasses.dataclass(frozen=True)
class Command:
    """A running or finished command.

    Attributes:
        pid: process id, also of the process group of the command and its children.
        log: file with its output.
        exit_code: waits until it ends; returns its exit code, or minus the signal that ended it, which is SIGALRM for
            a command of the pipeline that runs longer than LIMIT_SECONDS.
    """

    pid: int
    log: pathlib.Path
    exit_code: Callable[[], int]

    @property
    def is_running(self) -> bool:
        return not self.ends_within(0)

    def ends_within(self, seconds: float) -> bool:
        """Wait for at most `seconds`; return whether it has ended."""
        ended = os.pidfd_open(self.pid)
        try:
            return bool(select.select([ended], [], [], seconds)[0])
        finally:
            os.close(ended)

    @property
    def printed(self) -> str:
        return self.log.read_text()

    @property
    def words(self) -> str:
        """Return its output without line breaks."""
        return " ".join(self.printed.split())

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        assert self.exit_code() == -signal.SIGKILL, f"the command had already ended: {self.printed}"

    def kill_when(self, condition: Callable[[], object]) -> None:
        """Send SIGKILL as soon as `condition()` is true."""
        deadline = time.monotonic() + 900
        while not condition():
            assert not self.ends_within(0.01), f"the command ended before the condition was met: {self.printed}"
            assert time.monotonic() < deadline, f"the condition was not met in time: {self.printed}"
        self.kill()


class Commands:
    """A process that starts each command in a fork."""

    def __init__(self, folder: pathlib.Path, *programs: str):
        path = os.pathsep.join([str(ROOT), str(pathlib.Path(__file__).parent)])
        self._folder, self._count = folder, 0
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER, *programs],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path, "COLUMNS": "300", "NO_COLOR": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(
        self,
        *arguments: object,
        program: str = "pipeline",
        folder: pathlib.Path = ROOT,
        small: bool = False,
        configure_only: bool = False,
        processes: int | None = None,
        killed_at: int | None = None,
    ) -> Command:
        """Start `python -m PROGRAM` with `arguments` in `folder`.

        Args:
            small: whether to replace ResNet50 and VGG19 by networks of three convolutions.
            configure_only: whether `run` ends once its configuration is checked, before any stage.
            processes: number of training processes; None for the pipeline's default.
            killed_at: moment at which the process is killed: 0 is before it renames the first file or folder, 1 after
                it, 2 before the second, and so on.
        """
        self._count += 1
        log = self._folder / f"{self._count}.txt"
        words = [str(argument) for argument in arguments]
        pid = self._ask([program, words, str(log), str(folder), small, configure_only, processes, killed_at])
        return Command(pid, log, functools.cache(lambda: self._ask(pid)))

    def run(self, *arguments: object, **options: Any) -> tuple[int, Command]:
        """Run a command until it ends; return its exit code and the command."""
        command = self.start(*arguments, **options)
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
    """Yield the commands of a test module, which are killed after it."""
    started = Commands(tmp_path_factory.mktemp("printed"), "pipeline", "serving")
    yield started
    started.close()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Yield the servers of a test module, which are killed after it."""
    started = Commands(tmp_path_factory.mktemp("printed"), "serving")
    yield started
    started.close()


def serve() -> None:
    """Answer each line of standard input: start a command and print its process id, or wait for one to end."""
    for program in sys.argv[1:]:
        importlib.import_module(f"{program}.__main__")  # sets the variables that TensorFlow reads when it is imported
        importlib.import_module(IMPORTS[program])  # imports TensorFlow without starting its threads
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
        os.killpg(pid, signal.SIGKILL)
    os._exit(0)  # TensorFlow takes seconds to end


def _fork(
    program: str,
    arguments: list[str],
    log: str,
    folder: str,
    small: bool,
    configure_only: bool,
    processes: int | None,
    killed_at: int | None,
) -> int:
    """Start a command in a fork; return its process id."""
    pid = os.fork()
    os.setpgid(pid, 0)  # in both processes, so that the group exists when either goes on
    if pid:
        return pid
    code: Any = 1
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number, target in enumerate([os.open(os.devnull, os.O_RDONLY), output, output]):
            os.dup2(target, number)
        os.chdir(folder)
        if small:
            use_small_networks()
        if configure_only:
            _end_before_the_stages()
        if processes:
            from tuner import workers

            workers.count = lambda tasks: processes
        if killed_at is not None:
            _kill_when_renaming(killed_at)
        sys.argv[1:] = arguments
        if program == "pipeline":
            signal.alarm(LIMIT_SECONDS)
            from pipeline.cli import app

            app(prog_name="python -m pipeline")
        else:
            from serving.__main__ import main

            main()
        code = 0
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):  # a message, which Python prints for SystemExit
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _end_before_the_stages() -> None:
    from pipeline import main
    from pipeline.commands import check_serving

    main.run = lambda *arguments, **options: None
    check_serving.check = lambda *arguments, **options: ""


def _kill_when_renaming(moment: int) -> None:
    """Let this process kill itself at a `moment` as `Commands.start` counts them."""
    moments = iter(range(moment + 1))

    def kill_if_last() -> None:
        if next(moments) == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def killing(rename: Callable[..., None]) -> Callable[..., None]:
        def renamed(*paths: Any, **options: Any) -> None:
            kill_if_last()
            rename(*paths, **options)
            kill_if_last()

        return renamed

    os.rename, os.replace = killing(os.rename), killing(os.replace)


def use_small_networks() -> None:
    """Replace ResNet50 and VGG19 by small networks with random weights, whose features differ."""
    import tiny_backbone

    from components.models import backbones

    scales: dict[settings.Backbone, float] = {"ResNet50": 255.0, "VGG19": 64.0}
    for name, scale in scales.items():
        backbones.BACKBONES[name] = dataclasses.replace(
            backbones.BACKBONES[name],
            build=tiny_backbone.build,
            weights_url=f"http://localhost:1/{name}.h5",  # no server listens there
            preprocess=lambda pixels, scale=scale: pixels / scale - 1,
            parameters=2104,
            channels=16,
            top="before top_conv",
            top2="before mid_conv",
        )
