"""Processes of a trial: their children and command lines, kills, and an end in limited time."""

import contextlib
import os
import pathlib
import random
import signal
import subprocess
from collections.abc import Sequence

HAS_ENDED = (FileNotFoundError, ProcessLookupError)  # errors of reading /proc/PID


def children(pid: int) -> list[int]:
    """Return the ids of the child processes of all threads of `pid`; none if it has ended."""
    found: list[str] = []
    with contextlib.suppress(*HAS_ENDED):
        for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(*HAS_ENDED):
                found += thread.joinpath("children").read_text().split()
    return [int(child) for child in found]


def command_line(pid: int) -> str:
    """Return the command line of a process; "" if it has ended."""
    with contextlib.suppress(*HAS_ENDED):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return ""


def kill_one(pids: Sequence[int], rng: random.Random) -> bool:
    """Kill one of these processes; return False if there is none, or the one that was drawn has ended."""
    with contextlib.suppress(ProcessLookupError):
        if pids:
            os.kill(rng.choice(pids), signal.SIGKILL)
            return True
    return False


def stop(process: subprocess.Popen[bytes], seconds: float) -> list[str]:
    """End a process that leads its group; kill the group if it has not ended in `seconds`, and return that failure."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return [f"process {process.pid} did not end within {seconds:.0f} s and was killed"]
    return []
