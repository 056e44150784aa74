"""ONNX: one .onnx file in float32."""

import pathlib
from collections.abc import Callable

import keras
import numpy as np

from components.base.errors import PilahError
from components.models import frozen_graph

OPSET = 18  # the newest one that tf2onnx 1.17 writes


def write(model: keras.Model, path: pathlib.Path) -> None:
    """Write `model` and check that the file is valid and has the opset.

    Raises:
        PilahError: it has another opset.
    """
    import onnx
    import tf2onnx

    # by a frozen graph, because Keras's export makes an input of each constant of the preprocessing
    frozen = frozen_graph.frozen(model)
    names = {"input_names": [frozen.inputs[0].name], "output_names": [frozen.outputs[0].name]}
    renamed = {frozen.inputs[0].name: "pixels", frozen.outputs[0].name: "scores"}
    tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(), **names, tensors_to_rename=renamed, opset=OPSET, output_path=str(path)
    )
    onnx.checker.check_model(str(path))
    opsets = {part.version for part in onnx.load(str(path)).opset_import if part.domain in ("", "ai.onnx")}
    if opsets != {OPSET}:
        raise PilahError(
            f"The ONNX file must have opset {OPSET} (got {sorted(opsets)}). Install the packages of "
            "requirements/pipeline.txt, which have the versions that this was tested with."
        )


def load(path: pathlib.Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that runs the file on pixels, uint8 [n, size, size, 3]."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(None, {"pixels": pixels})[0]
