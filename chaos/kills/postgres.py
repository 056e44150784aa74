"""A temporary PostgreSQL whose processes can be killed."""

import contextlib
import os
import pathlib
import random
import signal
import subprocess
import time
from collections.abc import Iterator

import sqlalchemy as sa

from chaos import processes

SCRIPT = pathlib.Path(__file__).parents[2] / "tests" / "postgres.sh"
RESUME_SECONDS = 30.0  # for the processes of a killed server to end, and for its recovery


class Server:
    """A running PostgreSQL.

    Attributes:
        url: its DATABASE_URL.
    """

    def __init__(self, folder: pathlib.Path):
        self._environment = {**os.environ, "TMPDIR": str(folder)}
        self.url = self._run("start").stdout.strip()
        socket_folder = pathlib.Path(str(sa.make_url(self.url).query["host"]))
        self._pid_file = socket_folder.with_name("data") / "postmaster.pid"

    def kill(self) -> None:
        """Kill the main process; the others end when they notice. Then start it again."""
        os.kill(self._pid, signal.SIGKILL)
        deadline = time.monotonic() + RESUME_SECONDS
        while True:
            try:
                self._run("resume")
                return
            except subprocess.CalledProcessError:  # some processes have not noticed yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def kill_backend(self, rng: random.Random) -> bool:
        """Kill the process of a connection, after which the server ends all connections; False if there is none."""
        backends = [pid for pid in processes.children(self._pid) if "[local]" in processes.command_line(pid)]
        return processes.kill_one(backends, rng)

    def stop(self) -> None:
        self._run("stop")

    @property
    def _pid(self) -> int:
        return int(self._pid_file.read_text().split()[0])

    def _run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([SCRIPT, command], env=self._environment, text=True, capture_output=True, check=True)


@contextlib.contextmanager
def running(folder: pathlib.Path) -> Iterator[Server | None]:
    """Yield a PostgreSQL in `folder`, None where it is not installed."""
    folder.mkdir(mode=0o755)
    try:
        server = Server(folder)
    except subprocess.CalledProcessError as error:
        print(f"PostgreSQL: skipped. {error.stderr.strip()}")
        yield None
        return
    try:
        yield server
    finally:
        server.stop()
