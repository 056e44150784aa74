"""The result of a trial, and the table of results."""

import dataclasses

import rich
import rich.table


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What happened in `runs` repetitions of a trial, such as kills or mutated files.

    Attributes:
        trial: What was done, in a few words.
        runs: Number of repetitions.
        lost: Number of results (folds, views, rows, files) that were missing afterwards.
        doubled: Number of results that were there twice afterwards.
        failures: One line for each crash, hang, traceback or wrong answer.
    """

    trial: str
    runs: int
    lost: int = 0
    doubled: int = 0
    failures: tuple[str, ...] = ()


def report(outcomes: list[Outcome]) -> int:
    """Print the table of `outcomes` and their failures. Return 1 if anything was lost, doubled or failed, else 0."""
    table = rich.table.Table("trial", box=rich.table.box.SIMPLE_HEAD)
    for heading in ("runs", "lost", "doubled", "failures"):
        table.add_column(heading, justify="right")
    for outcome in outcomes:
        counts = (outcome.runs, outcome.lost, outcome.doubled, len(outcome.failures))
        table.add_row(outcome.trial, *(f"{count:,}" for count in counts))
    rich.print(table)
    for outcome in outcomes:
        for failure in outcome.failures:
            print(f"{outcome.trial}: {failure}")
    return int(any(outcome.lost or outcome.doubled or outcome.failures for outcome in outcomes))
