"""A finished run of a few photos, to be damaged: with an audit, a leakage check, an evaluation and two versions."""

import dataclasses
import functools
import importlib
import itertools
import json
import os
import pathlib
import shutil
import sys
from typing import Any

from chaos.edits import forks
from components.base import artifacts
from components.demo import synthetic_photos
from components.publish import push
from pipeline import cli, run_folder

STEP_SECONDS = 1_200  # for a command that makes it, also on a busy machine
SETTINGS = (
    "--profile demo --backbones VGG19 --optimizers Adam --dropouts 0.0,0.5 --folds 2 --epochs 8 --learning-rate 0.03 "
    "--views 1 --test-views 2 --random-weights --image-size 32 --seed 7 --min-f1 0 --max-rejects 0.2"
).split()
MODULES = (  # imported once, before the forks
    "pipeline.main",
    "pipeline.report.card",
    "pipeline.report.logs",
    "pipeline.report.page",
    *(f"pipeline.commands.{name}" for name in ("audit", "evaluate", "leakage_check", "status")),
)
RESULTS = {  # command -> the results that it must give as without damage, if it reports success
    "run": ("leaderboard.json", "photos.csv"),
    "report": ("report/figures.json",),
    "audit": ("audit/audit.json",),
    "leakage-check": ("audit/leakage_check.json",),
    "evaluate": ("evaluations/others.json",),
}
FIGURES = ("classes", "scenarios", "comparisons", "winner")  # of figures.json; the others may be absent


@dataclasses.dataclass(frozen=True)
class Base:
    """The finished run that each edit starts from.

    Attributes:
        others: photos for `evaluate`.
        results: file -> its contents without times, of a run with no damage.
        winner: line of `status` about the winner.
        first_version: file of the served version 1 -> its digest, which a copy by `rollback` must have.
    """

    run_dir: pathlib.Path
    others: pathlib.Path
    results: dict[str, Any]
    winner: str = ""
    first_version: dict[str, str] = dataclasses.field(default_factory=dict)


def prepare() -> None:
    """Import what the commands need, and replace the networks of two backbones by small ones."""
    sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tests" / "helpers"))
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "COLUMNS": "300", "NO_COLOR": "1"}
    for name in MODULES:
        importlib.import_module(name)
    forked_commands = importlib.import_module("forked_commands")
    forked_commands._use_small_networks()
    setattr(importlib.import_module("tuner.workers"), "count", lambda tasks: 1)  # noqa: B010  # no training processes


def command(*arguments: object) -> int:
    """Run a command of the pipeline in this process, which it ends."""
    sys.argv[1:] = [str(argument) for argument in arguments]
    cli.app(prog_name="python -m pipeline")
    return 0


def make(root: pathlib.Path) -> Base:
    """Write photos and a finished run of them with an audit, a leakage check and an evaluation."""
    photos, others, run_dir = root / "photos", root / "others", root / "run"
    for folder, seed in ((photos, 1), (others, 2)):
        synthetic_photos.write(folder, 6, seed=seed, progress=lambda done, total: None)
        for name in ("trash", "plastic", "paper"):
            shutil.rmtree(folder / name)
    (photos / "glass" / "broken.jpg").write_bytes((photos / "glass" / "glass-001.jpg").read_bytes()[:900])
    shutil.copy(photos / "metal" / "metal-001.jpg", photos / "metal" / "copy.jpg")
    steps: tuple[tuple[object, ...], ...] = (
        ("run", "--images", photos, *SETTINGS),
        ("run", "--from", "push", "--min-f1", "0.001"),  # another description, which makes a second version
        ("audit",),
        ("leakage-check",),
        ("evaluate", "--images", others),
        ("status",),
    )
    for step, *options in steps:
        run = functools.partial(command, step, "--run-dir", run_dir, *options)
        if forks.run(run, root / "log", STEP_SECONDS):
            sys.exit(f"The run to damage could not be made: {(root / 'log').read_text()}")
    (winner,) = (line for line in (root / "log").read_text().splitlines() if line.startswith("Winner:"))
    return Base(run_dir, others, results_of(run_dir), winner, served_files(run_dir, 1))


def served_files(run_dir: pathlib.Path, version: int) -> dict[str, str]:
    """Return file -> digest of a served version, without its description and the model cards, which reports write."""
    folder = run_dir / run_folder.SERVED / str(version)
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    left_out = (push.DESCRIPTION, *(name for name in files if name.lower().startswith("model_card")))
    return {name: artifacts.file_digest(path) for name, path in files.items() if name not in left_out}


def results_of(run_dir: pathlib.Path) -> dict[str, Any]:
    """Return the contents of RESULTS without times; None for one that cannot be read."""
    results: dict[str, Any] = {}
    for name in itertools.chain.from_iterable(RESULTS.values()):
        try:
            text = (run_dir / name).read_text()
            results[name] = _without_times(json.loads(text)) if name.endswith(".json") else text
        except (OSError, ValueError, RecursionError):
            results[name] = None
    figures = results["report/figures.json"]
    results["report/figures.json"] = figures and {name: figures[name] for name in FIGURES}
    return results


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key != "seconds"}
    return [_without_times(item) for item in value] if isinstance(value, list) else value
