"""What is left of a request that failed."""

import gc
import weakref

import pytest
import tensorflow as tf

from serving.embedded import metrics, status, versions


class Tensor:
    """An object that a weak reference may follow."""


@pytest.mark.parametrize(
    "error", [status.invalid_argument, lambda text: tf.errors.InvalidArgumentError(None, None, text)]
)
def test_request_that_failed_leaves_nothing_in_memory(error):
    def fail():
        tensor = Tensor()
        left.append(weakref.ref(tensor))
        with metrics.observed("Predict", "GRPC", models, "m"):
            raise error("no")

    left, models = [], versions.Models(None)
    gc.disable()  # else it may free in time what refers to itself
    try:
        with pytest.raises(status.StatusError):
            fail()
        assert left[0]() is None
    finally:
        gc.enable()
