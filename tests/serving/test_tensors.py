"""Tensors with fewer values than their shape has elements."""

import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from serving.embedded import status, tensors


def tensor(dtype, size, **values):
    proto = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum, **values)
    proto.tensor_shape.dim.add(size=size)
    return proto


@pytest.mark.parametrize(
    ("dtype", "values"), [(tf.string, {"string_val": [b"a"]}), (tf.float32, {"float_val": [1.0]}), (tf.int64, {})]
)
def test_last_value_is_repeated_unless_the_shape_is_too_large(dtype, values):
    assert tensors.to_array(tensor(dtype, 1000, **values), "x").shape == (1000,)
    with pytest.raises(status.StatusError, match="tensor parsing error: x") as refused:
        tensors.to_array(tensor(dtype, 10**12, **values), "x")
    assert "too large" in str(refused.value.__cause__)


def test_content_that_is_shorter_than_the_shape_is_refused():
    with pytest.raises(status.StatusError, match="tensor parsing error: x"):
        tensors.to_array(tensor(tf.float32, 10**12, tensor_content=bytes(8)), "x")
