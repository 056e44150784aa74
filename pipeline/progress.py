"""Progress of a stage and its remaining time: a bar on a terminal, a log message every 15 seconds elsewhere."""

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from typing import Protocol

import rich.console
import rich.progress

log = logging.getLogger("pilah")
MESSAGE_SECONDS = 15.0
FirstCalls = dict[str, tuple[float, int]]  # what -> time and amount done at its first call


class Progress(Protocol):
    """A function that a stage calls with its progress; each part `what` has a separate estimate of the time left.

    `note` is a text about the state of the computation, such as the number of workers.
    """

    def __call__(self, done: int, total: int, what: str = "", note: str = "") -> None: ...


@contextlib.contextmanager
def reporting(console: rich.console.Console, name: str) -> Iterator[Progress]:
    """Yield a function to call with the progress of the stage `name`."""
    if not console.is_terminal:
        yield _logged(name)
        return
    counts = (rich.progress.BarColumn(), rich.progress.MofNCompleteColumn(), rich.progress.TimeElapsedColumn())
    left = rich.progress.TimeRemainingColumn(elapsed_when_finished=True)
    columns = ("{task.description:<10}", *counts, "left", left, "{task.fields[state]}")
    on_stdout = console.file is sys.stdout  # else the output of libraries is not to be shown
    with rich.progress.Progress(
        *columns, console=console, transient=True, redirect_stdout=on_stdout, redirect_stderr=on_stdout
    ) as bars:
        tasks: dict[str, rich.progress.TaskID] = {}  # what -> its bar
        first_calls: FirstCalls = {}

        def update(done: int, total: int, what: str = "", note: str = "") -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(f"{name} {what}", total=total, state="")
            rate = _rate(first_calls, what, done)
            state = "  ".join(filter(None, [f"{rate:.3g}/s" if rate else "", note]))
            bars.update(tasks[what], completed=done, total=total, state=state)

        yield update


def _logged(name: str) -> Progress:
    """Return a function that logs the progress, its rate and the time left, at most every 15 seconds."""
    first_calls: FirstCalls = {}
    last_message = time.monotonic()

    def update(done: int, total: int, what: str = "", note: str = "") -> None:
        nonlocal last_message
        now = time.monotonic()
        rate = _rate(first_calls, what, done)
        if now - last_message < MESSAGE_SECONDS or done == total or not (rate or note):
            return
        last_message = now
        estimate = [f"{rate:.3g} per second", f"about {duration((total - done) / rate)} left"] if rate else []
        parts = [f"{done} of {total}", *filter(None, [note]), *estimate]
        log.info("%s: %s", f"{name} {what}".strip(), ", ".join(parts))

    return update


def _rate(first_calls: FirstCalls, what: str, done: int) -> float:
    """Return how much of `what` is done in a second since the first call for it, which is added; 0 if nothing is."""
    now = time.monotonic()
    started, done_before = first_calls.setdefault(what, (now, done))
    return (done - done_before) / (now - started) if done > done_before and now > started else 0.0


def duration(seconds: float) -> str:
    """Return `seconds` as text: "42 s", "3 min 5 s" or "2 h 10 min"."""
    minutes, seconds = divmod(round(seconds), 60)
    if not minutes:
        return f"{seconds} s"
    return f"{minutes} min {seconds} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
