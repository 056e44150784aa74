"""What runs a frozen backbone: OpenVINO on a CPU, TensorFlow on a GPU or where OpenVINO is not installed."""

import collections
import importlib.util
import pathlib
import tempfile
from collections.abc import Callable, Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from components.base.errors import PilahError

# Batches of pixels, uint8 [n, size, size, 3], n as it comes -> their activations, float32 [n, channels], in order
Forward = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]


def pick(wanted: str) -> str:
    """ "openvino" or "tensorflow": as wanted, or for "auto" the faster one of those that are there.

    Raises:
        PilahError: OpenVINO is wanted and not installed.
    """
    installed = importlib.util.find_spec("openvino") is not None
    if wanted == "openvino" and not installed:
        raise PilahError(
            "--engine openvino needs the package openvino, which is not installed. Install it, or choose --engine "
            "tensorflow."
        )
    if wanted != "auto":
        return wanted
    return "openvino" if installed and not on_gpu() else "tensorflow"


def gpus() -> int:
    """How many GPUs Keras sees to train on."""
    if keras.config.backend() == "jax":
        import jax  # not among our packages: who sets KERAS_BACKEND has it

        return sum(device.platform == "gpu" for device in jax.devices())
    return len(tf.config.list_physical_devices("GPU"))


def on_gpu() -> bool:
    """Whether Keras trains on a GPU."""
    return gpus() > 0


def dtype_of_model(engine: str, precision: str) -> str:
    """In which a model must be built that `engine` is to run in `precision`: OpenVINO rounds to bfloat16 by itself."""
    return "float32" if engine == "openvino" else precision


def load(engine: str, model: keras.Model, precision: str) -> Forward:
    """`model`, built as `dtype_of_model` says, made ready to run by `engine` in `precision`."""
    return {"openvino": _openvino, "tensorflow": _tensorflow}[engine](model, precision)


def _tensorflow(model: keras.Model, precision: str) -> Forward:
    call = tf.function(lambda pixels: model(pixels, training=False), input_signature=_signature(model))
    return lambda batches: (call(pixels).numpy() for pixels in batches)


def _openvino(model: keras.Model, precision: str) -> Forward:
    """One stream a core, each on a batch of its own: nothing waits for another core's part of a layer."""
    import openvino  # half a second that other engines need not wait

    core = openvino.Core()
    hints = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
    }
    compiled = core.compile_model(_converted(core, model), "CPU", hints)
    # twice as many requests as run at once, so that a core that is done finds its next batch waiting
    count = 2 * compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")

    def forward(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        free = [compiled.create_infer_request() for _ in range(count)]
        under_way: collections.deque = collections.deque()  # oldest first
        for pixels in batches:
            if not free:
                free.append(under_way.popleft())
                yield _result(free[-1])
            request = free.pop()
            request.start_async({0: pixels})
            under_way.append(request)
        yield from map(_result, under_way)

    return forward


def _converted(core: object, model: keras.Model) -> object:
    """The model as OpenVINO holds it, read from a frozen graph: the converter that OpenVINO offers for Keras models
    reports each use of it over the network."""
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
