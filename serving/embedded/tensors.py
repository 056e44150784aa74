"""Convert TensorProto to NumPy arrays and back, with the fields that TensorFlow Serving uses."""

import math

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from serving.embedded import status

MAX_REPEATED = 2**24  # elements that a tensor may have beyond its values; TensorFlow Serving has no limit
# dtype -> repeated field of TensorProto with its values (tensorflow/core/framework/tensor.proto)
_FIELDS = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.int8: "int_val",
    tf.int16: "int_val",
    tf.int32: "int_val",
    tf.uint8: "int_val",
    tf.uint16: "int_val",
    tf.uint32: "uint32_val",
    tf.int64: "int64_val",
    tf.uint64: "uint64_val",
    tf.bool: "bool_val",
    tf.string: "string_val",
}


def to_array(proto: tensor_pb2.TensorProto, name: str) -> np.ndarray:
    """Convert the tensor of input `name`; strings become an object array of bytes.

    Raises:
        StatusError: INVALID_ARGUMENT, the values do not match shape and dtype, or are far fewer than the shape has
            elements.
    """
    try:
        return tf.make_ndarray(_trimmed(proto))
    except Exception as error:
        raise status.invalid_argument(f"tensor parsing error: {name}") from error


def to_proto(array: np.ndarray, dtype: tf.DType) -> tensor_pb2.TensorProto:
    """Convert `array`, with its values in the field of `dtype`; in tensor_content if it has none."""
    if dtype not in _FIELDS:
        return tf.make_tensor_proto(array, dtype)
    proto = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum)
    proto.tensor_shape.SetInParent()  # present even for a scalar
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, _FIELDS[dtype]).extend(array.ravel().tolist())
    return proto


def dtype_of(array: np.ndarray) -> tf.DType:
    return tf.string if array.dtype == object else tf.as_dtype(array.dtype)


def name_of(dtype: tf.DType) -> str:
    """Return the name of `dtype` in TensorFlow's error messages."""
    return {tf.float16: "half", tf.float32: "float", tf.float64: "double"}.get(dtype, dtype.name)


def _trimmed(proto: tensor_pb2.TensorProto) -> tensor_pb2.TensorProto:
    """Drop the values beyond the shape of `proto`, which TensorFlow ignores and make_ndarray refuses."""
    field = _FIELDS.get(tf.as_dtype(proto.dtype))
    if any(dim.size < 0 for dim in proto.tensor_shape.dim):
        raise ValueError("a size is negative")
    size = math.prod(dim.size for dim in proto.tensor_shape.dim)
    if field and not proto.tensor_content and size - len(getattr(proto, field)) > MAX_REPEATED:
        raise ValueError("the shape is too large for the values, the last of which is repeated")
    if not field or len(getattr(proto, field)) <= size:
        return proto
    trimmed = tensor_pb2.TensorProto()
    trimmed.CopyFrom(proto)
    del getattr(trimmed, field)[size:]
    return trimmed
