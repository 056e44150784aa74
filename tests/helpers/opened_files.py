"""The files that a block opens. TensorFlow's own reads (TFRecords, SavedModels) are made in C++, and are not seen."""

import contextlib
import os
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

_recorders: list[Callable[[str], None]] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(args[0], str | bytes | os.PathLike):
        for record in _recorders:
            record(os.fsdecode(args[0]))


sys.addaudithook(_hook)  # it cannot be removed again


@contextlib.contextmanager
def in_folder(folder: pathlib.Path) -> Iterator[set[pathlib.Path]]:
    """Yield a set that fills with the paths, relative to `folder`, of the files in it that the block opens."""
    opened: set[pathlib.Path] = set()

    def record(path: str) -> None:
        with contextlib.suppress(ValueError):
            opened.add(pathlib.Path(path).resolve().relative_to(folder))

    _recorders.append(record)
    try:
        yield opened
    finally:
        _recorders.remove(record)
