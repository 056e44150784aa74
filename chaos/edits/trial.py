"""Damaged files of a finished run under every command that reads them: `python -m chaos.edits.trial --seed 1`.

Each command must end in one line that names the file, or make it again and give the same results as before.
"""

import collections
import concurrent.futures
import dataclasses
import itertools
import multiprocessing
import pathlib
import random
import re
import shutil
import signal
import sys
import tempfile
import traceback

import typer.testing

from chaos import arguments, outcomes
from chaos.edits import file_edits, forks, run_to_damage
from chaos.edits.run_to_damage import Base
from components.base import artifacts
from components.publish import push
from pipeline import cli, run_folder

EDITS = 2_400
SHORT = 12
WORKERS = 2
HANG_SECONDS = 600  # also on a busy machine
# command -> how often it runs in comparison; those that train or load a model take seconds
COMMANDS = {"status": 24, "report": 6, "rollback": 6, "run": 4, "evaluate": 2, "audit": 1, "leakage-check": 1}
IN_PROCESS = ("status", "rollback")  # commands that never use TensorFlow, whose threads must not run before a fork
UNREAD = re.compile(  # files that no command reads, whose damage is of no consequence
    r"log.txt|run.lock|ignored.csv|unreadable.csv|report/figures.json|served/.*/model_card.*|served/.*/MODEL_CARD.*|"
    r"trials/.*events.out.*|evaluations/.*.csv|dataset/.*report.jsonl|model/made_with.json"
)


@dataclasses.dataclass(frozen=True)
class Trial:
    """One command on one damaged file: its name relative to the run folder, and what was done to it."""

    number: int
    file: str
    edit: str
    command: str


class Hang(BaseException):
    """Raised in a command that takes too long; not an Exception, which commands report and end with."""


def in_process(*arguments: object) -> tuple[int | None, str]:
    """Run a command in this process; return its exit code, or None if it took too long, and its output."""

    def stop(*_: object) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(HANG_SECONDS)
    try:
        result = typer.testing.CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    except Hang:
        return None, ""
    finally:
        signal.alarm(0)
    if result.exception and not isinstance(result.exception, SystemExit):
        trace = traceback.format_exception(result.exception)
        return 1, f"{result.output}\n{''.join(trace)}"
    return result.exit_code, result.output


def damage(base: Base, number: int, seed: int, run_dir: pathlib.Path) -> Trial:
    """Copy the run to `run_dir`, damage one of its files, and choose the command to run."""
    shutil.rmtree(run_dir, ignore_errors=True)
    shutil.copytree(base.run_dir, run_dir)
    rng = random.Random(f"{seed} {number}")
    files = sorted(str(path.relative_to(run_dir)) for path in run_dir.rglob("*") if path.is_file())
    name = rng.choice([file for file in files if not UNREAD.fullmatch(file)])
    edit = rng.choice(file_edits.edits_of(run_dir / name))
    edit(rng, run_dir / name)
    return Trial(number, name, edit.__name__, rng.choices([*COMMANDS], [*COMMANDS.values()])[0])


def failure(base: Base, trial: Trial, run_dir: pathlib.Path, log: pathlib.Path) -> str | None:
    """Run the command of a trial; return what is wrong with how it ended, if anything."""
    options = ("--images", base.others) if trial.command == "evaluate" else ()
    arguments = (trial.command, "--run-dir", run_dir, *options)
    if trial.command in IN_PROCESS:
        code, printed = in_process(*arguments)
    else:
        code = forks.run(lambda: run_to_damage.command(*arguments), log, HANG_SECONDS)
        printed = log.read_text(errors="replace")
    if code is None:
        return f"it was still running after {HANG_SECONDS} s"
    if code < 0 or "Traceback (most" in printed:
        return f"exit code {code}: {printed[-600:]}"
    if code:
        return _unclear(trial, printed)
    winner = [line for line in printed.splitlines() if line.startswith("Winner:")]
    if trial.command == "status" and winner not in ([], [base.winner]):
        return f"success, but with another winner: {winner}"
    return _changed(base, trial, run_dir)


def _unclear(trial: Trial, printed: str) -> str | None:
    """Return what is wrong with the error that a command printed, if anything."""
    errors = [line for line in printed.splitlines() if line.startswith("pilah: ")]
    if len(errors) != 1:
        return f"{len(errors)} errors: {printed[-600:]}"
    path = pathlib.PurePath(trial.file)
    names = [path.name]
    if path.parts[0] == run_folder.STAGES:
        names.append(path.stem)  # the stage, which is not finished without its mark
    names += [f"scenario {int(part)}" for part in path.parts if part.isdecimal()]  # whose folds would be discarded
    if path.name == artifacts.SETTINGS:
        names.append(f"features of {path.parent.name}")  # which would be discarded
    if "--debug" in errors[0] or not any(name in errors[0] for name in names):
        return errors[0][:600]
    return None


def _changed(base: Base, trial: Trial, run_dir: pathlib.Path) -> str | None:
    """Return which results differ from those without damage, after a command that reports success."""
    if trial.command == "rollback":
        return _wrong_copy(base, run_dir)
    results = run_to_damage.results_of(run_dir)
    changed = [name for name in run_to_damage.RESULTS.get(trial.command, ()) if results[name] != base.results[name]]
    return f"success, but with other results in {', '.join(changed)}" if changed else None


def _wrong_copy(base: Base, run_dir: pathlib.Path) -> str | None:
    """Return how the version that a rollback has pushed differs from version 1 without damage, if it does."""
    served = run_dir / run_folder.SERVED
    newest = push.versions(served)[-1]
    description = push.read(served / str(newest))
    if (newest, description["version"], description.get("copy_of")) != (3, 3, 1):
        return f"success, but version {newest} is not version 3 and a copy of version 1: {description}"
    files = run_to_damage.served_files(run_dir, newest)
    changed = [name for name, digest in base.first_version.items() if files.get(name) != digest]
    return f"success, but version {newest} has other contents of {', '.join(changed)}" if changed else None


def treat(base: Base, numbers: list[int], seed: int, folder: pathlib.Path) -> list[tuple[Trial, str | None]]:
    """Treat the edits `numbers` one after the other."""
    run_to_damage.prepare()
    folder.mkdir()
    treated = []
    for number in numbers:
        trial = damage(base, number, seed, folder / "run")
        wrong = failure(base, trial, folder / "run", folder / "log")
        treated.append((trial, wrong))
        if wrong:
            print(f"{trial}: {wrong}", flush=True)
        if len(treated) % 50 == 0:
            print(f"{len(treated)} edits", flush=True)
    return treated


def main() -> int:
    args = arguments.parser(__doc__).parse_args()
    root = pathlib.Path(tempfile.mkdtemp(prefix="pilah-edits-"))
    try:
        run_to_damage.prepare()
        base = run_to_damage.make(root)
        numbers = range(SHORT if args.short else EDITS)
        with concurrent.futures.ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
            parts = [
                pool.submit(treat, base, [*numbers[worker::WORKERS]], args.seed, root / str(worker))
                for worker in range(WORKERS)
            ]
            treated = list(itertools.chain.from_iterable(part.result() for part in parts))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    counts = collections.Counter(trial.command for trial, _ in treated)
    failures = collections.defaultdict(list)
    for trial, wrong in treated:
        if wrong:
            failures[trial.command].append(f"edit {trial.number}, {trial.file} {trial.edit}: {wrong}")
    return outcomes.report(
        [
            outcomes.Outcome(f"damaged files under {name}", counts[name], failures=tuple(failures[name]))
            for name in COMMANDS
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
