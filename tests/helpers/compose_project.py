"""A copy of this repository as an operator has it, and its containers."""

import json
import os
import pathlib
import secrets
import shutil
import time
from collections.abc import Callable
from typing import Any

import compose_debian
import compose_engine
import compose_images
import compose_packages

ROOT = pathlib.Path(__file__).parents[2]
NAME = "pilah-test"  # not `pilah`, which may be running at DOCKER_HOST with an operator's data
FILES = ("docker-compose.yml", "docker", ".dockerignore", ".env.example", "requirements")
SOURCES = ("components", "pipeline", "serving", "tuner", "web")
SERVICES = ("db", "serving", "web")
OWNER = 1000  # user ID of the operator, the default of RUNS_OWNER
RUN = "runs/demo"
# random weights, as nothing can be downloaded; VGG19 with them still gives classes that two copies of a photo share
RUN_OPTIONS = "--random-weights --backbones VGG19 --image-size 48 --optimizers Adam --dropouts 0 --folds 2 --views 1"
RUN_OPTIONS += " --epochs 20 --learning-rate 0.003 --min-f1 0"


class Project:
    """The project `NAME` of Compose.

    Attributes:
        folder: the operator's checkout.
        secrets: name -> value of each secret in its .env.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        for name in (*FILES, *SOURCES):
            source, ignored = ROOT / name, shutil.ignore_patterns("__pycache__")
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=ignored)
            else:
                shutil.copy(source, folder)
        self.secrets = {name: secrets.token_hex() for name in ("SECRET_KEY", "POSTGRES_PASSWORD", "ADMIN_TOKEN")}

    def compose(self, *arguments: str, seconds: float = 300) -> str:
        """Run docker compose in the folder and return what it prints on its standard output."""
        environment = {name: os.environ[name] for name in os.environ if name.startswith(("PATH", "HOME", "DOCKER"))}
        environment["COMPOSE_PROJECT_NAME"] = NAME
        return compose_engine.run(["docker", "compose", *arguments], seconds, cwd=self.folder, env=environment)

    def job(self, command: str, *options: str, run_dir: str = RUN, seconds: float = 600) -> str:
        """Run a command of the pipeline on a run as Compose's job."""
        job = ["run", "--rm", "--no-TTY", "pipeline", command, "--run-dir", run_dir, *options]
        return self.compose(*job, seconds=seconds)

    def served(self) -> pathlib.Path:
        """Return the folder of the served versions."""
        return self.folder / RUN / "served" / "pilah"

    def container(self, service: str) -> str:
        return self.compose("ps", "--all", "--quiet", service).strip()

    def inspect(self, service: str, template: str) -> str:
        return compose_engine.docker("inspect", "--format", template, self.container(service)).strip()

    def restarts(self) -> dict[str, int]:
        """Return service -> number of restarts by Docker, without the services that it did not restart."""
        counts = {service: int(self.inspect(service, "{{.RestartCount}}")) for service in SERVICES}
        return {service: count for service, count in counts.items() if count}

    def peak_mb(self, service: str) -> str:
        """Return the most memory that a container has used in MB, "?" if the kernel does not count it."""
        files = "/sys/fs/cgroup/memory/memory.max_usage_in_bytes /sys/fs/cgroup/memory.peak"
        peaks_bytes = self.compose("exec", "-T", service, "sh", "-c", f"cat {files} 2>/dev/null || true").split()
        return str(int(peaks_bytes[0]) // 1_000_000) if peaks_bytes else "?"

    def states(self) -> dict[str, str]:
        """Return service -> health of each running container."""
        lines = self.compose("ps", "--format", "json").splitlines()
        return {row["Service"]: row["Health"] for row in map(json.loads, lines)}

    def wait_until_healthy(self, seconds: float = 240) -> None:
        self.wait(lambda: self.states() == dict.fromkeys(SERVICES, "healthy"), "all services are healthy", seconds)

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = 120) -> None:
        """Wait until `condition` is true; fail with the containers' last lines if it is not in time."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not in {seconds:.0f} s: {what}\n{self.states()}\n{self.logs(40)}"
            time.sleep(0.5)

    @staticmethod
    def pause(seconds: float) -> None:
        """Let an outage last for `seconds`."""
        time.sleep(seconds)

    def logs(self, tail: int | str = "all") -> str:
        return self.compose("logs", "--no-color", "--tail", str(tail))

    def query(self, statement: str) -> list[str]:
        """Return the lines that psql prints for `statement`, with the columns separated by |."""
        psql = ["psql", "--username", "pilah", "--dbname", "pilah", "--no-psqlrc", "--tuples-only", "--no-align"]
        return self.compose("exec", "-T", "db", *psql, "--command", statement).splitlines()

    def flask(self, *arguments: str) -> str:
        return self.compose("exec", "-T", "web", "flask", "--app", "web", *arguments)

    def write_env(self, **settings: str) -> None:
        """Write .env from .env.example, as the documentation says, with `settings`."""
        text = (self.folder / ".env.example").read_text()
        lines = text.splitlines()
        for name, value in {**self.secrets, **settings}.items():
            (position,) = [i for i, line in enumerate(lines) if line.lstrip("#").startswith(f"{name}=")]
            lines[position] = f"{name}={value}"
        (self.folder / ".env").write_text("\n".join(lines) + "\n")

    def build(self) -> None:
        """Build both images with the packages of `compose_packages`, and the stand-in for TensorFlow Serving."""
        gateway = compose_engine.docker(
            "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"
        )
        with compose_packages.served(compose_debian.CACHE / "packages", gateway.strip()) as proxy:
            self.compose("--profile", "job", "build", "--build-arg", f"HTTP_PROXY={proxy}", seconds=1800)
            compose_images.prepare_serving(f"{NAME}-pipeline", proxy)

    def remove(self) -> None:
        """Remove the containers, the networks and the volumes."""
        self.compose("--profile", "job", "--profile", "cluster", "down", "--volumes", "--remove-orphans")
