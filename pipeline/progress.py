"""Progress of a stage and its remaining time: a bar on a terminal, a plain line now and then elsewhere."""

import contextlib
import time
from collections.abc import Iterator
from typing import Protocol

import rich.console
import rich.progress

PLAIN_LINE_SECONDS = 15.0


class Progress(Protocol):
    """A function that a stage calls with its progress; a new `what` starts a new estimate of the time left."""

    def __call__(self, done: int, total: int, what: str = "") -> None: ...


@contextlib.contextmanager
def reporting(console: rich.console.Console, name: str) -> Iterator[Progress]:
    """Yield a function to call with how much the stage `name` has done, and the total."""
    if console.is_terminal:
        columns = (
            rich.progress.TextColumn("{task.description:<10}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TextColumn("left"),
            rich.progress.TimeRemainingColumn(elapsed_when_finished=True),
        )
        with rich.progress.Progress(*columns, console=console, transient=True) as bars:
            tasks: dict[str, rich.progress.TaskID] = {}  # what -> its bar

            def bar(done: int, total: int, what: str = "") -> None:
                if what not in tasks:
                    tasks[what] = bars.add_task(f"{name} {what}", total=total)
                bars.update(tasks[what], completed=done, total=total)

            yield bar
        return

    started: dict[str, tuple[float, int]] = {}  # what -> when it was first heard of, and how much was done by then
    last = time.monotonic()

    def line(done: int, total: int, what: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        began, done_by_then = started.setdefault(what, (now, done))
        if now - last >= PLAIN_LINE_SECONDS and done_by_then < done < total:
            last = now
            left = (now - began) / (done - done_by_then) * (total - done)
            console.print(
                f"{f'{name} {what}'.strip()}: {done} of {total}, about {duration(left)} left", highlight=False
            )

    yield line


def duration(seconds: float) -> str:
    """ "42 s", "3 min 5 s" or "2 h 10 min"."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
