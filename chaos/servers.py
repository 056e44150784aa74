"""Model server and web page in processes of their own, as trials of the network start them."""

import contextlib
import dataclasses
import http.client
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import psutil

ROOT = pathlib.Path(__file__).parents[1]
HOST = "127.0.0.1"
NO_LIMIT = "1000000000 per minute"
START_SECONDS = 120.0


@dataclasses.dataclass(frozen=True)
class Process:
    """A server that runs: its ports, the process that answers, and the file of its output.

    Attributes:
        port: port of gRPC, or of HTTP for the page.
        rest_port: port of the model server's REST API; 0 for the page.
    """

    port: int
    pid: int
    log: pathlib.Path
    rest_port: int = 0

    def resident_mib(self) -> float:
        """Return the resident memory of the process and its children, on Linux; 0 if it has ended.

        A page of memory that several of them share counts once, as half for each of two.
        """
        process = psutil.Process(self.pid)
        return sum(_proportional_bytes(each) for each in (process, *process.children(recursive=True))) / 2**20

    def tracebacks(self) -> int:
        return self.log.read_text(errors="replace").count("Traceback")


def _proportional_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.NoSuchProcess:  # also while nobody has waited for its end
        return 0


@contextlib.contextmanager
def model_server(base: pathlib.Path) -> Iterator[Process]:
    """Run the embedded server on `base`, the folder of a model's versions, with the batching of `make serve`."""
    config = ROOT / "serving" / "config" / "batching_cpu.config"
    port, rest_port = free_port(), free_port()
    command = [sys.executable, "-m", "serving", "--model_name", "pilah", "--model_base_path", str(base)]
    command += ["--port", str(port), "--rest_api_port", str(rest_port), "--enable_batching"]
    command += ["--batching_parameters_file", str(config)]
    with _process(command, {}, lambda: get(rest_port, "/v1/models/pilah") == 200) as (process, log):
        yield Process(port, process.pid, log, rest_port)


@contextlib.contextmanager
def page(serving_port: int) -> Iterator[Process]:
    """Run the web page, without limits of uploads, on the model server at `serving_port`."""
    with tempfile.TemporaryDirectory() as folder:
        values = {"PILAH_ENV": "development", "PILAH_DATA": folder, "SERVING_TARGET": f"{HOST}:{serving_port}"}
        values |= dict.fromkeys(("UPLOAD_RATE", "VISITOR_RATE", "TOTAL_RATE"), NO_LIMIT)
        upgrade = [sys.executable, "-m", "flask", "--app", "web", "db", "upgrade"]
        subprocess.run(upgrade, cwd=ROOT, env={**os.environ, **values}, check=True, capture_output=True)
        port = free_port()
        command = [sys.executable, "-m", "web.server", "--bind", f"{HOST}:{port}"]
        with _process(command, values, lambda: get(port, "/healthz") == 200) as (process, log):
            yield Process(port, process.pid, log)


@contextlib.contextmanager
def _process(
    command: Sequence[str], variables: Mapping[str, str], is_ready: Callable[[], bool]
) -> Iterator[tuple[subprocess.Popen[bytes], pathlib.Path]]:
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        environment = {**os.environ, **variables}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + START_SECONDS
            while not is_ready():
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"chaos: the server did not start:\n{pathlib.Path(log.name).read_text()}")
                time.sleep(0.05)
            yield process, pathlib.Path(log.name)
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def get(port: int, path: str, seconds: float = 5.0) -> int:
    """Return the status of a GET request; 0 without an answer in `seconds`."""
    connection = http.client.HTTPConnection(HOST, port, timeout=seconds)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
