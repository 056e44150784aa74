"""The formats of device exports: how each is written and run, and how far its answers may differ."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping

import keras
import numpy as np

from components.base import settings
from components.publish.devices import litert, onnx_file, openvino_ir

Predict = Callable[[np.ndarray], np.ndarray]  # pixels, uint8 [n, size, size, 3] -> scores, float32 [n, classes]


@dataclasses.dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        file: name of the model file that a runtime opens.
        example: name of the program in examples/ that runs it.
        runtime: Python package that the program needs besides NumPy and Pillow.
        write: writes a model, uint8 [n, size, size, 3] -> float32 [n, classes], into a file. The last argument has the
            pixels to calibrate with, uint8 [photos, size, size, 3], if the format is quantized.
        load: returns the function that runs a file with a number of threads.
        max_score_difference: from the Keras model; None limits the loss of macro F1 on all photos instead.
    """

    file: str
    example: str
    runtime: str
    write: Callable[[keras.Model, pathlib.Path, np.ndarray | None], None]
    load: Callable[[pathlib.Path, int], Predict]
    max_score_difference: float | None

    @property
    def is_quantized(self) -> bool:
        """Return whether activations are integers, with ranges that are measured on photos."""
        return self.max_score_difference is None


def _write_int8(model: keras.Model, path: pathlib.Path, calibration_pixels: np.ndarray | None) -> None:
    assert calibration_pixels is not None
    litert.write_int8(model, path, calibration_pixels)


FORMATS: Mapping[settings.DeviceFormat, Format] = {
    "litert": Format(
        "model.tflite",
        "classify_litert.py",
        "ai-edge-litert",
        lambda model, path, pixels: litert.write_float16(model, path),
        litert.load,
        max_score_difference=0.02,  # weights in float16 have 11 bits, which deep networks amplify
    ),
    "litert-int8": Format("model.tflite", "classify_litert.py", "ai-edge-litert", _write_int8, litert.load, None),
    "onnx": Format(
        "model.onnx",
        "classify_onnx.py",
        "onnxruntime<1.29",
        lambda model, path, pixels: onnx_file.write(model, path),
        onnx_file.load,
        max_score_difference=1e-4,
    ),
    "openvino": Format(
        "model.xml",
        "classify_openvino.py",
        "openvino",
        lambda model, path, pixels: openvino_ir.write(model, path),
        openvino_ir.load,
        max_score_difference=1e-4,
    ),
}
