"""JSON <-> tensors as TensorFlow Serving's REST API writes them (its docs/api_rest.md and util/json_tensor.cc)."""

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from serving.embedded import saved_model, status

Inputs = Mapping[str, meta_graph_pb2.TensorInfo]
BYTES_SUFFIX = "_bytes"  # a string output of such a name is written as {"b64": ...}
_NAMES = {tf.float32: "float", tf.float64: "double"}  # where DataTypeString differs from tf.DType.name
_JSON_TYPES = {type(None): "Null", dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}


def parse(body: bytes) -> dict[str, Any]:
    """The object in `body`.

    Raises:
        StatusError: INVALID_ARGUMENT, it is no JSON object.
    """
    if not body:
        raise status.invalid_argument("JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise status.invalid_argument(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise status.invalid_argument(f"JSON Value: {_show(document)} Is not object")
    return document


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
    values = {name: _plain(name, array) for name, array in arrays.items()}
    if not row_by_row:
        return {"outputs": values if len(values) > 1 else next(iter(values.values()))}
    batch_size = -1
    for name, array in arrays.items():
        if array.ndim == 0:
            raise status.invalid_argument(f"Tensor name: {name} has no shape information ")
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
    if columns[name] and array.shape != columns[name][0].shape:
        raise status.invalid_argument(f"Expecting shape {list(columns[name][0].shape)} but got: {list(array.shape)}")
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
    if dtype not in _LEAVES:
        raise status.StatusError(
            status.Code.UNIMPLEMENTED, f"Conversion of JSON Value: {_show(value)} to type: {_name(dtype)}"
        )
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        if not first:
            break
        first = first[0]
    leaves: list[Any] = []
    _flatten(value, 0, shape, leaves)
    convert = _LEAVES[dtype]
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
    lossy = abs(value) >= 2 ** (limits.nmant + 1) if isinstance(value, int) else abs(value) > limits.max
    if lossy and math.isfinite(value):
        raise status.invalid_argument(
            f"Cannot convert JSON value: {_show(value)} to {_name(dtype)} without loss of precision."
        )
    return float(value)


def _to_int(value: Any, dtype: tf.DType) -> int:
    if type(value) is not int or not dtype.min <= value <= dtype.max:
        raise _type_error(value, dtype)
    return value


def _to_bool(value: Any, dtype: tf.DType) -> bool:
    if type(value) is not bool:
        raise _type_error(value, dtype)
    return value


def _to_bytes(value: Any, dtype: tf.DType) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if not isinstance(value, dict):
        raise _type_error(value, dtype)
    if not _is_base64(value):
        raise status.invalid_argument(f"JSON Value: {_show(value)} not formatted correctly for base64 data")
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise status.invalid_argument("Unable to base64 decode") from error


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
    if array.dtype.kind == "f" and array.dtype != np.float64:
        return np.array([float(str(value)) for value in array.ravel()]).reshape(array.shape).tolist()
    if array.dtype.kind in "fiub":
        return array.tolist()
    raise status.invalid_argument(f"Failed to write JSON value for tensor type: {array.dtype}")


def _text(value: bytes, as_bytes: bool) -> Any:
    return {"b64": base64.b64encode(value).decode()} if as_bytes else value.decode("utf-8", "replace")


def _type_error(value: Any, dtype: tf.DType) -> status.StatusError:
    kind = str(value) if isinstance(value, bool) else _JSON_TYPES[type(value)]
    return status.invalid_argument(f"JSON Value: {_show(value)} Type: {kind} is not of expected type: {_name(dtype)}")


def _name(dtype: tf.DType) -> str:
    return _NAMES.get(dtype, dtype.name)


def _show(value: Any, limit: int = 200) -> str:
    text = json.dumps(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
