"""Read predict requests and write their responses in the JSON of TensorFlow Serving's REST API (docs/api_rest.md)."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from serving.embedded import json_values, saved_model, status

Inputs = Mapping[str, meta_graph_pb2.TensorInfo]
# An escape in a JSON string: a surrogate pair, an unpaired surrogate (group 1), or any other escape.
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.DOTALL)


def parse(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`.

    Raises:
        StatusError: INVALID_ARGUMENT, `body` is not a JSON object.
    """
    if not body:
        raise status.invalid_argument("JSON Parse error: The document is empty")
    try:
        # Bytes that are not UTF-8 reach string tensors unchanged, as in TensorFlow Serving.
        text = body.decode("utf-8", "surrogateescape")
        document = json.loads(text, parse_float=_parse_float)
    except (ValueError, RecursionError) as error:
        raise status.invalid_argument(f"JSON Parse error: {error}") from error
    if unpaired := next((match[1] for match in _ESCAPE.finditer(text) if match[1]), None):
        raise status.invalid_argument(f"JSON Parse error: The surrogate pair in string is invalid: \\{unpaired}")
    if not isinstance(document, dict):
        raise status.invalid_argument(f"JSON Value: {json_values.show(document)} Is not object")
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
            f"JSON Value: {json_values.show(document)} not formatted correctly. 'signature_name' key must be a string "
            "value."
        )
    return name or saved_model.DEFAULT_SIGNATURE


def inputs(document: Mapping[str, Any], infos: Inputs) -> tuple[dict[str, np.ndarray], bool]:
    """Return the tensors of a predict request, and whether it is in row format ("instances", else "inputs").

    Raises:
        StatusError: INVALID_ARGUMENT, with the wrong value and its position.
    """
    if not infos:
        raise status.invalid_argument(f"Failed to get input map for signature: {signature_name(document)}")
    is_row_format, is_column_format = "instances" in document, "inputs" in document
    if is_row_format and is_column_format:
        raise status.invalid_argument(
            f"JSON Value: {json_values.show(document)} Not formatted correctly expecting only one of 'inputs' or "
            "'instances' keys to exist"
        )
    if is_row_format:
        return _from_instances(document["instances"], infos, document), True
    if is_column_format:
        return _from_inputs(document["inputs"], infos), False
    raise status.invalid_argument("Missing 'inputs' or 'instances' key")


def outputs(arrays: Mapping[str, np.ndarray], row_by_row: bool) -> dict[str, Any]:
    """Return the response to a predict request, for json.dumps; a single output is written without its name.

    Raises:
        StatusError: INVALID_ARGUMENT, the outputs of a request in row format differ in batch size.
    """
    if not arrays:
        raise status.invalid_argument("Cannot convert empty tensor map to JSON")
    values = {name: json_values.from_array(name, array) for name, array in arrays.items()}
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
        raise status.invalid_argument(
            f"JSON Value: {json_values.show(document)} Excepting 'instances' to be an list/array"
        )
    if not instances:
        raise status.invalid_argument(f"JSON Value: {json_values.show(document)} No values in 'instances' array")
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
                f"Failed to process element: {position} of 'instances' list. JSON object: {json_values.show(element)} "
                f"keys must be equal to: {','.join(sorted(infos))}"
            )
    return {name: np.stack(values) for name, values in columns.items()}


def _row(name: str, value: Any, infos: Inputs, columns: Mapping[str, list[np.ndarray]]) -> np.ndarray:
    if name not in infos:
        raise status.invalid_argument(f"JSON object: does not have named input: {name}")
    array = json_values.to_array(value, tf.as_dtype(infos[name].dtype))
    if columns[name] and array.size != columns[name][0].size:
        raise status.invalid_argument(f"Expecting tensor size: {columns[name][0].size} but got: {array.size}")
    if columns[name] and array.shape != columns[name][0].shape:
        expected, got = (",".join(map(str, shape)) for shape in (columns[name][0].shape, array.shape))
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
        return {name: json_values.to_array(value, tf.as_dtype(info.dtype))}
    for name in infos:
        if name not in value:
            raise status.invalid_argument(f"Missing named input: {name} in 'inputs' object.")
    return {name: json_values.to_array(value[name], tf.as_dtype(info.dtype)) for name, info in infos.items()}


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not json_values.is_base64(value)
