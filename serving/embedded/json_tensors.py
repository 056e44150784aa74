"""JSON <-> tensors as TensorFlow Serving's REST API writes them (its docs/api_rest.md and util/json_tensor.cc)."""

import base64
import binascii
import contextlib
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from serving.embedded import saved_model, status, tensors

Inputs = Mapping[str, meta_graph_pb2.TensorInfo]
MAX_AXES = 64  # numpy's
BYTES_SUFFIX = "_bytes"  # a string output of such a name is written as {"b64": ...}
# An escape in a JSON string: a pair of surrogates, one alone, or any other.
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.DOTALL)
_JSON_TYPES = {type(None): "Null", dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}


def parse(body: bytes) -> dict[str, Any]:
    """The object in `body`.

    Raises:
        StatusError: INVALID_ARGUMENT, it is no JSON object.
    """
    if not body:
        raise status.invalid_argument("JSON Parse error: The document is empty")
    try:
        # Bytes that are not UTF-8 pass through to string tensors, as they do in TensorFlow Serving.
        text = body.decode("utf-8", "surrogateescape")
        document = json.loads(text, parse_float=_parse_float)
    except (ValueError, RecursionError) as error:
        raise status.invalid_argument(f"JSON Parse error: {error}") from error
    if lone := next((found[1] for found in _ESCAPE.finditer(text) if found[1]), None):
        raise status.invalid_argument(f"JSON Parse error: The surrogate pair in string is invalid: \\{lone}")
    if not isinstance(document, dict):
        raise status.invalid_argument(f"JSON Value: {_show(document)} Is not object")
    return document


def _parse_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"Number too big to be stored in double: {text}")
    return value


def signature_name(document: Mapping[str, Any]) -> str:
    name = document.get("signature_name", saved_model.DEFAULT_SIGNATURE)
    if not isinstance(name, str):
        raise status.invalid_argument(
            f"JSON Value: {_show(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name or saved_model.DEFAULT_SIGNATURE


def inputs(document: Mapping[str, Any], infos: Inputs) -> tuple[dict[str, np.ndarray], bool]:
    """The tensors of a predict request, and whether it came row by row ("instances") rather than by name ("inputs").

    Raises:
        StatusError: INVALID_ARGUMENT, with what stands in the wrong place.
    """
    if not infos:
        raise status.invalid_argument(f"Failed to get input map for signature: {signature_name(document)}")
    rows, columns = "instances" in document, "inputs" in document
    if rows and columns:
        raise status.invalid_argument(
            f"JSON Value: {_show(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist"
        )
    if rows:
        return _from_instances(document["instances"], infos, document), True
    if columns:
        return _from_inputs(document["inputs"], infos), False
    raise status.invalid_argument("Missing 'inputs' or 'instances' key")


def outputs(arrays: Mapping[str, np.ndarray], row_by_row: bool) -> dict[str, Any]:
    """The answer to a predict request, ready for json.dumps; one output alone stands without its name.

    Raises:
        StatusError: INVALID_ARGUMENT, outputs that share no first axis were asked for row by row.
    """
    if not arrays:
        raise status.invalid_argument("Cannot convert empty tensor map to JSON")
    values = {name: _plain(name, array) for name, array in arrays.items()}
    if not row_by_row:
        return {"outputs": values if len(values) > 1 else next(iter(values.values()))}
    batch_size = -1
    for name, array in arrays.items():
        if array.ndim == 0:
            raise status.invalid_argument(f"Tensor name: {name} has no shape information ")
        if len(array) == 0:
            raise status.invalid_argument(f"Tensor name: {name} has invalid batch size: 0")
        if batch_size not in (-1, len(array)):
            raise status.invalid_argument(
                f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {batch_size}"
            )
        batch_size = len(array)
    if len(values) == 1:
        return {"predictions": next(iter(values.values()))}
    return {"predictions": [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]}


def _from_instances(instances: Any, infos: Inputs, document: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if not isinstance(instances, list):
        raise status.invalid_argument(f"JSON Value: {_show(document)} Excepting 'instances' to be an list/array")
    if not instances:
        raise status.invalid_argument(f"JSON Value: {_show(document)} No values in 'instances' array")
    if not isinstance(instances[0], dict) and len(infos) > 1:
        raise status.invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    named = _is_named(instances[0])
    columns: dict[str, list[np.ndarray]] = {name: [] for name in infos}
    for position, element in enumerate(instances):
        if _is_named(element) != named:
            expected, got = ("object", "list") if named else ("value/list", "object")
            raise status.invalid_argument(f"Expecting {expected} but got {got} at item {position} of input list")
        row = element if named else {next(iter(infos)): element}
        for name, value in row.items():
            try:
                columns.setdefault(name, []).append(_row(name, value, infos, columns))
            except status.StatusError as error:
                where = f"element: {position} key: {name}" if named else f"element: {position}"
                raise status.invalid_argument(
                    f"Failed to process {where} of 'instances' list. Error: {error.code.name}: {error.message}"
                ) from error
        if row.keys() != infos.keys():
            raise status.invalid_argument(
                f"Failed to process element: {position} of 'instances' list. JSON object: {_show(element)} keys must "
                f"be equal to: {','.join(sorted(infos))}"
            )
    return {name: np.stack(values) for name, values in columns.items()}


def _row(name: str, value: Any, infos: Inputs, columns: Mapping[str, list[np.ndarray]]) -> np.ndarray:
    if name not in infos:
        raise status.invalid_argument(f"JSON object: does not have named input: {name}")
    array = _array(value, tf.as_dtype(infos[name].dtype))
    if columns[name] and array.size != columns[name][0].size:
        raise status.invalid_argument(f"Expecting tensor size: {columns[name][0].size} but got: {array.size}")
    if columns[name] and array.shape != columns[name][0].shape:
        expected, got = (",".join(map(str, one.shape)) for one in (columns[name][0], array))
        raise status.invalid_argument(f"Expecting shape [{expected}] but got: [{got}]")
    return array


def _from_inputs(value: Any, infos: Inputs) -> dict[str, np.ndarray]:
    if not _is_named(value):
        if len(infos) > 1:
            raise status.invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        name, info = next(iter(infos.items()))
        return {name: _array(value, tf.as_dtype(info.dtype))}
    for name in infos:
        if name not in value:
            raise status.invalid_argument(f"Missing named input: {name} in 'inputs' object.")
    return {name: _array(value[name], tf.as_dtype(info.dtype)) for name, info in infos.items()}


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def _array(value: Any, dtype: tf.DType) -> np.ndarray:
    """`value`, a leaf or lists of lists of leaves, as an array of `dtype`; strings as an object array of bytes."""
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        if not first:
            break
        first = first[0]
    if len(shape) > MAX_AXES:
        raise status.invalid_argument(f"A tensor has at most {MAX_AXES} axes. Received lists {len(shape)} deep.")
    leaves: list[Any] = []
    _flatten(value, 0, shape, leaves)
    convert = _LEAVES.get(dtype, _refuse)
    flat = np.array([convert(leaf, dtype) for leaf in leaves], object if dtype == tf.string else dtype.as_numpy_dtype)
    return flat.reshape(shape)


def _flatten(value: Any, level: int, shape: list[int], leaves: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise status.invalid_argument(
                f"JSON Value: {_show(value)} found at incorrect level: {level + 1} in the JSON DOM. Expected at level: "
                f"{len(shape)}"
            )
        leaves.append(value)
        return
    if level >= len(shape):
        raise status.invalid_argument(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise status.invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for item in value:
        _flatten(item, level + 1, shape, leaves)


def _to_float(value: Any, dtype: tf.DType) -> float:
    if type(value) not in (int, float):
        raise _type_error(value, dtype)
    limits = np.finfo(dtype.as_numpy_dtype)
    with contextlib.suppress(OverflowError):
        value = value if -(2**63) <= value < 2**64 else float(value)  # what no 64-bit integer holds is read as a double
    lossy = abs(value) >= 2 ** (limits.nmant + 1) if isinstance(value, int) else abs(value) > float(limits.max)
    if lossy and not (isinstance(value, float) and math.isinf(value)):
        raise status.invalid_argument(
            f"Cannot convert JSON value: {_show(value)} to {tensors.name_of(dtype)} without loss of precision."
        )
    return float(value)


def _to_int(value: Any, dtype: tf.DType) -> int:
    read_as = tf.int32 if dtype.size < 4 else dtype  # 8 and 16 bits are read as 32, then narrowed as C++ narrows
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
    if not _is_base64(value):
        raise status.invalid_argument(f"JSON Value: {_show(value)} not formatted correctly for base64 data")
    try:
        text = "".join(value["b64"].split())
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise status.invalid_argument("Unable to base64 decode") from error


def _refuse(value: Any, dtype: tf.DType) -> Any:
    raise status.StatusError(
        status.Code.UNIMPLEMENTED, f"Conversion of JSON Value: {_show(value)} to type: {tensors.name_of(dtype)}"
    )


# dtype -> what makes a value of it from a JSON leaf, or raises StatusError
_LEAVES: dict[tf.DType, Callable[[Any, tf.DType], Any]] = {
    **dict.fromkeys((tf.float32, tf.float64), _to_float),
    **dict.fromkeys((tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint32, tf.uint64), _to_int),
    tf.bool: _to_bool,
    tf.string: _to_bytes,
}


def _plain(name: str, array: np.ndarray) -> Any:
    """`array` as lists of what JSON can hold; float32 with the digits that it has, not those of a float64."""
    if array.dtype == object:
        as_bytes = name.endswith(BYTES_SUFFIX)
        flat = [_text(value, as_bytes) for value in array.ravel()]
        return np.array([*flat, None], object)[:-1].reshape(array.shape).tolist()  # None: never an array of characters
    if tensors.dtype_of(array) not in _LEAVES:
        dtype = tensors.name_of(tensors.dtype_of(array))
        raise status.invalid_argument(f"Failed to write JSON value for tensor type: {dtype}")
    if array.dtype == np.float32:
        return np.array([_round(value) for value in array.ravel()]).reshape(array.shape).tolist()
    return array.tolist()


def _round(value: np.floating) -> float:
    """A float32 with 6 digits where these give it back, else with 9: no noise of a double's."""
    short = float(f"{value:g}")
    return short if type(value)(short) == value else float(f"{value:.9g}")


def _text(value: bytes, as_bytes: bool) -> Any:
    return {"b64": base64.b64encode(value).decode()} if as_bytes else value.decode("utf-8", "surrogateescape")


def _type_error(value: Any, dtype: tf.DType) -> status.StatusError:
    kind = str(value) if isinstance(value, bool) else _JSON_TYPES[type(value)]
    return status.invalid_argument(
        f"JSON Value: {_show(value)} Type: {kind} is not of expected type: {tensors.name_of(dtype)}"
    )


def _show(value: Any, limit: int = 200) -> str:
    text = json.dumps(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
