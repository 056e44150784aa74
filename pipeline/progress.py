"""How far a stage is and how long it will take: a bar on a terminal, a plain line now and then elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator

import rich.console
import rich.progress

PLAIN_LINE_SECONDS = 15.0

Report = Callable[[int, int], None]  # (done, total)


@contextlib.contextmanager
def reporting(console: rich.console.Console, name: str) -> Iterator[Report]:
    """A function for a stage to call with what is done and the total; it may call often."""
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
            task = bars.add_task(name, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)
        return

    started = last = time.monotonic()

    def line(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PLAIN_LINE_SECONDS and 0 < done < total:
            last = now
            left = (now - started) / done * (total - done)
            console.print(f"{name}: {done} of {total}, about {duration(left)} left", highlight=False)

    yield line


def duration(seconds: float) -> str:
    """ "42 s", "3 min 5 s" or "2 h 10 min"."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
