"""Run a stage, or skip it if its inputs and outputs are unchanged.

A finished stage leaves a mark, stages/NAME.json, with its inputs and the digests of its outputs.
"""

import dataclasses
import itertools
import json
import logging
import pathlib
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import rich.console

from components.base import artifacts, documents
from components.base.errors import PilahError
from pipeline import progress, run_folder
from pipeline.config import STAGES, Config
from pipeline.progress import Progress

log = logging.getLogger("pilah")


@dataclasses.dataclass(frozen=True)
class Stage:
    """One step of the pipeline. Paths and glob patterns are relative to the run folder.

    Attributes:
        inputs: configuration -> settings and digests that the outputs depend on, as JSON.
        outputs: configuration -> patterns of the files that the stage writes.
        run: does the work, and resumes its own unfinished work.
        reads: name of an input -> pattern of the files whose content it is.
        covered: patterns of the other files that it reads, whose content `inputs` and `reads` determine.
        added: names of inputs that marks of earlier versions lack and are compared without.
        resumed: configuration -> folders of unfinished work.
        temporary: folders of earlier stages that are removed when this stage is finished.
        fixed: whether the stage runs again if its outputs were changed by something else.
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
    """Return the path of the mark of stage `name`."""
    return run_dir / run_folder.STAGES / f"{name}.json"


def read(run_dir: pathlib.Path, name: str) -> dict[str, Any] | None:
    """Return the mark of stage `name`: inputs, seconds and peak memory; None if the stage is not finished."""
    mark = path(run_dir, name)
    return artifacts.read_json(mark, documents.Mark) if mark.exists() else None


def check_outputs(run_dir: pathlib.Path, is_read: Callable[[str], bool]) -> None:
    """Check that the files that finished stages wrote are as they left them.

    Args:
        is_read: function of a file's path in the run folder, whether it is to be checked.

    Raises:
        PilahError: a file is missing or has changed.
    """
    for name in STAGES[: STAGES.index("push")]:  # push and report write files that are also changed later
        outputs = (read(run_dir, name) or {}).get("outputs")
        for file, digest in outputs.items() if isinstance(outputs, dict) else ():  # earlier versions have one digest
            path = run_dir / file
            if is_read(file) and (not path.is_file() or artifacts.file_digest(path) != digest):
                state = "has changed since" if path.is_file() else "is missing, although"
                raise PilahError(f"{path} {state} the stage {name} wrote it. Start 'run' again, which restores it.")


def left(config: Config) -> list[str]:
    """Return the stages to do: the first one without a mark, and all after it, as their marks may be outdated."""
    needed = [name for name in STAGES if config.needs(name)]
    return list(itertools.dropwhile(lambda name: path(config.run_dir, name).exists(), needed))


def forget(stage: Stage, config: Config) -> None:
    """Remove the mark and the unfinished work of a stage, so that it runs again from its beginning."""
    path(config.run_dir, stage.name).unlink(missing_ok=True)
    for folder in stage.resumed(config):
        artifacts.remove(config.run_dir / folder)


def run(stage: Stage, config: Config, console: rich.console.Console) -> None:
    """Run a stage, or skip it if it is not needed, or if its inputs and outputs are unchanged.

    A stage that is not needed loses its mark, because other stages may write to the files of its outputs.
    """
    mark_path = path(config.run_dir, stage.name)
    if not config.needs(stage.name):
        mark_path.unlink(missing_ok=True)
        log.info("%s: not needed, skipped", stage.name)
        return
    inputs = _inputs(stage, config)
    mark = read(config.run_dir, stage.name)
    if mark and _unchanged(stage, config, mark, inputs):
        console.print(f"{stage.name}: unchanged, skipped", highlight=False)
    else:
        mark_path.unlink(missing_ok=True)
        mark = {"inputs": inputs, **_run(stage, config, console)}
        artifacts.write_json(mark_path, mark)
        console.print(f"{stage.name}: done in {progress.duration(mark['seconds'])}", highlight=False)
    for folder in stage.temporary:
        shutil.rmtree(config.run_dir / folder, ignore_errors=True)  # a file that cannot be removed only takes space


def _run(stage: Stage, config: Config, console: rich.console.Console) -> dict[str, Any]:
    log.info("%s: started", stage.name)
    started = time.monotonic()
    with progress.reporting(console, stage.name) as update_progress:
        stage.run(config, update_progress)
    seconds = time.monotonic() - started
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "outputs": _digests(config.run_dir, stage.outputs(config)),
        "seconds": round(seconds, 3),
        "peak_memory_bytes_so_far": peak_bytes,
    }


def _inputs(stage: Stage, config: Config) -> dict[str, Any]:
    files = {name: _content_digest(config.run_dir, pattern) for name, pattern in stage.reads.items()}
    return json.loads(json.dumps({**stage.inputs(config), **files}, default=str))


def _unchanged(stage: Stage, config: Config, mark: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    """Return whether `inputs` are those of the mark, and all outputs exist and are as the stage left them."""
    before, outputs = mark["inputs"], stage.outputs(config)
    if before != {name: value for name, value in inputs.items() if name in before or name not in stage.added}:
        return False
    if not all(any(config.run_dir.glob(pattern)) for pattern in outputs):
        return False
    before_digests, digests = mark.get("outputs"), _digests(config.run_dir, outputs) if stage.fixed else {}
    # marks of earlier versions have no digest, or one of all files, without the settings of trials
    earlier = {file: digest for file, digest in digests.items() if not _is_trial_settings(file)}
    return not stage.fixed or before_digests in (None, digests, _digest_of(earlier))


def _is_trial_settings(file: str) -> bool:
    return file.startswith(f"{run_folder.TRIALS}/") and file.endswith(artifacts.SETTINGS)


def _content_digest(run_dir: pathlib.Path, pattern: str) -> str:
    """Return the digest of a file, or of all files that `pattern` matches and their names."""
    file = run_dir / pattern
    return artifacts.file_digest(file) if file.is_file() else _digest_of(_digests(run_dir, [pattern]))


def _digests(run_dir: pathlib.Path, patterns: Iterable[str]) -> dict[str, str]:
    """Return file -> digest of all files that the patterns match, by name."""
    files = {file for pattern in patterns for file in run_dir.glob(pattern) if file.is_file()}
    return {str(file.relative_to(run_dir)): artifacts.file_digest(file) for file in sorted(files)}


def _digest_of(digests: Mapping[str, str]) -> str:
    return artifacts.digest([[name, digest] for name, digest in digests.items()])
