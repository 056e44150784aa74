"""Checkpoints of the members of a model that is trained, each in a file, from which an interrupted training resumes."""

import contextlib
import pathlib
from collections.abc import Sequence

import keras
import numpy as np

from components.base import artifacts

HISTORY = ("loss", "accuracy")


def progress(prefix: pathlib.Path) -> tuple[int, float]:
    """Return the number of epochs in the checkpoints of all members, and the training seconds of all runs so far."""
    members = [progress_of_member(path) for path in _of_all_members(prefix)]
    return sum(epochs for epochs, _ in members), sum(seconds for _, seconds in members)


def clear(prefix: pathlib.Path) -> None:
    """Remove the checkpoints of all members."""
    for path in _of_all_members(prefix):
        path.unlink(missing_ok=True)


def of_member(prefix: pathlib.Path, member: int) -> pathlib.Path:
    return prefix.with_name(f"{prefix.name}.{member}.npz")


def _of_all_members(prefix: pathlib.Path) -> list[pathlib.Path]:
    return sorted(prefix.parent.glob(f"{prefix.name}.*.npz"))


def progress_of_member(path: pathlib.Path) -> tuple[int, float]:
    """Return what `progress` does for one checkpoint; without a file, 0 of both."""
    with contextlib.suppress(FileNotFoundError), np.load(path) as saved:
        return saved["history"].shape[1], float(saved["seconds"])
    return 0, 0.0


def save(
    variables: Sequence[keras.Variable], history: dict[str, list[float]], seconds: float, path: pathlib.Path
) -> None:
    """Write the values of `variables`, and the values of HISTORY in each epoch, into the file `path`."""
    values = [keras.ops.convert_to_numpy(variable) for variable in variables]
    with artifacts.atomic_write(path) as part:
        np.savez(part, *values, seconds=seconds, history=[history[name] for name in HISTORY])


def load(variables: Sequence[keras.Variable], path: pathlib.Path) -> dict[str, list[float]]:
    """Assign to `variables` what `save` wrote, and return the history."""
    with np.load(path) as saved:
        for index, variable in enumerate(variables):
            variable.assign(saved[f"arr_{index}"])
        return dict(zip(HISTORY, saved["history"].tolist(), strict=True))
