"""Settings that a run resolves when it starts, as resolved.json holds them. Needs no TensorFlow."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, TypedDict

from components.base import artifacts, json_types, settings
from components.base.errors import PilahError
from pipeline import run_folder


@dataclasses.dataclass(frozen=True)
class Resolved:
    """Settings that depend on the machine and on files outside the run folder.

    Attributes:
        weights: backbone -> fingerprint of the weights that it starts from, see backbones.Weights.
        engines: backbone -> inference engine that runs it frozen, "mnn", "openvino" or "tensorflow".
        precision: dtype in which backbones compute, "float32" or "bfloat16". In trials.py, engines and precision are
            "auto" for a run without resolved.json.
        frozen_activations_on_disk: whether fine-tuning runs the frozen layers once, and reads their activations from
            disk.
    """

    weights: Mapping[str, str]
    engines: Mapping[str, settings.Engine]
    precision: settings.Precision
    frozen_activations_on_disk: bool


class _Saved(TypedDict):
    weights: dict[str, str]
    engines: dict[str, settings.Engine]
    precision: settings.Precision
    frozen_activations_on_disk: bool


def write(run_dir: pathlib.Path, resolved: Resolved) -> None:
    artifacts.write_json(run_dir / run_folder.RESOLVED, dataclasses.asdict(resolved))


def read(run_dir: pathlib.Path) -> Resolved | None:
    """Return the resolved settings of the run in `run_dir`; None for a run of a version that wrote none.

    Raises:
        PilahError: the file is damaged.
    """
    path = run_dir / run_folder.RESOLVED
    if not path.exists():
        return None
    saved = artifacts.read_json(path, dict[str, Any])
    if "engine" in saved and isinstance(saved.get("weights"), dict):  # of a version that ran all with one engine
        saved["engines"] = dict.fromkeys(saved["weights"], saved.pop("engine"))
    try:
        json_types.check(saved, _Saved)
        return Resolved(**saved)
    except (ValueError, TypeError) as error:
        raise PilahError(f"{path} is damaged ({error}). {artifacts.REWRITE}") from error


def random_backbones(weights: Mapping[str, str]) -> list[str]:
    """Return the names of the backbones with random weights, sorted.

    Args:
        weights: backbone -> fingerprint, as in Resolved.
    """
    return sorted(name for name, fingerprint in weights.items() if fingerprint.startswith("random"))
