"""The command line: flags to a configuration, errors to one line and an exit code."""

import dataclasses
import enum
import logging
import pathlib
import sys
from collections.abc import Callable
from typing import Annotated, Any

import rich.console
import rich.logging
import typer

from components.base.errors import PilahError
from pipeline import config as config_module
from pipeline.config import BACKBONES, OPTIMIZERS, STAGES, Config

PLAIN_WIDTH = 140  # of what is printed to a file or a pipe, so that the board keeps its columns
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
console = rich.console.Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, markup=False, emoji=False)
log = logging.getLogger("pilah")

Profile = enum.StrEnum("Profile", list(config_module.PROFILES))  # type: ignore[misc]  # the names stand in config alone
Strategy = enum.StrEnum("Strategy", ["features", "finetune"])
Unfreeze = enum.StrEnum("Unfreeze", ["top", "top2", "all"])
BatchNorm = enum.StrEnum("BatchNorm", ["frozen", "trained"])
Flips = enum.StrEnum("Flips", ["horizontal", "both"])
Schedule = enum.StrEnum("Schedule", ["constant", "cosine"])
Balance = enum.StrEnum("Balance", ["none", "weights", "oversampling"])
Engine = enum.StrEnum("Engine", ["auto", "openvino", "tensorflow"])
Precision = enum.StrEnum("Precision", ["auto", "float32", "bfloat16"])
Protocol = enum.StrEnum("Protocol", ["carried"])
Language = enum.StrEnum("Language", ["en", "id"])
StageName = enum.StrEnum("StageName", list(STAGES))  # type: ignore[misc]  # the names stand in config alone
RunDir = Annotated[pathlib.Path, typer.Option(help="Folder that holds every artifact of the run.")]
Debug = Annotated[bool, typer.Option(help="Show the traceback of an error.")]


def _setting(name: str, help_text: str, **limits: float) -> Any:
    """An option for the field `name` of the configuration, whose value in the profiles the help shows."""
    values = {profile: getattr(make(pathlib.Path()), name) for profile, make in config_module.PROFILES.items()}
    shown = _shown(values["thesis"])
    others = [f"{profile} {_shown(value)}" for profile, value in values.items() if value != values["thesis"]]
    return typer.Option(help=help_text, show_default="; ".join([shown, *others]), **limits)  # type: ignore[arg-type]


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else f"{value:_}" if isinstance(value, int) else str(value)


@app.command()
def run(
    run_dir: RunDir,
    images: Annotated[
        list[pathlib.Path] | None, typer.Option(help="Folder of class folders, or a zip of one; repeat to add more.")
    ] = None,
    fetch_kaggle: Annotated[bool, typer.Option(help="Get the thesis's photos from Kaggle instead.")] = False,
    profile: Annotated[
        Profile | None,
        typer.Option(
            help="What the settings begin as. finetuned is the best recipe we know.",
            show_default="thesis with photos, demo without",
        ),
    ] = None,
    weights_dir: Annotated[pathlib.Path | None, typer.Option(help="Folder of the backbones' ImageNet weights.")] = None,
    strategy: Annotated[
        Strategy | None,
        _setting("strategy", "features: backbones are frozen. finetune: they train too, on a GPU or slowly."),
    ] = None,
    refine: Annotated[
        int | None, _setting("refine", "Fine-tune this many of the best scenarios too, once they are known.", min=0)
    ] = None,
    backbones: Annotated[str | None, _setting("backbones", "Some of these.")] = None,
    optimizers: Annotated[str | None, _setting("optimizers", "Some of these.")] = None,
    dropouts: Annotated[str | None, _setting("dropouts", "Rates in [0, 1).")] = None,
    folds: Annotated[int | None, _setting("folds", "Of the cross-validation.", min=2)] = None,
    epochs: Annotated[int | None, _setting("epochs", "Epochs a fold.", min=1)] = None,
    batch_size: Annotated[int | None, _setting("batch_size", "Photos a step.", min=1)] = None,
    learning_rate: Annotated[float | None, _setting("learning_rate", "Of the heads.", min=1e-9)] = None,
    weight_decay: Annotated[float | None, _setting("weight_decay", "Of AdamW.", min=0)] = None,
    views: Annotated[
        int | None,
        _setting("views", "Augmented views of each photo to train on; fine-tuning has a new one each epoch.", min=1),
    ] = None,
    image_size: Annotated[
        int | None, _setting("image_size_px", "Side in pixels of the squares that photos become.", min=32, max=1024)
    ] = None,
    flips: Annotated[
        Flips | None, _setting("flips", "Of augmented views: both has half of them upside down too.")
    ] = None,
    test_views: Annotated[
        int | None, _setting("test_views", "Views over which scores are averaged, here and when served.", min=1, max=4)
    ] = None,
    unfreeze: Annotated[
        Unfreeze | None,
        _setting("unfreeze", "Fine-tuning: all of the backbone trains, its last stage, or its last two."),
    ] = None,
    batchnorm: Annotated[
        BatchNorm | None, _setting("batchnorm", "Fine-tuning: whether BatchNorm trains where the backbone does.")
    ] = None,
    warmup_epochs: Annotated[
        int | None,
        _setting("warmup_epochs", "Fine-tuning: epochs at the start in which the head alone trains.", min=0),
    ] = None,
    schedule: Annotated[
        Schedule | None, _setting("schedule", "Fine-tuning: of the learning rate; cosine rises, then falls to 0.")
    ] = None,
    label_smoothing: Annotated[
        float | None,
        _setting("label_smoothing", "Fine-tuning: share of a label spread over all classes.", min=0, max=0.9),
    ] = None,
    balance: Annotated[
        Balance | None,
        _setting("balance", "Fine-tuning: photos of rare classes count more, or are drawn more often."),
    ] = None,
    clip_norm: Annotated[
        float | None, _setting("clip_norm", "Fine-tuning: to which longer gradients are scaled down.", min=1e-9)
    ] = None,
    ensemble: Annotated[
        int | None,
        _setting("ensemble", "Fine-tuning: models that differ in seeds alone, whose scores are averaged.", min=1),
    ] = None,
    xla: Annotated[bool | None, _setting("xla", "Fine-tuning: let XLA compile its steps; for GPUs.")] = None,
    finetuning_rate: Annotated[
        float | None, _setting("finetuning_rate", "Fine-tuning: its rate, if not --learning-rate.", min=1e-9)
    ] = None,
    seed: Annotated[int | None, _setting("seed", "Of folds, views, weights and order.", min=1)] = None,
    engine: Annotated[Engine | None, _setting("engine", "What runs the frozen backbones.")] = None,
    precision: Annotated[Precision | None, _setting("precision", "In which the backbones compute.")] = None,
    max_pixels: Annotated[int | None, _setting("max_pixels", "Larger photos are rejected.", min=1)] = None,
    max_rejects: Annotated[
        float | None, _setting("max_rejects", "Share of unusable photos allowed.", min=0, max=1)
    ] = None,
    min_f1: Annotated[float | None, _setting("min_f1", "Macro F1 below which nothing is pushed.", min=0, max=1)] = None,
    keep_versions: Annotated[int | None, _setting("keep_versions", "Served versions to keep.", min=1)] = None,
    from_stage: Annotated[StageName | None, typer.Option("--from", help="Do this stage and later ones again.")] = None,
    group_folds: Annotated[
        bool | None, _setting("group_folds", "Keep photos of almost the same perceptual hash in one fold.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Push even a model that is worse than the one served.")] = False,
    accept_missing: Annotated[
        bool, typer.Option(help="Confirm that photos of the last run were removed where a whole folder lacks them.")
    ] = False,
    check_serving: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Wait for the pushed version there, and compare its answers."),
    ] = None,
    debug: Debug = False,
    beam_args: Annotated[list[str] | None, typer.Argument(help="After --, options for Beam's runner.")] = None,
) -> None:
    """Rebuild the models: from photos to a chosen model in RUN_DIR/served. Finished work is not done again."""
    given: dict[str, Any] = {
        "weights_dir": weights_dir,
        "strategy": strategy and strategy.value,
        "refine": refine,
        "backbones": _names(backbones, BACKBONES, "--backbones"),
        "optimizers": _names(optimizers, OPTIMIZERS, "--optimizers"),
        "dropouts": _rates(dropouts),
        "folds": folds,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "views": views,
        "image_size_px": image_size,
        "flips": flips and flips.value,
        "test_views": test_views,
        "unfreeze": unfreeze and unfreeze.value,
        "batchnorm": batchnorm and batchnorm.value,
        "warmup_epochs": warmup_epochs,
        "schedule": schedule and schedule.value,
        "label_smoothing": label_smoothing,
        "balance": balance and balance.value,
        "clip_norm": clip_norm,
        "ensemble": ensemble,
        "xla": xla,
        "finetuning_rate": finetuning_rate,
        "seed": seed,
        "engine": engine and engine.value,
        "precision": precision and precision.value,
        "max_pixels": max_pixels,
        "max_rejects": max_rejects,
        "min_f1": min_f1,
        "keep_versions": keep_versions,
        "beam_args": tuple(beam_args or ()),
        "group_folds": group_folds,
        "force": force,
        "accept_missing": accept_missing,
    }

    started_from = from_stage.value if from_stage else None
    _guard(lambda: _run(run_dir, fetch_kaggle, images, profile, given, started_from, check_serving), debug)


@app.command()
def status(run_dir: RunDir, debug: Debug = False) -> None:
    """What is done, what is left, and how long it should take."""
    from pipeline.commands import status as status_module

    _guard(lambda: status_module.show(run_dir, console), debug)


@app.command()
def audit(
    run_dir: RunDir,
    protocol: Annotated[
        Protocol | None,
        typer.Option(help="Instead: all scenarios with one model carried through the folds. It LEAKS, to show how."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Look for near-duplicates, doubtful labels and odd photos in a finished run, into RUN_DIR/audit."""

    def work() -> None:
        if protocol:
            from pipeline.commands import leakage_check as check
        else:
            from pipeline.commands import audit as check  # type: ignore[no-redef]
        check.run(run_dir, console)

    _guard(work, debug)


@app.command()
def evaluate(
    run_dir: RunDir,
    images: Annotated[pathlib.Path, typer.Option(help="Folder of class folders, or a zip of one: other photos.")],
    debug: Debug = False,
) -> None:
    """Score the pushed model on other photos of the same classes, into RUN_DIR/evaluations."""

    def work() -> None:
        from pipeline.commands import evaluate

        evaluate.run(run_dir, images, console)

    _guard(work, debug)


@app.command()
def report(
    run_dir: RunDir,
    lang: Annotated[Language, typer.Option(help="Of the page.")] = Language.en,
    debug: Debug = False,
) -> None:
    """Make RUN_DIR/report/index.html again, of whatever there is of the run."""

    def work() -> None:
        from pipeline.stages import report as report_stage

        console.print(f"report: {report_stage.make(run_dir, lang.value)}", soft_wrap=True, highlight=False)

    _guard(work, debug)


@app.command()
def rollback(run_dir: RunDir, debug: Debug = False) -> None:
    """Make the served version before the current one the newest again."""

    def work() -> None:
        from components.publish import push
        from pipeline import lock, run_folder

        base = run_dir / run_folder.SERVED
        if not base.is_dir():
            raise PilahError(f"--run-dir must hold a pushed model, and {run_dir} has none. Push one with 'run'.")
        with lock.locked(run_dir):
            version = push.rollback(base)
        console.print(f"rolled back: {version} is the newest", soft_wrap=True, highlight=False)

    _guard(work, debug)


def _run(
    run_dir: pathlib.Path,
    fetch_kaggle: bool,
    images: list[pathlib.Path] | None,
    profile: Profile | None,
    given: dict[str, Any],
    from_stage: str | None,
    serving_target: str | None,
) -> None:
    from components.data import photo_sources

    photos_at = [*([photo_sources.fetch_kaggle()] if fetch_kaggle else []), *(images or [])]
    for path in photos_at:
        photo_sources.check(path)
        if path.resolve() in run_dir.resolve().parents:
            raise PilahError(f"--run-dir must not be in --images, or its files are taken for photos: {run_dir}.")
    chosen = profile.value if profile else "thesis" if photos_at else "demo"
    folder = run_dir.resolve()  # paths in artifacts hold wherever the next command is typed
    if not profile and not photos_at:
        config_module.check_not_of_photos(folder)
    base: Config = config_module.PROFILES[chosen](folder)
    if not base.photos_per_class and not photos_at:
        raise PilahError(f"Profile {base.profile} needs photos. Give --images or --fetch-kaggle.")
    changes = {name: value for name, value in given.items() if value is not None}
    config = dataclasses.replace(base, images=tuple(path.resolve() for path in photos_at), **changes)
    config_module.check(config)
    folder.mkdir(parents=True, exist_ok=True)

    # TensorFlow is loaded only when there is work for it
    from pipeline import main
    from pipeline.commands import check_serving

    main.run(config, from_stage, console)
    if serving_target:
        check_serving.check(config, serving_target)


def _names(text: str | None, known: tuple[str, ...], flag: str) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(","))
    if unknown := [name for name in names if name not in known]:
        raise typer.BadParameter(f"{flag} must be some of {','.join(known)} (got {','.join(unknown)}).")
    return names


def _rates(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        rates = tuple(float(rate) for rate in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"--dropouts must be numbers separated by commas (got {text}).") from error
    if not all(0 <= rate < 1 for rate in rates):
        raise typer.BadParameter(f"--dropouts must be rates in [0, 1) (got {text}).")
    return rates


def _guard(work: Callable[[], None], debug: bool) -> None:
    """Do `work`; an error becomes one line and exit code 1, without losing its traceback where it is wanted."""
    handler = rich.logging.RichHandler(console=console, show_time=False, show_path=False, markup=False)
    log.addHandler(handler)
    log.propagate = False  # libraries give the root logger a handler of their own
    log.setLevel(logging.INFO)
    try:
        work()
    except Exception as error:
        if debug:
            raise
        console.print(f"pilah: {_one_line(error)}", style="bold red", soft_wrap=True, highlight=False, markup=False)
        raise typer.Exit(1) from error


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, PilahError):
        return text
    if isinstance(error, FileNotFoundError):
        return f"a file that was there is gone: {text}. Put it back, or run again: photos are listed anew."
    if isinstance(error, OSError) or "No space left on device" in text:
        return f"a file could not be read or written: {text}. Check that there is space and permission, then run again."
    return f"{type(error).__name__}: {text[:500]}. Run again with --debug for the traceback."
