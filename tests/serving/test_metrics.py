"""Memory after a failed request."""

import gc
import weakref

import pytest
import tensorflow as tf

from serving.embedded import metrics, status, versions


class Tensor:
    """An object that can have a weak reference."""


@pytest.mark.parametrize(
    "error", [status.invalid_argument, lambda text: tf.errors.InvalidArgumentError(None, None, text)]
)
def test_failed_request_leaves_no_reference_to_its_tensors(error):
    def fail():
        tensor = Tensor()
        references.append(weakref.ref(tensor))
        with metrics.observe_request("Predict", "GRPC", models, "m"):
            raise error("no")

    references, models = [], versions.Models(None)
    gc.disable()  # otherwise it may free reference cycles in time
    try:
        with pytest.raises(status.StatusError):
            fail()
        assert references[0]() is None
    finally:
        gc.enable()
