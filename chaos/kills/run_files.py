"""The files of a run folder, to compare an interrupted run with an undisturbed one."""

import collections
import json
import pathlib
import re
from typing import NamedTuple

from components.base import artifacts

# files that must be equal byte for byte; of the others, only the names
EQUAL = re.compile(
    r"(photos|duplicates|unreadable|ignored)\.csv|dataset/.*(tfrecord.*|\.csv)|features/.*\.npy"
    r"|trials/\d+/.*\.csv|answers\.json|leaderboard\.json"
)
TIMED_NAME = re.compile(r"(events\.out\.tfevents)\..*")  # TensorBoard's names have the time and the process
LOCK_AND_LOG = {"run.lock", "log.txt"}


class Inventory(NamedTuple):
    """Names of the files in a run folder with their numbers, and digests of those that must be equal."""

    counts: collections.Counter[str]
    digests: dict[str, str]


def inventory(run_dir: pathlib.Path) -> Inventory:
    """Return the files of a run, relative to its folder, without its lock and log."""
    paths = [path for path in run_dir.rglob("*") if not path.is_dir() and path.name not in LOCK_AND_LOG]
    names = {str(path.relative_to(run_dir)): path for path in paths}
    counts = collections.Counter(TIMED_NAME.sub(r"\1", name) for name in names)
    return Inventory(counts, {name: _digest(path) for name, path in names.items() if EQUAL.fullmatch(name)})


def compare(expected: Inventory, actual: Inventory) -> tuple[list[str], list[str], list[str]]:
    """Return the names of the files that `actual` lacks, that it has in addition, and that have another content."""
    changed = [name for name, value in expected.digests.items() if actual.digests.get(name, value) != value]
    lost, doubled = expected.counts - actual.counts, actual.counts - expected.counts
    return list(lost.elements()), list(doubled.elements()), [f"{name} differs" for name in changed]


def finished_work(run_dir: pathlib.Path) -> dict[str, int]:
    """Return the files of finished folds and views -> time at which they were written, in nanoseconds."""
    views = [path for path in run_dir.glob("features/*/[!.]*.npy") if path.with_suffix(".json").exists()]
    paths = [*run_dir.glob("trials/*/fold-*.csv"), *views]
    return {str(path.relative_to(run_dir)): path.stat().st_mtime_ns for path in paths}


def _digest(path: pathlib.Path) -> str:
    """Return the digest of a file; that of a leaderboard does not depend on its seconds."""
    if path.name != "leaderboard.json":
        return artifacts.file_digest(path)
    leaderboard = json.loads(path.read_text())
    for row in leaderboard["scenarios"]:
        del row["seconds"]
    return artifacts.digest(leaderboard)
