"""The command line: options become a configuration, errors become one line and an exit code."""

import os
import pathlib
from typing import Annotated, Any, Literal

import typer

from components.base import settings, version
from components.base.errors import PilahError
from pipeline import config as config_module
from pipeline import config_check, error_text, options, terminal
from pipeline.config import Config, Profile, StageName
from pipeline.terminal import console

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
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
Cluster = Annotated[str | None, typer.Option(help=config_module.help_of("cluster"))]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", help="Show the output of the libraries; without it, RUN_DIR/log.txt gets it.")
]


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
        typer.Option(
            metavar="<path>",
            help="Folder of class folders, or a zip of one; repeat it to add more.",
            rich_help_panel=options.PHOTOS,
        ),
    ] = None,
    fetch_kaggle: Annotated[
        bool,
        typer.Option(
            "--fetch-kaggle", help="Download the thesis's photos from Kaggle.", rich_help_panel=options.PHOTOS
        ),
    ] = False,
    profile: Annotated[
        Profile | None,
        typer.Option(
            metavar=options.choices(Profile),
            help="Settings to start from; covariance is the most accurate.",
            show_default="that of the run, else thesis with photos and demo without",
        ),
    ] = None,
    from_stage: Annotated[
        StageName | None,
        typer.Option("--from", metavar=options.choices(StageName), help="Rerun from this stage."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Discard finished work that was made with other settings.")
    ] = False,
    check_serving: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Model server on which to check the pushed version afterwards.",
            rich_help_panel=options.PUBLISHING,
        ),
    ] = None,
    verbose: Verbose = False,
    debug: Debug = False,
    beam_args: Annotated[list[str] | None, typer.Argument(help="After --, options for Beam's runner.")] = None,
    **values: Any,
) -> None:
    """Train and compare the models, and push the best one to RUN_DIR/served. A run resumes with its own settings."""
    changes = {name: value for name, value in values.items() if value is not None}
    if beam_args:
        changes["beam_args"] = tuple(beam_args)
    with terminal.reporting(debug, verbose) as start_log:
        from components.data import photo_sources

        sources = [*([photo_sources.fetch_kaggle()] if fetch_kaggle else []), *(images or [])]
        if sources:
            changes["images"] = tuple(path.resolve() for path in sources)
        for name in {"weights_dir", "labels"} & changes.keys():
            changes[name] = changes[name].resolve()
        config = _configure(run_dir, profile, changes)
        start_log(config.run_dir)
        # imported late, because TensorFlow takes seconds to load, and writes to standard error
        from pipeline import main, next_commands, resume
        from pipeline.commands import check_serving as check

        if check_serving:
            check.check_address(check_serving)
        resume.log_changes(config)
        main.run(config, from_stage, overwrite, console)
        if check_serving:
            _print_line(check.check(config, check_serving))
        for line in next_commands.after_push(config):
            _print_line(line)


app.command(cls=options.Command)(options.added_to(run))


@app.command()
def status(run_dir: RunDir, debug: Debug = False) -> None:
    """Show which stages are done, which are left, and the estimated time; if all are done, the winner."""
    with terminal.reporting(debug):
        from pipeline.commands import status

        status.show(run_dir, console)


@app.command()
def audit(
    run_dir: RunDir,
    cluster: Cluster = None,
    protocol: Annotated[Literal["carried"] | None, typer.Option(hidden=True)] = None,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Find near-duplicates, label issues and low image quality in a finished run. Writes to RUN_DIR/audit."""
    if protocol:
        console.print("audit --protocol carried is now the command leakage-check.", style="yellow")
        leakage_check(run_dir, cluster, verbose, debug)
        return
    with terminal.reporting(debug, verbose) as start_log:
        start_log(_existing_run(run_dir))
        from pipeline.commands import audit

        audit.run(run_dir, console, cluster)


@app.command()
def leakage_check(run_dir: RunDir, cluster: Cluster = None, verbose: Verbose = False, debug: Debug = False) -> None:
    """Measure the effect of leakage by training one model through all folds. Writes to RUN_DIR/audit."""
    with terminal.reporting(debug, verbose) as start_log:
        start_log(_existing_run(run_dir))
        from pipeline.commands import leakage_check

        leakage_check.run(run_dir, console, cluster)


@app.command()
def evaluate(
    run_dir: RunDir,
    images: Annotated[pathlib.Path, typer.Option(help="Other photos: a folder of class folders, or a zip of one.")],
    labels: Annotated[pathlib.Path | None, typer.Option(help=config_module.help_of("labels"))] = None,
    zip_encoding: Annotated[str | None, typer.Option(help=config_module.help_of("zip_encoding"))] = None,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Score the pushed model on other photos of the same classes. Writes to RUN_DIR/evaluations."""
    with terminal.reporting(debug, verbose) as start_log:
        start_log(_existing_run(run_dir))
        from pipeline.commands import evaluate

        evaluate.run(run_dir, images, console, labels=labels, zip_encoding=zip_encoding)


@app.command()
def export(
    run_dir: RunDir,
    format: Annotated[
        settings.DeviceFormat,
        typer.Option(
            metavar=options.choices(settings.DeviceFormat),
            help="Format: LiteRT in float16 or int8, ONNX or OpenVINO IR.",
        ),
    ],
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Export the model of a finished run for a phone or an edge device. Writes to RUN_DIR/exports."""
    with terminal.reporting(debug, verbose) as start_log:
        start_log(_existing_run(run_dir))
        from pipeline.commands import export

        export.run(run_dir, format, console)


@app.command()
def report(
    run_dir: RunDir,
    lang: Annotated[Literal["en", "id"], typer.Option(help="Language of the page.")] = "en",
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Write RUN_DIR/report/index.html again; the run may be unfinished."""
    with terminal.reporting(debug, verbose) as start_log:
        start_log(_existing_run(run_dir))
        from pipeline.stages import report

        _print_line(f"report: {report.make(run_dir, lang)}")


@app.command()
def rollback(run_dir: RunDir, debug: Debug = False) -> None:
    """Serve the previous version again."""
    with terminal.reporting(debug):
        from components.publish import push
        from pipeline import lock, run_folder

        base = run_dir / run_folder.SERVED
        if not base.is_dir():
            raise PilahError(f"--run-dir must hold a pushed model, and {run_dir} has none. Push one with 'run'.")
        with lock.locked(run_dir):
            version = push.rollback(base)
        _print_line(f"rolled back: {version} is the newest")


@app.command()
def scheduler(
    host: Annotated[str, typer.Option(help="Address on which the scheduler and its dashboard listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the scheduler.")] = 8786,
    dashboard_port: Annotated[int, typer.Option(help="Port of the dashboard.")] = 8787,
    debug: Debug = False,
) -> None:
    """Start a Dask scheduler for run --cluster. Whoever can connect to it can run any code (docs/cluster.md)."""
    with terminal.reporting(debug):
        from pipeline.commands import cluster_processes

        cluster_processes.run_scheduler(host, port, dashboard_port)


@app.command()
def worker(
    address: Annotated[str, typer.Argument(help="Address of the scheduler, such as tcp://10.0.0.5:8786.")],
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Number of workers.", show_default="one for each GPU, or else for each core"),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address of this machine.", show_default="the one from which it reaches the scheduler"),
    ] = None,
    debug: Debug = False,
) -> None:
    """Start workers on this machine for a scheduler; they need the run folder under the same path."""
    with terminal.reporting(debug):
        from pipeline.commands import cluster_processes

        cluster_processes.run_workers(address, workers, host)


def _print_line(line: str) -> None:
    console.print(line, soft_wrap=True, highlight=False)


def _existing_run(run_dir: pathlib.Path) -> pathlib.Path:
    """Return `run_dir`, or raise PilahError if it holds no run, before a log is written there."""
    config_module.read(run_dir)
    return run_dir


def _configure(run_dir: pathlib.Path, profile: Profile | None, changes: dict[str, Any]) -> Config:
    """Return the checked configuration of a run, and make its folder."""
    from components.data import photo_sources
    from pipeline import resume

    # paths in artifacts must not depend on the working directory; realpath leaves a loop of links to mkdir
    folder = pathlib.Path(os.path.realpath(run_dir))
    config = resume.configure(folder, profile, changes)
    photo_sources.check_encoding(config.zip_encoding)
    if config.labels and not config.images:
        raise PilahError(f"--labels needs --images, the folder of the photos that {config.labels} lists. Add it.")
    for path in config.images:
        photo_sources.check(path)
        if path in folder.parents:
            raise PilahError(f"--run-dir must not be in --images, where its files would count as photos: {run_dir}.")
    if not config.photos_per_class and not config.images:
        raise PilahError(f"Profile {config.profile} needs photos. Give --images or --fetch-kaggle.")
    config_check.check(config, changes)
    _make_folder(folder)
    return config


def _make_folder(folder: pathlib.Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        # a parent folder is missing only where folders cannot be made, as in /proc
        remedy = error_text.REMEDIES.get(error.errno or 0, "Choose another folder.")
        raise PilahError(f"--run-dir {folder} cannot be made ({error.strerror}: {error.filename}). {remedy}") from error
