"""Check that a JSON value has the keys and types that a TypedDict or another annotation declares."""

import functools
import math
import types
import typing
from typing import Any, Literal

MAX_WHOLE_NUMBER = 2**63  # as numpy's int64
NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", types.NoneType: "null"}


def check(value: Any, kind: Any, name: str = "") -> None:
    """Raise ValueError if `value` is not of the type `kind`; keys that a TypedDict does not declare may have any value.

    Args:
        kind: a TypedDict, list[X], tuple[X, ...], dict[str, X], a union, a Literal, one of NAMES, or Any.
        name: of the value in the document, for the message.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return
    if typing.is_typeddict(kind):
        _check_keys(value, kind, name)
    elif origin in (list, tuple):
        _require(isinstance(value, list), name, "a list", value)
        for index, item in enumerate(value):
            check(item, arguments[0], f"{name}[{index}]")
    elif origin is dict:
        _require(isinstance(value, dict), name, "an object", value)
        for key, item in value.items():
            check(item, arguments[1], _joined(name, key))
    elif origin in (types.UnionType, typing.Union):
        _check_union(value, arguments, name)
    elif origin is Literal:
        check(value, type(arguments[0]), name)  # not whether it is one of them, as other versions have others
    else:
        _require(_is_plain(value, kind), name, NAMES[kind], value)


def _check_keys(value: Any, kind: Any, name: str) -> None:
    _require(isinstance(value, dict), name, "an object", value)
    for key in sorted(kind.__required_keys__ - value.keys()):
        raise ValueError(f"{_joined(name, key)} is missing")
    for key, annotation in _hints(kind).items():
        if key in value:
            check(value[key], annotation, _joined(name, key))


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _check_union(value: Any, kinds: tuple[Any, ...], name: str) -> None:
    if value is None and types.NoneType in kinds:
        return
    errors = []
    for kind in kinds:
        if kind is types.NoneType:
            continue
        try:
            check(value, kind, name)
            return
        except ValueError as error:
            errors.append(error)
    raise errors[0]


def _is_plain(value: Any, kind: type) -> bool:
    if kind is int:
        return type(value) is int and abs(value) < MAX_WHOLE_NUMBER
    if kind is float:
        is_number = type(value) is float and math.isfinite(value)
        return is_number or (type(value) is int and abs(value) < MAX_WHOLE_NUMBER)
    return type(value) is kind


def _joined(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _require(condition: bool, name: str, what: str, value: Any) -> None:
    if not condition:
        shown = ascii(value)
        shown = shown if len(shown) <= 40 else f"{shown[:40]}..."
        raise ValueError(f"{name or 'it'} must be {what} (got {shown})")
