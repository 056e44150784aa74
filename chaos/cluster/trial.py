"""Random faults of runs on a cluster of five hosts: scheduler, driver, and three workers with a thread each.

Each run must end with the files of a run on one machine, byte for byte, and no finished fold or view may be written
again. The hosts are network namespaces, which only root can make.
"""

import pathlib
import random
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tests" / "helpers"))

import rich.box
import rich.console
import rich.table
from forked_commands import Commands

from chaos import arguments, outcomes
from chaos.cluster import faults, hosts, machines
from chaos.cluster.runs import Row, Trial
from chaos.kills import run_kills

RUNS = 30  # with a fault each
WIDTH = 120  # of the table
STUDIES = {  # name -> settings
    "refine": "--backbones VGG19 --dropouts 0.0,0.5 --views 2 --epochs 20 --refine 1 --unfreeze top",
    "features": "--backbones ResNet50,VGG19 --dropouts 0.0,0.5 --views 2 --test-views 2 --epochs 40",
    "finetune": "--strategy finetune --backbones VGG19 --dropouts 0.0 --epochs 10 --unfreeze top",
}


def main() -> int:
    args = arguments.parser(__doc__, f"{len(faults.SHORT)} faults.").parse_args()
    if reason := hosts.reason_to_skip():
        print(f"skipped: {reason}")
        return 0
    with tempfile.TemporaryDirectory(prefix="pilah-cluster-") as name:
        rows = run(pathlib.Path(name), random.Random(args.seed), args.short)
    show(rows)
    return outcomes.report([outcome(row) for row in rows])


def run(folder: pathlib.Path, rng: random.Random, short: bool) -> list[Row]:
    """Return the rows of an undisturbed run of each study, and of the faults."""
    names = [machines.SCHEDULER, machines.DRIVER, *machines.WORKERS]
    with hosts.network(names) as network:
        with network[machines.DRIVER].entered():
            commands = Commands(folder, "pipeline")
        try:
            return _rows(machines.Machines(network, folder), commands, rng, short)
        finally:
            commands.close()


def _rows(cluster: machines.Machines, commands: Commands, rng: random.Random, short: bool) -> list[Row]:
    trials, rows = [], []
    for study in ["refine"] if short else STUDIES:
        settings = [*run_kills.COMMON, *STUDIES[study].split(), "--engine", "tensorflow"]
        trials.append(Trial(commands, cluster.folder / study, study, settings, cluster, rng.randrange(1000)))
        rows.append(trials[-1].undisturbed())
    for number, fault in enumerate(faults.SHORT if short else drawn(rng)):
        rows.append(trials[number % len(trials)].suffer(fault))
        show(rows[-1:])  # as all of them take long
    return rows


def drawn(rng: random.Random) -> list[faults.Fault | faults.Misfit]:
    """Return RUNS faults in random order, with each kind at least once."""
    all_faults = rng.sample(faults.FAULTS, len(faults.FAULTS))
    return all_faults + rng.sample(faults.FAULTS, RUNS - len(all_faults))


def show(rows: list[Row]) -> None:
    """Print a table of the faults."""
    table = rich.table.Table("fault", "study", "when", box=rich.box.SIMPLE_HEAD)
    for heading in ("restarts", "lost", "doubled", "identical", "failures", "seconds"):
        table.add_column(heading, justify="right")
    for row in rows:
        counts = map(str, (row.restarts, len(row.lost), len(row.doubled)))
        is_identical = "no" if row.changed else "yes"
        table.add_row(
            row.fault, row.study, row.when, *counts, is_identical, str(len(row.failures)), f"{row.seconds:.0f}"
        )
    rich.console.Console(width=WIDTH).print(table)


def outcome(row: Row) -> outcomes.Outcome:
    """Return the outcome of a row."""
    differences = [f"lost {name}" for name in row.lost] + [f"doubled {name}" for name in row.doubled] + row.changed
    name = f"{row.fault}, {row.study}"
    return outcomes.Outcome(name, 1, len(row.lost), len(row.doubled), (*row.failures, *differences))


if __name__ == "__main__":
    sys.exit(main())
