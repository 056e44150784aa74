"""The command-line options of a run, for Typer, made from the declarations in Config."""

import inspect
import pathlib
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from components.base import settings
from pipeline import config as config_module
from pipeline.config import PROFILES, Config


def added_to(command: Callable) -> Callable:
    """Return `command` with a parameter for each option of the configuration instead of its **keywords."""
    types = get_type_hints(Config)
    signature = inspect.signature(command)
    *parameters, _ = signature.parameters.values()
    for name, option in sorted(settings.options(Config).items(), key=lambda item: _is_of_finetuning(item[0])):
        annotation: Any = Annotated[_item_type(types[name]) | None, _typer_option(name, types[name], option)]
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    parameters.sort(key=lambda parameter: parameter.kind)
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return command


def _typer_option(name: str, annotation: Any, option: settings.Option) -> Any:
    """Return the typer.Option of a field, with its value in each profile."""
    values = {profile: _text(getattr(config_module.of_profile(profile, pathlib.Path()), name)) for profile in PROFILES}
    others = [f"{profile} {value}" for profile, value in values.items() if value != values["thesis"]]
    declaration = [] if annotation is bool else [config_module.flag(name)]
    is_list = get_origin(annotation) is tuple
    bounds: dict[str, Any] = {"min": option.min, "max": option.max}
    if is_list:
        bounds = {"parser": lambda text: _split(text, config_module.flag(name), get_args(annotation)[0], option)}
    return typer.Option(
        *declaration,
        help=option.help,
        show_default="; ".join([values["thesis"], *others]),
        rich_help_panel="Fine-tuning" if _is_of_finetuning(name) else None,
        metavar=_metavar(get_args(annotation)[0], option) if is_list else None,
        **bounds,
    )


def _metavar(item_type: Any, option: settings.Option) -> str:
    """Return the choices or bounds of the items of a list, as the help shows them."""
    choices = get_args(item_type)
    return f"<some of {','.join(choices)}>" if choices else f"<numbers> [{option.min}<=x<={option.max}]"


def _is_of_finetuning(name: str) -> bool:
    return name == "finetuning_rate" or name in settings.options(settings.Finetuning)


def _item_type(annotation: Any) -> Any:
    """Return the type that Typer parses: text for a list, and the type of an optional value without None."""
    if get_origin(annotation) is tuple:
        return str
    if get_origin(annotation) is Literal:
        return annotation
    return next(iter(get_args(annotation)), annotation)


def _split(text: str, flag: str, item_type: Any, option: settings.Option) -> tuple:
    """Return the values of a list that commas separate, checked against the choices or bounds of its items."""
    words = [word.strip() for word in text.split(",")]
    values = _choices(words, flag, item_type) if get_origin(item_type) is Literal else _numbers(words, flag, option)
    if len({*values}) < len(values):
        raise typer.BadParameter(f"{flag} must not contain a value twice (got {text}).")
    return values


def _choices(words: list[str], flag: str, item_type: Any) -> tuple:
    choices = get_args(item_type)
    if unknown := [word for word in words if word not in choices]:
        raise typer.BadParameter(f"{flag} must be some of {','.join(choices)} (got {','.join(unknown)}).")
    return tuple(words)


def _numbers(words: list[str], flag: str, option: settings.Option) -> tuple:
    got = ",".join(words)
    try:
        numbers = tuple(map(float, words))
    except ValueError as error:
        raise typer.BadParameter(f"{flag} must be numbers separated by commas (got {got}).") from error
    if not all(option.min <= number <= option.max for number in numbers):  # type: ignore[operator]
        raise typer.BadParameter(f"{flag} must be numbers from {option.min} to {option.max} (got {got}).")
    return numbers


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else f"{value:_}" if isinstance(value, int) else str(value)
