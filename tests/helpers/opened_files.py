"""Record the files that a block opens, except those that TensorFlow opens in C++ (TFRecords, SavedModels)."""

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


sys.addaudithook(_hook)  # an audit hook cannot be removed


@contextlib.contextmanager
def in_folder(folder: pathlib.Path) -> Iterator[set[pathlib.Path]]:
    """Yield the set of files in `folder` that the block opens, as paths relative to it."""
    opened: set[pathlib.Path] = set()

    def record(path: str) -> None:
        with contextlib.suppress(ValueError):
            opened.add(pathlib.Path(path).resolve().relative_to(folder))

    _recorders.append(record)
    try:
        yield opened
    finally:
        _recorders.remove(record)
