"""Convert JSON values to arrays and back, as TensorFlow Serving's util/json_tensor.cc does."""

import base64
import binascii
import contextlib
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from serving.embedded import status, tensors

MAX_AXES = 64  # NumPy's limit
BYTES_SUFFIX = "_bytes"  # a string output with such a name is written as {"b64": ...}
_JSON_TYPES = {type(None): "Null", dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}


def to_array(value: Any, dtype: tf.DType) -> np.ndarray:
    """Convert a scalar or nested lists to an array of `dtype`; strings become an object array of bytes.

    Raises:
        StatusError: INVALID_ARGUMENT, ragged lists or another type; UNIMPLEMENTED, a `dtype` that JSON cannot hold.
    """
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        if not first:
            break
        first = first[0]
    if len(shape) > MAX_AXES:
        raise status.invalid_argument(f"A tensor has at most {MAX_AXES} axes (got lists nested {len(shape)} deep).")
    scalars: list[Any] = []
    _flatten(value, 0, shape, scalars)
    convert = _CONVERTERS.get(dtype, _refuse)
    numpy_dtype = object if dtype == tf.string else dtype.as_numpy_dtype
    return np.array([convert(scalar, dtype) for scalar in scalars], numpy_dtype).reshape(shape)


def from_array(name: str, array: np.ndarray) -> Any:
    """Convert the output `name` to nested lists that json.dumps can write.

    Raises:
        StatusError: INVALID_ARGUMENT, JSON cannot hold the dtype.
    """
    if array.dtype == object:
        is_base64_output = name.endswith(BYTES_SUFFIX)
        flat = [_from_bytes(value, is_base64_output) for value in array.ravel()]
        return np.array([*flat, None], object)[:-1].reshape(array.shape).tolist()  # None keeps NumPy from reading a str
    if tensors.dtype_of(array) not in _CONVERTERS:
        dtype = tensors.name_of(tensors.dtype_of(array))
        raise status.invalid_argument(f"Failed to write JSON value for tensor type: {dtype}")
    if array.dtype == np.float32:
        return np.array([_shortest_float(value) for value in array.ravel()]).reshape(array.shape).tolist()
    return array.tolist()


def is_base64(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def show(value: Any, limit: int = 200) -> str:
    """Return `value` as JSON for an error message, cut at `limit` characters."""
    text = json.dumps(value)
    return text if len(text) <= limit else f"{text[:limit]}..."


def _flatten(value: Any, level: int, shape: list[int], scalars: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise status.invalid_argument(
                f"JSON Value: {show(value)} found at incorrect level: {level + 1} in the JSON DOM. Expected at level: "
                f"{len(shape)}"
            )
        scalars.append(value)
        return
    if level >= len(shape):
        raise status.invalid_argument(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise status.invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for item in value:
        _flatten(item, level + 1, shape, scalars)


def _to_float(value: Any, dtype: tf.DType) -> float:
    if type(value) not in (int, float):
        raise _type_error(value, dtype)
    limits = np.finfo(dtype.as_numpy_dtype)
    with contextlib.suppress(OverflowError):
        value = value if -(2**63) <= value < 2**64 else float(value)  # as TensorFlow Serving reads larger integers
    is_lossy = abs(value) >= 2 ** (limits.nmant + 1) if isinstance(value, int) else abs(value) > float(limits.max)
    if is_lossy and not (isinstance(value, float) and math.isinf(value)):
        raise status.invalid_argument(
            f"Cannot convert JSON value: {show(value)} to {tensors.name_of(dtype)} without loss of precision."
        )
    return float(value)


def _to_int(value: Any, dtype: tf.DType) -> int:
    read_as = tf.int32 if dtype.size < 4 else dtype  # 8 and 16 bits are read as 32 bits, then truncated as in C++
    if type(value) is not int or not read_as.min <= value <= read_as.max:
        raise _type_error(value, dtype)
    return int(np.array(value).astype(dtype.as_numpy_dtype))


def _to_bool(value: Any, dtype: tf.DType) -> bool:
    if type(value) is not bool:
        raise _type_error(value, dtype)
    return value


def _to_bytes(value: Any, dtype: tf.DType) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if not isinstance(value, dict):
        raise _type_error(value, dtype)
    if not is_base64(value):
        raise status.invalid_argument(f"JSON Value: {show(value)} not formatted correctly for base64 data")
    try:
        text = "".join(value["b64"].split())
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise status.invalid_argument("Unable to base64 decode") from error


def _refuse(value: Any, dtype: tf.DType) -> Any:
    raise status.StatusError(
        status.Code.UNIMPLEMENTED, f"Conversion of JSON Value: {show(value)} to type: {tensors.name_of(dtype)}"
    )


# dtype -> function that converts a JSON scalar to it, or raises StatusError
_CONVERTERS: dict[tf.DType, Callable[[Any, tf.DType], Any]] = {
    **dict.fromkeys((tf.float32, tf.float64), _to_float),
    **dict.fromkeys((tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint32, tf.uint64), _to_int),
    tf.bool: _to_bool,
    tf.string: _to_bytes,
}


def _shortest_float(value: np.floating) -> float:
    """Round a float32 to 6 digits where they identify it, else to 9, so that a double's digits are not printed."""
    short = float(f"{value:g}")
    return short if type(value)(short) == value else float(f"{value:.9g}")


def _from_bytes(value: bytes, as_base64: bool) -> Any:
    return {"b64": base64.b64encode(value).decode()} if as_base64 else value.decode("utf-8", "surrogateescape")


def _type_error(value: Any, dtype: tf.DType) -> status.StatusError:
    kind = str(value) if isinstance(value, bool) else _JSON_TYPES[type(value)]
    return status.invalid_argument(
        f"JSON Value: {show(value)} Type: {kind} is not of expected type: {tensors.name_of(dtype)}"
    )
