"""The files that a block opens. TensorFlow's own reads (TFRecords, SavedModels) are made in C++, and are not seen."""

import contextlib
import os
import pathlib
import sys

_recorders = []


def _hook(event, args):
    if event == "open" and isinstance(args[0], str | bytes | os.PathLike):
        for record in _recorders:
            record(os.fsdecode(args[0]))


sys.addaudithook(_hook)  # it cannot be removed again


@contextlib.contextmanager
def in_folder(folder):
    """Yield a set that fills with the paths, relative to `folder`, of the files in it that the block opens."""
    opened = set()

    def record(path):
        with contextlib.suppress(ValueError):
            opened.add(pathlib.Path(path).resolve().relative_to(folder))

    _recorders.append(record)
    try:
        yield opened
    finally:
        _recorders.remove(record)
