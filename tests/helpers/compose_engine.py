"""Docker engine for the tests of Compose: a dockerd of their own in a network of their own, and its programs.

`compose_debian.CACHE` keeps dockerd's data with the images, the programs and the packages.
"""

import contextlib
import ctypes
import fcntl
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import compose_debian

CLONE_NEWNET = 0x40000000
PACKAGES = {"dockerd": "docker.io", "debootstrap": "debootstrap", "ip": "iproute2"}
START_SECONDS, STOP_SECONDS = 60.0, 60.0


def missing() -> str:
    """Return why the tests cannot run here and how to change that; "" if they can."""
    if os.geteuid():
        return "needs root, for dockerd and debootstrap: sudo make compose-test"
    programs = {name for name in PACKAGES if not shutil.which(name)} - ({"dockerd"} if _given_engine() else set())
    if programs:
        packages = " ".join(sorted(PACKAGES[name] for name in programs))
        return f"needs {', '.join(sorted(programs))}: apt-get install {packages}"
    return ""


def docker(*arguments: str | pathlib.Path, **options: Any) -> str:
    """Run docker with `arguments` and return what it prints.

    Raises:
        RuntimeError: docker failed. The message ends with its output.
    """
    return run(["docker", *map(str, arguments)], **options)


def run(command: Sequence[str | pathlib.Path], seconds: float = 900, **options: Any) -> str:
    """Run `command` and return its standard output, as `docker` does."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return str(done.stdout)


@contextlib.contextmanager
def started() -> Iterator[contextlib.AbstractContextManager[None]]:
    """Set the environment for an engine in the block: the one at DOCKER_HOST, or one that ends with the block.

    Yields:
        A context in which this thread reaches the published ports. Outside of it, it reaches the internet.
    """
    compose_debian.CACHE.mkdir(parents=True, exist_ok=True)
    with (
        (compose_debian.CACHE / "lock").open("w") as lock,
        tempfile.TemporaryDirectory(prefix="pilah-engine-") as folder,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second run waits here
        _find_programs(pathlib.Path(folder))
        if _given_engine():
            docker("version")
            yield contextlib.nullcontext()
            return
        with _dockerd(pathlib.Path(folder)) as process:
            yield _network_of(process.pid)


def _given_engine() -> bool:
    return bool(os.environ.get("DOCKER_HOST"))


def _find_programs(folder: pathlib.Path) -> None:
    """Put docker on the path with Compose v2 and buildx: those of the machine, or Debian trixie's."""
    plugins = ("compose", "buildx")
    if shutil.which("docker") and all(_works(["docker", plugin, "version"]) for plugin in plugins):
        return
    programs = compose_debian.docker_programs()
    os.environ["PATH"] = f"{programs / 'usr/bin'}:{os.environ['PATH']}"
    os.environ["DOCKER_CONFIG"] = str(folder)
    (folder / "cli-plugins").symlink_to(programs / "usr/libexec/docker/cli-plugins")
    for plugin in plugins:
        docker(plugin, "version")


def _works(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


@contextlib.contextmanager
def _dockerd(folder: pathlib.Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run dockerd in a network namespace: its ports collide with no others, and its containers reach no network."""
    os.environ["DOCKER_HOST"] = f"unix://{folder}/docker.sock"
    folders = [
        "--data-root",
        compose_debian.CACHE / "docker",
        "--exec-root",
        folder / "exec",
        "--pidfile",
        folder / "pid",
    ]
    in_namespace = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec dockerd "$@"', "dockerd"]
    command = ["setpriv", "--pdeathsig", "TERM", *in_namespace, *map(str, folders), "--host", os.environ["DOCKER_HOST"]]
    with (folder / "log").open("w+") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait_for_dockerd(process, folder / "log")
            yield process
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)
            del os.environ["DOCKER_HOST"]


def _wait_for_dockerd(process: subprocess.Popen[bytes], log: pathlib.Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _works(["docker", "version"]):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"dockerd did not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.2)


@contextlib.contextmanager
def _network_of(pid: int) -> Iterator[None]:
    """Move this thread into the network of process `pid` for the block."""
    libc = ctypes.CDLL(None, use_errno=True)
    with pathlib.Path("/proc/thread-self/ns/net").open() as own, pathlib.Path(f"/proc/{pid}/ns/net").open() as other:
        if libc.setns(other.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "The network of dockerd cannot be entered")
        try:
            yield
        finally:
            libc.setns(own.fileno(), CLONE_NEWNET)
