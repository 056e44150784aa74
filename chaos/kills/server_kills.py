"""SIGKILL the embedded model server at random moments, while clients ask and new versions are pushed."""

from __future__ import annotations

import pathlib
import random
import shutil
import threading
import time
from typing import TYPE_CHECKING

from chaos import servers
from chaos.outcomes import Outcome
from components.base import artifacts
from components.publish import push
from serving import client

if TYPE_CHECKING:  # a plugin of pytest, which must not be imported before it is registered
    from forked_commands import Command, Commands

CLIENTS = 2
TIMEOUT_SECONDS = 2.0
READY_SECONDS = 120.0
TOLERANCE = 1e-5  # between scores of a photo, which batches of other sizes may round differently


class Asker(threading.Thread):
    """Classifies `photos` again and again, and notes wrong answers; a server that is away is none."""

    def __init__(self, target: str, photos: list[bytes], expected: list[client.Prediction], ending: threading.Event):
        super().__init__(daemon=True)
        self._target, self._photos, self._expected, self._ending = target, photos, expected, ending
        self.answered = self.unavailable = 0
        self.failures: list[str] = []

    def run(self) -> None:
        with client.Client(self._target, timeout_seconds=TIMEOUT_SECONDS) as caller:
            while not self._ending.is_set():
                for photo, expected in zip(self._photos, self._expected, strict=True):
                    self._ask(caller, photo, expected)

    def _ask(self, caller: client.Client, photo: bytes, expected: client.Prediction) -> None:
        try:
            answer = caller.classify(photo)
        except client.ServingUnavailable:
            self.unavailable += 1
        except Exception as error:
            self.failures.append(f"{type(error).__name__}: {error}")
        else:
            self.answered += 1
            if not _is_equal(answer, expected):
                self.failures.append(f"answered {answer.scores} instead of {expected.scores}")


class Server:
    """A server of the versions in `base` on a port that it keeps."""

    def __init__(self, commands: Commands, base: pathlib.Path):
        self._commands, self._base = commands, base
        self._port = servers.free_port()
        self.target = f"{servers.HOST}:{self._port}"
        self._started: list[Command] = []

    def start(self) -> None:
        flags = ["--model_base_path", self._base, "--port", self._port, "--file_system_poll_wait_seconds", 0.1]
        command = self._commands.start("--model_name", "pilah", *flags, program="serving")
        self._started.append(command)

    def kill(self) -> None:
        self._started[-1].kill()

    def printed(self) -> str:
        """Return the output of all starts."""
        return "".join(command.printed for command in self._started)

    def wait(self) -> None:
        """Wait until it answers.

        Raises:
            AssertionError: it ended, or does not answer in time.
        """
        command = self._started[-1]
        deadline = time.monotonic() + READY_SECONDS
        with client.Client(self.target, timeout_seconds=TIMEOUT_SECONDS) as caller:
            while not caller.is_ready():
                assert command.is_running, f"the server ended: {command.printed[-500:]}"
                assert time.monotonic() < deadline, f"the server does not answer: {command.printed[-500:]}"
                time.sleep(0.02)


def run(
    commands: Commands,
    folder: pathlib.Path,
    version: pathlib.Path,
    photos: list[bytes],
    kills: int,
    rng: random.Random,
) -> list[Outcome]:
    """Return the outcome of `kills` kills of a server of `version`, a pushed model, which is pushed again and again."""
    base = folder / "served" / push.MODEL_NAME
    shutil.copytree(version, base / "1")
    server, ending, started = Server(commands, base), threading.Event(), time.monotonic()
    askers: list[Asker] = []
    failures: list[str] = []
    try:
        server.start()
        server.wait()
        with client.Client(server.target) as caller:
            expected = [caller.classify(photo) for photo in photos]
        askers += [Asker(server.target, photos, expected, ending) for _ in range(CLIENTS)]
        for asker in askers:
            asker.start()
        for number in range(kills):
            push.push(version, base, artifacts.read_json(version / push.DESCRIPTION), keep_versions=2)
            time.sleep(rng.uniform(0, 1.0))  # while it notices and loads the new version
            server.kill()
            server.start()
            if number % 3:
                server.wait()  # every third one is killed again while it starts
        server.wait()
        failures += _check_last_start(server, base, askers, photos[0])
        server.kill()
    except Exception as error:  # the other trials go on
        failures.append(f"{type(error).__name__}: {error}")
    ending.set()
    for asker in askers:
        asker.join()
        failures += asker.failures
    failures += ["a server logged a traceback"] if "Traceback" in server.printed() else []
    answered, unavailable = (sum(getattr(asker, name) for asker in askers) for name in ("answered", "unavailable"))
    trial = f"kills of the model server: {answered} right answers, {unavailable} times unavailable"
    print(f"model server: {time.monotonic() - started:.0f} s", flush=True)
    return [Outcome(trial, kills, failures=tuple(failures))]


def _check_last_start(server: Server, base: pathlib.Path, askers: list[Asker], photo: bytes) -> list[str]:
    """Return what is wrong with the server that runs now: it must answer all clients, with the newest version."""
    answered_before = [asker.answered for asker in askers]
    time.sleep(1.0)
    failures = [
        "a client got no answer after the last start"
        for asker, before in zip(askers, answered_before, strict=True)
        if asker.answered == before
    ]
    with client.Client(server.target) as caller:
        newest = caller.classify(photo).model_version
    return failures + ([] if newest == push.versions(base)[-1] else [f"version {newest} is served, not the newest"])


def _is_equal(answer: client.Prediction, expected: client.Prediction) -> bool:
    return answer.scores.keys() == expected.scores.keys() and all(
        abs(score - expected.scores[name]) <= TOLERANCE for name, score in answer.scores.items()
    )
