"""Faults of the disk and the clock: runs and the page must say so in one line or work, and complete afterwards."""

import functools
import pathlib
import random
import sys
import tempfile
from collections.abc import Callable

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tests" / "helpers"))

from forked_commands import Commands

from chaos import arguments, outcomes
from chaos.faults import page_faults, run_faults
from chaos.kills import run_kills
from pipeline.config import STAGES

SHORT_STAGES = ("dataset", "search", "model")
ROUNDS = 2  # of a full disk in each stage


def main() -> int:
    args = arguments.parser(__doc__, "A full disk in some stages only.").parse_args()
    with tempfile.TemporaryDirectory(prefix="pilah-faults-") as name:
        return outcomes.report(run(pathlib.Path(name), random.Random(args.seed), args.short))


def run(folder: pathlib.Path, rng: random.Random, short: bool) -> list[outcomes.Outcome]:
    """Return the outcomes of all faults."""
    commands = Commands(folder, "pipeline")
    try:
        trial = run_kills.Trial(commands, folder / "run", run_kills.ALL_STAGES, rng)
        stages = SHORT_STAGES if short else STAGES
        faults: list[Callable[[run_kills.Trial], outcomes.Outcome]]
        faults = [functools.partial(run_faults.full_disk, stages=stages, rng=rng)] * (1 if short else ROUNDS)
        faults += [run_faults.read_only_disk, run_faults.commands_at_once, run_faults.moved_from_the_future]
        rows: list[outcomes.Outcome] = []
        for fault in faults:
            rows.append(fault(trial))
            print(f"{rows[-1].trial}: {len(rows[-1].failures)} failures", flush=True)
        rows += trial.tally.outcomes("undisturbed run, and kill before the last fault")
    finally:
        commands.close()
    return [*rows, *page_faults.run(folder)]


if __name__ == "__main__":
    sys.exit(main())
