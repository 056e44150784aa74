"""Tasks that an executor computes in other processes, or that this process computes."""

import concurrent.futures
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

PROGRESS_SECONDS = 0.5  # between progress updates while other processes compute


def results(
    executor: concurrent.futures.Executor | None,
    function: Callable[..., Any],
    arguments: Iterable[tuple[Any, ...]],
    show_progress: Callable[[int], object],
) -> Iterator[Any]:
    """Yield what `function` returns for each of `arguments`, in their order; without an executor compute it here.

    Args:
        show_progress: called with the number of finished results, twice a second while the executor computes.
    """
    if not executor:
        for done, result in enumerate(itertools.starmap(function, arguments), start=1):
            show_progress(done)
            yield result
        return
    for done, task in enumerate([executor.submit(function, *each) for each in arguments]):
        while concurrent.futures.wait([task], PROGRESS_SECONDS).not_done:
            show_progress(done)
        show_progress(done + 1)
        yield task.result()
