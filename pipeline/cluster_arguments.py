"""Large arguments of tasks: they go through the run folder once, and not through the scheduler with each task."""

import dataclasses
import functools
import pathlib
import pickle  # nosec B403 # of the driver's own files
import secrets
from typing import Any

LARGE_BYTES = 50_000


@dataclasses.dataclass(frozen=True)
class Reference:
    """An argument in the file `path`."""

    path: pathlib.Path


class Sender:
    """Replaces large arguments by references to files whose paths begin with `prefix`; remove them after the tasks."""

    def __init__(self, prefix: pathlib.Path):
        self._prefix = prefix
        self._references: dict[int, tuple[Any, Reference]] = {}  # id -> the argument, so that the id stays its own

    def replace(self, argument: Any) -> Any:
        """Return `argument`, or a reference if it is large; an object is written only once."""
        if id(argument) in self._references:
            return self._references[id(argument)][1]
        content = pickle.dumps(argument)
        if len(content) < LARGE_BYTES:
            return argument
        reference = Reference(self._prefix.with_name(f"{self._prefix.name}-{secrets.token_hex(8)}.pickle"))
        reference.path.write_bytes(content)
        self._references[id(argument)] = argument, reference
        return reference


def restore(argument: Any) -> Any:
    """Return the argument that `Sender.replace` has replaced."""
    return _load(argument.path) if isinstance(argument, Reference) else argument


@functools.lru_cache(maxsize=2)  # the tasks of a search have the same study
def _load(path: pathlib.Path) -> Any:
    return pickle.loads(path.read_bytes())  # nosec B301 # a file of the driver
