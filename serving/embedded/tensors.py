"""TensorProto <-> numpy, field for field as TensorFlow Serving answers."""

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from serving.embedded import status

# dtype -> field of TensorProto that holds its values one by one (tensorflow/core/framework/tensor.proto)
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
    """The tensor of input `name`; strings become an object array of bytes.

    Raises:
        StatusError: INVALID_ARGUMENT, the values do not make a tensor of that shape and dtype.
    """
    try:
        return tf.make_ndarray(proto)
    except Exception as error:
        raise status.invalid_argument(f"tensor parsing error: {name}") from error


def to_proto(array: np.ndarray, dtype: tf.DType) -> tensor_pb2.TensorProto:
    """`array` with its values in the field of `dtype`; as bytes in tensor_content for the few dtypes beyond those."""
    if dtype not in _FIELDS:
        return tf.make_tensor_proto(array, dtype)
    proto = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, _FIELDS[dtype]).extend(array.ravel().tolist())
    return proto
