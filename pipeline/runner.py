"""Run a stage, or skip it where nothing that it depends on has changed: a finished stage leaves a mark on disk."""

import dataclasses
import itertools
import json
import pathlib
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import rich.console

from components.base import artifacts
from pipeline import progress, run_folder
from pipeline.config import STAGES, Config
from pipeline.progress import Progress


@dataclasses.dataclass(frozen=True)
class Stage:
    """One step of the pipeline. Paths and patterns (of pathlib's glob) are relative to the run folder.

    Attributes:
        inputs: configuration -> settings and digests that the outputs depend on, as JSON.
        outputs: configuration -> patterns of what the stage leaves.
        run: does the work; it may find unfinished work of its own and resume it.
        reads: name of an input -> pattern of the files whose content it is.
        covered: patterns of the other files that it opens: `inputs` and `reads` determine their content.
        added: names of inputs that marks of earlier versions lack; these marks are compared without them.
        resumed: configuration -> the folders of unfinished work.
        temporary: folders of earlier stages that are removed once this stage is finished.
        fixed: whether the outputs must stay as the stage left them; it runs again where something changed them.
    """

    name: str
    inputs: Callable[[Config], dict[str, Any]]
    outputs: Callable[[Config], Sequence[str]]
    run: Callable[[Config, Progress], None]
    reads: Mapping[str, str] = dataclasses.field(default_factory=dict)
    covered: Sequence[str] = ()
    added: Sequence[str] = ()
    resumed: Callable[[Config], Sequence[str]] = lambda config: ()
    temporary: Sequence[str] = ()
    fixed: bool = True


def path(run_dir: pathlib.Path, name: str) -> pathlib.Path:
    return run_dir / run_folder.STAGES / f"{name}.json"


def read(run_dir: pathlib.Path, name: str) -> dict[str, Any] | None:
    """Return the mark of a finished stage: inputs, seconds and peak memory; None where the stage is not finished."""
    mark = path(run_dir, name)
    return artifacts.read_json(mark) if mark.exists() else None


def left(config: Config) -> list[str]:
    """Return the stages to do: the first one without a mark, and all after it, as their marks may be outdated."""
    needed = [name for name in STAGES if config.needs(name)]
    return list(itertools.dropwhile(lambda name: path(config.run_dir, name).exists(), needed))


def forget(stage: Stage, config: Config) -> None:
    """Have the stage run again from its beginning."""
    path(config.run_dir, stage.name).unlink(missing_ok=True)
    for folder in stage.resumed(config):
        artifacts.remove(config.run_dir / folder)


def run(stage: Stage, config: Config, console: rich.console.Console) -> None:
    """Run a stage, or skip it where it is not needed, or where its inputs and outputs are unchanged.

    A stage that is not needed loses its mark: other stages may write where it left its outputs.
    """
    if not config.needs(stage.name):
        path(config.run_dir, stage.name).unlink(missing_ok=True)
        console.print(f"{stage.name}: not needed, skipped", highlight=False)
        return
    inputs = _inputs(stage, config)
    mark = read(config.run_dir, stage.name)
    if mark and _same_inputs(stage, mark["inputs"], inputs) and _outputs_unchanged(stage, config, mark):
        console.print(f"{stage.name}: unchanged, skipped", highlight=False)
    else:
        _run(stage, config, inputs, console)
    for folder in stage.temporary:
        artifacts.remove(config.run_dir / folder)


def _run(stage: Stage, config: Config, inputs: dict[str, Any], console: rich.console.Console) -> None:
    path(config.run_dir, stage.name).unlink(missing_ok=True)
    started = time.monotonic()
    with progress.reporting(console, stage.name) as report_progress:
        stage.run(config, report_progress)
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


def _inputs(stage: Stage, config: Config) -> dict[str, Any]:
    files = {name: _digest_of_files(config.run_dir, pattern) for name, pattern in stage.reads.items()}
    return json.loads(json.dumps({**stage.inputs(config), **files}, default=str))


def _same_inputs(stage: Stage, before: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    return before == {name: value for name, value in inputs.items() if name in before or name not in stage.added}


def _digest_of_files(run_dir: pathlib.Path, pattern: str) -> str:
    path = run_dir / pattern
    return artifacts.file_digest(path) if path.is_file() else _digest_of_all(run_dir, [pattern])


def _digest_of_all(run_dir: pathlib.Path, patterns: Sequence[str]) -> str:
    paths = {path for pattern in patterns for path in run_dir.glob(pattern) if path.is_file()}
    return artifacts.digest([[str(path.relative_to(run_dir)), artifacts.file_digest(path)] for path in sorted(paths)])


def _outputs_unchanged(stage: Stage, config: Config, mark: dict[str, Any]) -> bool:
    """Return whether all outputs exist, and, where the mark tells, are as the stage left them."""
    if not all(any(config.run_dir.glob(pattern)) for pattern in stage.outputs(config)):
        return False
    return not stage.fixed or mark.get("outputs") in (None, _digest_of_outputs(stage, config))


def _digest_of_outputs(stage: Stage, config: Config) -> str:
    return _digest_of_all(config.run_dir, stage.outputs(config))
