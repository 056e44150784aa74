"""Runs on disks that are full or read-only, with files from the future, moved, or started twice."""

from __future__ import annotations

import os
import pathlib
import random
import re
import shutil
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from chaos.faults import small_disk
from chaos.kills import run_files, strikes
from chaos.kills.run_kills import UNDISTURBED, Trial
from chaos.outcomes import Outcome

if TYPE_CHECKING:  # a plugin of pytest, which must not be imported before it is registered
    from forked_commands import Command

FUTURE_SECONDS = 4_070_908_800  # in 2099
MOST_LEFT_BYTES = 32_768  # on a full disk, so that some writes fail in the middle of a file
COMMANDS = 4  # at the same time
DISK_MIB = 64
UNCLEAR = re.compile(r'--debug|File "|function_node|\[Op:|\[\(')  # traces of tracebacks, graphs and lists
SKIPPED = ": unchanged, skipped"


def full_disk(trial: Trial, stages: Iterable[str], rng: random.Random) -> Outcome:
    """Fill the disk of a run when each of `stages` starts; it must end with one line, and go on when there is space."""
    with small_disk.mounted(trial.folder / "full", DISK_MIB) as is_mounted:
        if not is_mounted:
            return Outcome("disk full during a run: skipped, needs root", 0)
        failures, disk, filled = [], trial.folder / "full", 0
        for stage in stages:
            if stage not in trial.left("full/run"):
                continue  # it ended before the disk was full
            command = trial.start("full/run", processes=1)
            if not trial.wait_for(command, "full/run", stage):
                failures.append(f"ended before {stage}: exit code {command.exit_code()}: {command.printed[-600:]}")
                break
            small_disk.fill(disk, rng.randrange(MOST_LEFT_BYTES))
            failures += check_refusal(command, f"disk full in {stage}", "Free some space")
            filled += 1
            small_disk.free(disk)
        return Outcome("disk full during a run", filled, **ended(trial, "full/run", failures))


def read_only_disk(trial: Trial) -> Outcome:
    """Run commands on a finished run that cannot be written: they say so in one line, or need not write."""
    with small_disk.mounted(trial.folder / "read-only", DISK_MIB) as is_mounted:
        if not is_mounted:
            return Outcome("read-only run folder: skipped, needs root", 0)
        disk = trial.folder / "read-only"
        shutil.copytree(trial.folder / UNDISTURBED, disk / "run")
        failures = []
        commands = ("run", "audit", "leakage-check", "report", "rollback", "status")
        with small_disk.read_only(disk):
            for name in commands:
                options = ["--images", trial.photos] if name == "run" else []
                command = trial.commands.start(name, "--run-dir", disk / "run", *options, small=True)
                if name != "status":
                    failures += check_refusal(command, f"{name} on a read-only disk", "read-only")
                elif command.exit_code():
                    failures.append(f"status on a read-only disk: {command.printed[-300:]}")
        return Outcome("read-only run folder", len(commands), **ended(trial, "read-only/run", failures))


def commands_at_once(trial: Trial) -> Outcome:
    """Start the same command several times at once: one runs, and the others are refused."""
    commands = [trial.start("shared", processes=1) for _ in range(COMMANDS)]
    codes = [command.exit_code() for command in commands]
    failures = [] if sorted(codes) == [0] + [1] * (COMMANDS - 1) else [f"exit codes {codes}"]
    for command, code in zip(commands, codes, strict=True):
        if code:
            failures += check_refusal(command, "a second command", "is in use by process")
    return Outcome("several commands on one run folder", COMMANDS, **ended(trial, "shared", failures))


def moved_from_the_future(trial: Trial) -> Outcome:
    """Move an interrupted run, date its files and photos in the future as after a clock is set back, and go on with it.

    The same with the finished run, which must find nothing to do but the report, as that has the folder's name.
    """
    is_killed = trial.kill_in("here", "search", strikes.kill_group)
    (trial.folder / "here").rename(trial.folder / "there")
    date(trial.folder / "there", FUTURE_SECONDS)
    date(trial.photos, FUTURE_SECONDS)
    result = ended(trial, "there", [] if is_killed else ["the run ended before it was killed"])
    (trial.folder / "there").rename(trial.folder / "elsewhere")
    date(trial.folder / "elsewhere", FUTURE_SECONDS)
    result = unchanged(trial, "elsewhere", result, repeated=1)
    date(trial.photos, time.time())
    return Outcome("run folder that is moved, with files from the future", 2, **result)


def date(folder: pathlib.Path, seconds: float) -> None:
    """Set the times of all files and folders in `folder`."""
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (seconds, seconds), follow_symlinks=False)


def check_refusal(command: Command, what: str, words: str) -> list[str]:
    """Return what is wrong with the end of `command`, which must be code 1 and a line with `words` and a path."""
    code, lines = command.exit_code(), command.printed.splitlines()
    errors = [line for line in lines if line.startswith("pilah: ")]
    is_clear = len(errors) == 1 and words in errors[0] and "/run" in errors[0] and not UNCLEAR.search(errors[0])
    if code == 1 and is_clear and not any(line.startswith("Traceback") for line in lines):
        return []
    return [f"{what}: exit code {code}: {' / '.join(lines)[-600:]}"]


def ended(trial: Trial, name: str, failures: list[str]) -> dict:
    """Let the run `name` end; return the fields of its outcome, with differences from the undisturbed run."""
    command = trial.start(name, processes=1)
    if code := command.exit_code():
        return {"failures": (*failures, f"the same command again: exit code {code}: {command.printed[-600:]}")}
    lost, doubled, changed = run_files.compare(trial.expected, run_files.inventory(trial.folder / name))
    differences = [f"lost {file}" for file in lost] + [f"doubled {file}" for file in doubled] + changed
    return {"lost": len(lost), "doubled": len(doubled), "failures": (*failures, *differences)}


def unchanged(trial: Trial, name: str, result: dict, repeated: int = 0) -> dict:
    """Start the finished run `name` again, which must skip all but `repeated` stages; add to `result` what is wrong."""
    command = trial.start(name, processes=1)
    code, skipped = command.exit_code(), command.printed.count(SKIPPED)
    if code == 0 and skipped == len(trial.seconds) - repeated:
        return result
    failure = f"{name}: exit code {code}, {skipped} of {len(trial.seconds)} stages skipped: {command.printed[-600:]}"
    return {**result, "failures": (*result["failures"], failure)}
