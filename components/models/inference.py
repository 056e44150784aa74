"""Inference engines of a frozen backbone: OpenVINO on CPUs, TensorFlow on GPUs or where OpenVINO is not installed."""

import collections
import importlib.util
import pathlib
import tempfile
from collections.abc import Callable, Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from components.base import settings
from components.base.errors import PilahError

# Batches of pixels, uint8 [n, size, size, 3], of any n -> their activations, float32 [n, channels], in order
Forward = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]


def pick(engine: settings.Engine) -> settings.InferenceEngine:
    """Return `engine`, or the faster of the installed ones for "auto".

    Raises:
        PilahError: `engine` is "openvino", which is not installed.
    """
    installed = importlib.util.find_spec("openvino") is not None
    if engine == "openvino" and not installed:
        raise PilahError(
            "--engine openvino needs the package openvino, which is not installed. Install it, or choose --engine "
            "tensorflow."
        )
    if engine != "auto":
        return engine
    return "openvino" if installed and not on_gpu() else "tensorflow"


def gpus() -> int:
    """Return the number of GPUs that Keras can train on."""
    if keras.config.backend() == "jax":
        import jax  # not one of our packages: installed by those who set KERAS_BACKEND

        return sum(device.platform == "gpu" for device in jax.devices())
    return len(tf.config.list_physical_devices("GPU"))


def on_gpu() -> bool:
    """Return whether Keras trains on a GPU."""
    return gpus() > 0


def dtype_of_model(engine: settings.InferenceEngine, precision: settings.ComputeDtype) -> settings.ComputeDtype:
    """Return the dtype to build a model in that `engine` runs in `precision`; OpenVINO converts to bfloat16 itself."""
    return "float32" if engine == "openvino" else precision


def load(engine: settings.InferenceEngine, model: keras.Model, precision: settings.ComputeDtype) -> Forward:
    """Load `model`, built in `dtype_of_model`, into `engine`; return the function that runs it in `precision`."""
    return {"openvino": _openvino, "tensorflow": _tensorflow}[engine](model, precision)


def _tensorflow(model: keras.Model, precision: settings.ComputeDtype) -> Forward:
    call = tf.function(lambda pixels: model(pixels, training=False), input_signature=_signature(model))
    return lambda batches: (call(pixels).numpy() for pixels in batches)


def _openvino(model: keras.Model, precision: settings.ComputeDtype) -> Forward:
    """Run a stream on each core, each with its own batch, so that no core waits for another's part of a layer."""
    import openvino  # takes half a second, which other engines save

    core = openvino.Core()
    hints = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
    }
    compiled = core.compile_model(_converted(core, model), "CPU", hints)
    # twice as many requests as run at once, so that a core always finds its next batch ready
    count = 2 * compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")

    def forward(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        free = [compiled.create_infer_request() for _ in range(count)]
        running: collections.deque = collections.deque()  # oldest first
        for pixels in batches:
            if not free:
                free.append(running.popleft())
                yield _result(free[-1])
            request = free.pop()
            request.start_async({0: pixels})
            running.append(request)
        yield from map(_result, running)

    return forward


def _converted(core: object, model: keras.Model) -> object:
    """Convert `model` to OpenVINO through a frozen graph.

    OpenVINO's own converter of Keras models reports each use of it over the network.
    """
    function = tf.function(lambda pixels: model(pixels, training=False), input_signature=_signature(model))
    frozen = convert_variables_to_constants_v2(function.get_concrete_function())
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "frozen.pb"
        path.write_bytes(frozen.graph.as_graph_def().SerializeToString())
        return core.read_model(path)  # type: ignore[attr-defined]


def _result(request: object) -> np.ndarray:
    request.wait()  # type: ignore[attr-defined]
    return request.get_output_tensor().data.copy()  # type: ignore[attr-defined]


def _signature(model: keras.Model) -> tuple[tf.TensorSpec, ...]:
    return (tf.TensorSpec(model.input_shape, tf.uint8),)
