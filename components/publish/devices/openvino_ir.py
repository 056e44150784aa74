"""OpenVINO IR: model.xml with the network and model.bin with its weights in float32."""

import pathlib
import tempfile
from collections.abc import Callable

import keras
import numpy as np

from components.models import frozen_graph


def write(model: keras.Model, path: pathlib.Path) -> None:
    """Write `model` into `path`, an .xml file, and its weights beside it, with the suffix .bin."""
    import openvino

    # by a frozen graph, because OpenVINO's converter for Keras models reports each use over the network
    with tempfile.TemporaryDirectory() as folder:
        frozen = pathlib.Path(folder) / "frozen.pb"
        frozen_graph.write(model, frozen)
        network = openvino.Core().read_model(frozen)
        network.inputs[0].tensor.set_names({"pixels"})
        network.outputs[0].tensor.set_names({"scores"})
        openvino.serialize(network, path)


def load(path: pathlib.Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that runs the file on pixels, uint8 [n, size, size, 3]."""
    import openvino

    # some CPUs would compute in bfloat16
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    return lambda pixels: compiled(pixels)[0].copy()
