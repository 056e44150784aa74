"""Which stages are done, with what inputs: a mark on disk a stage, and the rule that skips a stage."""

import dataclasses
import itertools
import json
import pathlib
import resource
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import rich.console

from components.base import artifacts
from pipeline import progress
from pipeline.config import STAGES, Config


@dataclasses.dataclass(frozen=True)
class Stage:
    """One step of the pipeline.

    Attributes:
        inputs: configuration -> everything that the outputs depend on, as JSON: settings, and digests of files.
        outputs: configuration -> what the stage leaves in the run folder, as patterns of pathlib's glob.
        fixed: whether nothing else may change the outputs: the stage is done again where they are not as it left them.
        work: does it; it may find its own unfinished work and go on from there.
        resumed: configuration -> the folders of that unfinished work.
    """

    name: str
    inputs: Callable[[Config], dict[str, Any]]
    outputs: Callable[[Config], Sequence[str]]
    work: Callable[[Config, progress.Report], None]
    resumed: Callable[[Config], Sequence[str]] = lambda config: ()
    fixed: bool = True


def path(run_dir: pathlib.Path, name: str) -> pathlib.Path:
    return run_dir / "stages" / f"{name}.json"


def read(run_dir: pathlib.Path, name: str) -> dict[str, Any] | None:
    """The mark of a finished stage: inputs, seconds and peak memory; None where the stage is not done."""
    mark = path(run_dir, name)
    return artifacts.read_json(mark) if mark.exists() else None


def left(config: Config) -> list[str]:
    """The stages to do: the first one without a mark, and all behind it, as they may be of other settings."""
    needed = [name for name in STAGES if config.needs(name)]
    return list(itertools.dropwhile(lambda name: path(config.run_dir, name).exists(), needed))


def forget(stage: Stage, config: Config) -> None:
    """Have the stage done again from its beginning."""
    path(config.run_dir, stage.name).unlink(missing_ok=True)
    for folder in stage.resumed(config):
        artifacts.remove(config.run_dir / folder)


def run(stage: Stage, config: Config, console: rich.console.Console) -> None:
    """Run a stage, or skip it when it is not needed, or its outputs are there and were made from the same inputs.

    One that is not needed loses its mark: the stages that are may write where it left its outputs.
    """
    if not config.needs(stage.name):
        path(config.run_dir, stage.name).unlink(missing_ok=True)
        console.print(f"{stage.name}: not needed, skipped", highlight=False)
        return
    inputs = json.loads(json.dumps(stage.inputs(config), default=str))
    mark = read(config.run_dir, stage.name)
    if mark and mark["inputs"] == inputs and _outputs_are_there(stage, config, mark):
        console.print(f"{stage.name}: unchanged, skipped", highlight=False)
        return
    path(config.run_dir, stage.name).unlink(missing_ok=True)
    started = time.monotonic()
    with progress.reporting(console, stage.name) as report:
        stage.work(config, report)
    seconds = time.monotonic() - started
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    artifacts.write_json(
        path(config.run_dir, stage.name),
        {
            "inputs": inputs,
            "outputs": _digest_of_outputs(stage, config),
            "seconds": round(seconds, 3),
            "peak_memory_bytes_so_far": peak_bytes,
        },
    )
    console.print(f"{stage.name}: done in {progress.duration(seconds)}", highlight=False)


def _outputs_are_there(stage: Stage, config: Config, mark: dict[str, Any]) -> bool:
    """Whether all outputs are there, and, where the mark tells, as the stage left them."""
    if not all(any(config.run_dir.glob(pattern)) for pattern in stage.outputs(config)):
        return False
    return not stage.fixed or mark.get("outputs") in (None, _digest_of_outputs(stage, config))


def _digest_of_outputs(stage: Stage, config: Config) -> str:
    paths = {path for pattern in stage.outputs(config) for path in config.run_dir.glob(pattern) if path.is_file()}
    return artifacts.digest(
        [[str(path.relative_to(config.run_dir)), artifacts.file_digest(path)] for path in sorted(paths)]
    )
