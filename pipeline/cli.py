"""The command line: options become a configuration, errors become one line and an exit code."""

import contextlib
import logging
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import rich.console
import rich.logging
import typer

from components.base import version
from components.base.errors import PilahError
from pipeline import config as config_module
from pipeline import error_text, options
from pipeline.config import Config, Profile, StageName

PLAIN_WIDTH = 140  # of lines in a file or a pipe, so that the leaderboard fits
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
console = rich.console.Console(
    width=None if sys.stdout and sys.stdout.isatty() else PLAIN_WIDTH, markup=False, emoji=False
)
log = logging.getLogger("pilah")
PATTERN_CHARACTERS = "*?[\\"  # TensorFlow, TensorFlow Serving and Beam take paths with these for patterns


def _check_run_dir(run_dir: pathlib.Path) -> pathlib.Path:
    """Return `run_dir`, or raise typer.BadParameter if libraries could not open files in it."""
    path = os.path.realpath(run_dir)
    if used := sorted({*path} & {*PATTERN_CHARACTERS}):
        raise typer.BadParameter(
            f"Its full path must not contain {' '.join(used)}, as TensorFlow takes paths with any of "
            f"{' '.join(PATTERN_CHARACTERS)} for patterns (got {path}). Choose another folder, or rename it."
        )
    if os.fsencode(path) != path.encode(errors="replace"):
        shown = path.encode(errors="backslashreplace").decode()
        raise typer.BadParameter(f"Its full path must be UTF-8 (got {shown}). Choose another folder, or rename it.")
    return run_dir


RunDir = Annotated[
    pathlib.Path,
    typer.Option(help="Folder of the run, which holds all of its artifacts.", callback=_check_run_dir),
]
Debug = Annotated[bool, typer.Option(help="Show the traceback of an error.")]


def _print_version(show_version: bool) -> None:
    if show_version:
        print(f"pilah {version.VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Turn a folder of photos into a served, audited image classifier."""


def run(
    run_dir: RunDir,
    images: Annotated[
        list[pathlib.Path] | None,
        typer.Option(help="Folder of class folders, or a zip of one; repeat it to add more."),
    ] = None,
    fetch_kaggle: Annotated[bool, typer.Option(help="Download the thesis's photos from Kaggle.")] = False,
    profile: Annotated[
        Profile | None,
        typer.Option(
            help="Settings to start from; finetuned is the most accurate.",
            show_default="that of the run, else thesis with photos and demo without",
        ),
    ] = None,
    from_stage: Annotated[StageName | None, typer.Option("--from", help="Rerun from this stage.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Discard finished work that was made with other settings.")
    ] = False,
    check_serving: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Model server on which to check the pushed version afterwards."),
    ] = None,
    debug: Debug = False,
    beam_args: Annotated[list[str] | None, typer.Argument(help="After --, options for Beam's runner.")] = None,
    **values: Any,
) -> None:
    """Rebuild the models, from photos to a served model in RUN_DIR/served. A run resumes with its own settings."""
    changes = {name: value for name, value in values.items() if value is not None}
    if beam_args:
        changes["beam_args"] = tuple(beam_args)
    with _errors_in_one_line(debug):
        from components.data import photo_sources

        sources = [*([photo_sources.fetch_kaggle()] if fetch_kaggle else []), *(images or [])]
        if sources:
            changes["images"] = tuple(path.resolve() for path in sources)
        for name in {"weights_dir", "labels"} & changes.keys():
            changes[name] = changes[name].resolve()
        config = _configure(run_dir, profile, changes)
        # imported late, because TensorFlow takes seconds to load
        from pipeline import main
        from pipeline.commands import check_serving as check

        if check_serving:
            check.check_address(check_serving)
        main.run(config, from_stage, overwrite, console)
        if check_serving:
            check.check(config, check_serving)


app.command()(options.added_to(run))


@app.command()
def status(run_dir: RunDir, debug: Debug = False) -> None:
    """Show which stages are done, which are left, and how long they should take."""
    with _errors_in_one_line(debug):
        from pipeline.commands import status

        status.show(run_dir, console)


@app.command()
def audit(
    run_dir: RunDir,
    protocol: Annotated[Literal["carried"] | None, typer.Option(hidden=True)] = None,
    debug: Debug = False,
) -> None:
    """Look for near-duplicates, label issues and low image quality in a finished run, into RUN_DIR/audit."""
    if protocol:
        console.print("audit --protocol carried is now the command leakage-check.", style="yellow")
        leakage_check(run_dir, debug)
        return
    with _errors_in_one_line(debug):
        from pipeline.commands import audit

        audit.run(run_dir, console)


@app.command()
def leakage_check(run_dir: RunDir, debug: Debug = False) -> None:
    """Measure what leakage does: train one model through all folds, without a reset, into RUN_DIR/audit."""
    with _errors_in_one_line(debug):
        from pipeline.commands import leakage_check

        leakage_check.run(run_dir, console)


@app.command()
def evaluate(
    run_dir: RunDir,
    images: Annotated[pathlib.Path, typer.Option(help="Other photos: a folder of class folders, or a zip of one.")],
    labels: Annotated[pathlib.Path | None, typer.Option(help=config_module.help_of("labels"))] = None,
    zip_encoding: Annotated[str | None, typer.Option(help=config_module.help_of("zip_encoding"))] = None,
    debug: Debug = False,
) -> None:
    """Score the pushed model on other photos of the same classes, into RUN_DIR/evaluations."""
    with _errors_in_one_line(debug):
        from pipeline.commands import evaluate

        evaluate.run(run_dir, images, console, labels=labels, zip_encoding=zip_encoding)


@app.command()
def report(
    run_dir: RunDir,
    lang: Annotated[Literal["en", "id"], typer.Option(help="Language of the page.")] = "en",
    debug: Debug = False,
) -> None:
    """Write RUN_DIR/report/index.html again, for a finished run or an unfinished one."""
    with _errors_in_one_line(debug):
        from pipeline.stages import report

        console.print(f"report: {report.make(run_dir, lang)}", soft_wrap=True, highlight=False)


@app.command()
def rollback(run_dir: RunDir, debug: Debug = False) -> None:
    """Serve the version before the current one again."""
    with _errors_in_one_line(debug):
        from components.publish import push
        from pipeline import lock, run_folder

        base = run_dir / run_folder.SERVED
        if not base.is_dir():
            raise PilahError(f"--run-dir must hold a pushed model, and {run_dir} has none. Push one with 'run'.")
        with lock.locked(run_dir):
            version = push.rollback(base)
        console.print(f"rolled back: {version} is the newest", soft_wrap=True, highlight=False)


def _configure(run_dir: pathlib.Path, profile: Profile | None, changes: dict[str, Any]) -> Config:
    """Return the checked configuration of a run, and make its folder."""
    from components.data import photo_sources
    from pipeline import resume

    # paths in artifacts must not depend on the working directory; realpath leaves a loop of links to mkdir
    folder = pathlib.Path(os.path.realpath(run_dir))
    config = resume.configure(folder, profile, changes)
    photo_sources.check_encoding(config.zip_encoding)
    if config.labels and not config.images:
        raise PilahError(f"--labels {config.labels} lists photos, which need --images. Add their folder.")
    for path in config.images:
        photo_sources.check(path)
        if path in folder.parents:
            raise PilahError(f"--run-dir must not be in --images, where its files would count as photos: {run_dir}.")
    if not config.photos_per_class and not config.images:
        raise PilahError(f"Profile {config.profile} needs photos. Give --images or --fetch-kaggle.")
    config_module.check(config, changes)
    resume.log_changes(config)
    _make_folder(folder)
    return config


def _make_folder(folder: pathlib.Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        # the folder above may be missing only where none can be made, as in /proc
        remedy = error_text.REMEDIES.get(error.errno or 0, "Choose another folder.")
        raise PilahError(f"--run-dir {folder} cannot be made ({error.strerror}: {error.filename}). {remedy}") from error


@contextlib.contextmanager
def _errors_in_one_line(debug: bool) -> Iterator[None]:
    """Print an error of the block in one line and exit with code 1; with --debug it keeps its traceback."""
    handler = rich.logging.RichHandler(console=console, show_time=False, show_path=False, markup=False)
    log.addHandler(handler)
    log.propagate = False  # libraries add a handler to the root logger
    log.setLevel(logging.INFO)
    try:
        yield
    except Exception as error:
        if debug:
            raise
        console.print(
            f"pilah: {error_text.one_line(error)}", style="bold red", soft_wrap=True, highlight=False, markup=False
        )
        raise typer.Exit(1) from error
    finally:
        log.removeHandler(handler)
        log.propagate = True
