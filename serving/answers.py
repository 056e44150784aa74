"""Read the tensors in the answer about one photo, without NumPy.

The functions raise ValueError for an answer that is no classification; the message continues "the model returned".
"""

import math
from collections.abc import Mapping, Sequence

from serving.protos import predict_pb2


def scores(outputs: Mapping[str, predict_pb2.Tensor]) -> dict[str, float]:
    """Return class -> score in the model's order."""
    names = [name.decode() for name in outputs["class_names"].string_val]
    values = _floats(outputs["scores"])
    if not len(names) == len(set(names)) == len(values) > 0 or not all(map(math.isfinite, values)):
        raise ValueError(f"{len(names)} class names and the scores {list(values)}")
    return dict(zip(names, values, strict=True))


def prediction_set(tensor: predict_pb2.Tensor, names: Sequence[str], ranked: Sequence[str]) -> list[str]:
    """Return the classes in the prediction set.

    Args:
        tensor: bool [1, classes], which classes are in the set; the most probable one always is.
        names: the classes in the model's order.
        ranked: the classes, the most probable first.
    """
    flags = _booleans(tensor)
    members = {name for name, is_in_set in zip(names, flags, strict=False) if is_in_set}
    if len(flags) != len(names) or ranked[0] not in members:
        raise ValueError(
            f"the prediction set {flags}, which must have one value for each of the {len(names)} classes and contain "
            f"{ranked[0]}, the most probable one"
        )
    return [name for name in ranked if name in members]


def typicality(tensor: predict_pb2.Tensor) -> float:
    """Return the typicality of the photo, in [0, 1]."""
    values = _floats(tensor)
    if len(values) != 1 or not 0 <= values[0] <= 1:  # false for NaN
        raise ValueError(f"the typicality {list(values)}, which must be one value from 0 to 1")
    return values[0]


def heatmap(tensor: predict_pb2.Tensor) -> list[list[float]]:
    """Return the rows of a heat map, a float32 tensor [1, height, width] in [0, 1]."""
    shape, values = [dim.size for dim in tensor.tensor_shape.dim], list(_floats(tensor))
    if len(shape) != 3 or shape[0] != 1 or not len(values) == math.prod(shape) > 0:
        raise ValueError(f"a heat map of the shape {shape} with {len(values)} values")
    if not all(0 <= value <= 1 for value in values):  # false for NaN
        raise ValueError(f"a heat map with the values {values}, which must be from 0 to 1")
    width = shape[2]
    return [values[start : start + width] for start in range(0, len(values), width)]


def _floats(tensor: predict_pb2.Tensor) -> Sequence[float]:
    """Return the values of a float32 tensor from the field that the server filled."""
    content = tensor.tensor_content
    return memoryview(content).cast("f").tolist() if content else tensor.float_val


def _booleans(tensor: predict_pb2.Tensor) -> list[bool]:
    return [bool(byte) for byte in tensor.tensor_content] if tensor.tensor_content else list(tensor.bool_val)
