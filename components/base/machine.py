"""Properties of this machine."""

import os

_limit: int | None = None


def limit_cores(number: int) -> None:
    """Let this process use at most `number` cores, because others share the machine with it."""
    global _limit
    _limit = number


def cores() -> int:
    """Return the number of cores that this process may use."""
    return min(_limit or _all_cores(), _all_cores())


def _all_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
