"""Check the types and bounds of the settings in run.json, which people edit."""

import functools
import typing
from typing import Any, Literal

from components.base import json_types, settings

PATHS = {"run_dir": str, "images": list[str], "labels": str | None, "weights_dir": str | None}  # texts in run.json
RANGES = {"dropouts": list[float] | str, "learning_rate": float | str}  # ranges are texts


def check(values: Any, config: type) -> None:
    """Raise ValueError if a setting has a type or a value that its option does not take.

    Args:
        values: contents of run.json.
        config: the dataclass of all settings.
    """
    json_types.check(values, dict[str, Any])
    options = settings.options(config)
    for name, annotation in _annotations(config).items():
        if name in values:
            json_types.check(values[name], annotation, name)
            _check_choice(name, values[name], annotation)
            _check_bounds(name, values[name], options.get(name))


def _check_choice(name: str, value: Any, annotation: Any) -> None:
    if typing.get_origin(annotation) is Literal and value not in typing.get_args(annotation):
        raise ValueError(f"{name} must be one of {', '.join(typing.get_args(annotation))} (got {value})")


def _check_bounds(name: str, value: Any, option: settings.Option | None) -> None:
    if option is None or option.min is None or option.max is None:
        return
    if isinstance(value, str):
        searched = settings.parse_range(value)
        value = [searched.low, searched.high]
    for number in value if isinstance(value, list) else [value]:
        if number is not None and not option.min <= number <= option.max:
            raise ValueError(f"{name} must be from {option.min} to {option.max} (got {number})")


@functools.cache
def _annotations(config: type) -> dict[str, Any]:
    return {**typing.get_type_hints(config), **PATHS, **RANGES}
