"""Kills of a command: its process, its process group, or a training process."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING

from chaos import processes

if TYPE_CHECKING:  # a plugin of pytest, which must not be imported before it is registered
    from forked_commands import Command

END_SECONDS = 60.0  # after which children that outlive a killed command count as left behind
WORKER_KILLED = "A training worker was killed"


def kill_process(command: Command) -> str:
    """Kill the command's own process; its children must end by themselves. Return what was killed."""
    os.kill(command.pid, signal.SIGKILL)
    command.exit_code()
    _wait_for_children(command.pid)
    return "the process alone"


def kill_group(command: Command) -> str:
    """Kill the command and its children at once. Return what was killed."""
    os.killpg(command.pid, signal.SIGKILL)
    command.exit_code()
    _wait_for_children(command.pid)
    return "its process group"


def kill_worker(command: Command, rng: random.Random) -> str:
    """Kill one of the training processes, if there are some; the command must say so and end."""
    workers = training_processes(command.pid)
    try:
        os.kill(rng.choice(workers), signal.SIGKILL)
    except (IndexError, ProcessLookupError):  # there are none, or it has just ended
        return kill_group(command)
    code = command.exit_code()
    _wait_for_children(command.pid)
    is_named = code == 1 and WORKER_KILLED in command.printed and "Traceback" not in command.printed
    assert is_named, f"exit code {code}: {command.printed[-500:]}"
    return "one training process"


def training_processes(pid: int) -> list[int]:
    """Return the ids of the training processes that the process `pid` has started."""
    return [child for child in processes.children(pid) if "spawn_main" in processes.command_line(child)]


def _wait_for_children(group: int) -> None:
    """Wait until no process of the group is left.

    Raises:
        AssertionError: some outlive the command, and were killed.
    """
    deadline = time.monotonic() + END_SECONDS
    is_late = False
    while not is_late:
        time.sleep(0.02)
        is_late = time.monotonic() > deadline
        try:
            os.killpg(group, signal.SIGKILL if is_late else 0)
        except ProcessLookupError:
            return
    raise AssertionError(f"children of process {group} outlived it, and were killed")
