"""The command-line options of a run, for Typer, made from the declarations in Config."""

import difflib
import inspect
import pathlib
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer
import typer.core

from components.base import settings
from pipeline import config as config_module
from pipeline.config import PROFILES, Config

PHOTOS, STUDY, TRAINING = "Photos", "Study", "Training"
FINETUNING, ENGINE, PUBLISHING = "Fine-tuning", "Engine", "Publishing"
PANELS: dict[str, tuple[str, ...]] = {  # panel of the help -> fields of the configuration, in this order
    PHOTOS: ("labels", "merge_classes", "zip_encoding", "max_pixels", "max_rejects", "accept_missing"),
    STUDY: (
        "backbones",
        "optimizers",
        "dropouts",
        "hidden_units",
        "oracle",
        "trials",
        "strategy",
        "refine",
        "folds",
        "group_folds",
        "seed",
    ),
    TRAINING: (
        "image_size_px",
        "epochs",
        "batch_size",
        "learning_rate",
        "weight_decay",
        "views",
        "flips",
        "augmentation",
        "test_views",
    ),
    FINETUNING: ("finetuning_rate", *settings.options(settings.Finetuning)),
    ENGINE: ("engine", "precision", "weights_dir", "random_weights", "cluster"),
    PUBLISHING: ("coverage", "min_f1", "keep_versions", "force"),
}

SHOWN_CHOICES = 10  # more would not be readable in the help


class Command(typer.core.TyperCommand):
    """A command whose help names --no-X in the text of --X: its own column would cut names at 80 columns."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        for parameter in self.params:
            parameter.secondary_opts = []
        super().format_help(ctx, formatter)


def added_to(command: Callable) -> Callable:
    """Return `command` with a parameter for each option of the configuration instead of its **keywords.

    Its parameters are in the order of `PANELS`, after those without a panel.
    """
    types, options = get_type_hints(Config), settings.options(Config)
    signature = inspect.signature(command)
    *parameters, _ = signature.parameters.values()
    for panel, names in PANELS.items():
        for name in names:
            annotation: Any = Annotated[
                _item_type(types[name]) | None, _typer_option(name, types[name], options[name], panel)
            ]
            parameters.append(
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
            )
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    parameters.sort(key=lambda parameter: [None, *PANELS].index(get_args(parameter.annotation)[1].rich_help_panel))
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return command


def choices(annotation: Any) -> str:
    """Return the choices of a Literal as the help shows them, with blanks at which a narrow column can break."""
    return f"<{' | '.join(get_args(annotation))}>"


def _typer_option(name: str, annotation: Any, option: settings.Option, panel: str) -> Any:
    """Return the typer.Option of a field, with its value in each profile."""
    values = {profile: _text(getattr(config_module.of_profile(profile, pathlib.Path()), name)) for profile in PROFILES}
    others = [f"{profile} {value}" for profile, value in values.items() if value != values["thesis"]]
    flag = config_module.flag(name)
    # what a resumed run keeps can be turned off
    declaration = [f"{flag}/{_negative(flag)}"] if annotation is bool and option.resumed else [flag]
    help_text = option.help
    if annotation is bool and option.resumed:
        help_text += f" {_negative(flag)} turns it off."
    bounds: dict[str, Any] = {"min": option.min, "max": option.max}
    values_type = _without_range(annotation)
    if get_origin(values_type) is tuple or values_type is not annotation:
        bounds = {"parser": lambda text: _parse(text, flag, annotation, option)}
    return typer.Option(
        *declaration,
        help=help_text,
        show_default="; ".join([values["thesis"], *others]),
        rich_help_panel=panel,
        metavar=_metavar(annotation, option),
        **bounds,
    )


def _negative(flag: str) -> str:
    return f"--no-{flag.removeprefix('--')}"


def _metavar(annotation: Any, option: settings.Option) -> str | None:
    """Return the choices of an option or the bounds of a list's items as the help shows them; None is Typer's own."""
    if get_origin(annotation) is Literal:
        return choices(annotation)
    values_type = _without_range(annotation)
    is_list = get_origin(values_type) is tuple
    if not is_list and values_type is annotation:
        return None
    if item_choices := get_args(get_args(values_type)[0]) if is_list else ():
        return "<names>" if len(item_choices) > SHOWN_CHOICES else f"<some of {', '.join(item_choices)}>"
    forms = ["numbers" if is_list else "number", *(["LOW:HIGH[:log]"] if values_type is not annotation else [])]
    return f"<{' | '.join(forms)}> [{option.min}<=x<={option.max}]"


def _without_range(annotation: Any) -> Any:
    """Return the type of a setting without the range that it may also be."""
    others = [kind for kind in get_args(annotation) if kind is not settings.Range]
    return others[0] if settings.Range in get_args(annotation) else annotation


def _item_type(annotation: Any) -> Any:
    """Return the type that Typer parses: text for a list or range, and the type of an optional value without None."""
    if get_origin(annotation) is tuple or settings.Range in get_args(annotation):
        return str
    if get_origin(annotation) is Literal:
        return annotation
    return next(iter(get_args(annotation)), annotation)


def _parse(text: str, flag: str, annotation: Any, option: settings.Option) -> Any:
    """Return the value of an option that takes a list, or a range instead of a number or a list."""
    values_type = _without_range(annotation)
    if values_type is not annotation and ":" in text:
        return _range(text, flag, option)
    if get_origin(values_type) is tuple:
        return _split(text, flag, get_args(values_type)[0], option)
    return _number(text, flag, option)


def _number(text: str, flag: str, option: settings.Option) -> float:
    assert option.min is not None and option.max is not None
    try:
        number = float(text)
    except ValueError as error:
        raise typer.BadParameter(f"{flag} must be a number or LOW:HIGH or LOW:HIGH:log (got {text}).") from error
    if not option.min <= number <= option.max:
        raise typer.BadParameter(f"{flag} must be from {option.min} to {option.max} (got {text}).")
    return number


def _range(text: str, flag: str, option: settings.Option) -> settings.Range:
    assert option.min is not None and option.max is not None
    try:
        searched = settings.parse_range(text)
    except ValueError as error:
        raise typer.BadParameter(f"{flag} must be LOW:HIGH or LOW:HIGH:log (got {text}: {error}).") from error
    if not option.min <= searched.low < searched.high <= option.max:
        raise typer.BadParameter(f"{flag} must be from {option.min} to {option.max} (got {text}).")
    return searched


def _split(text: str, flag: str, item_type: Any, option: settings.Option) -> tuple:
    """Return the values of a list that commas separate, checked against the choices or bounds of its items."""
    words = [word.strip() for word in text.split(",")]
    is_choice = get_origin(item_type) is Literal
    values = _choices(words, flag, item_type) if is_choice else _numbers(words, flag, item_type, option)
    if len({*values}) < len(values):
        raise typer.BadParameter(f"{flag} must not contain a value twice (got {text}).")
    return values


def _choices(words: list[str], flag: str, item_type: Any) -> tuple:
    known = get_args(item_type)
    unknown = [word for word in words if word not in known]
    if unknown and len(known) > SHOWN_CHOICES:
        raise typer.BadParameter(f"{flag} must be known names (got {unknown[0]}). {_similar(unknown[0], known)}")
    if unknown:
        raise typer.BadParameter(f"{flag} must be some of {','.join(known)} (got {','.join(unknown)}).")
    return tuple(words)


def _similar(word: str, known: Sequence[str]) -> str:
    """Return a sentence that names the choices closest to `word`, or all if none is close."""
    by_lower_case = {name.lower(): name for name in known}
    names = [by_lower_case[close] for close in difflib.get_close_matches(word.lower(), by_lower_case)]
    return f"Choose {', '.join(names)} or another." if names else f"Choose some of {', '.join(known)}."


def _numbers(words: list[str], flag: str, number_type: type, option: settings.Option) -> tuple:
    got = ",".join(words)
    try:
        numbers = tuple(map(number_type, words))
    except ValueError as error:
        kind = "whole numbers" if number_type is int else "numbers"
        raise typer.BadParameter(f"{flag} must be {kind} separated by commas (got {got}).") from error
    if not all(option.min <= number <= option.max for number in numbers):
        raise typer.BadParameter(f"{flag} must be numbers from {option.min} to {option.max} (got {got}).")
    return numbers


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else f"{value:_}" if isinstance(value, int) else str(value)
