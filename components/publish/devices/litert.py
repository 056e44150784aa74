"""LiteRT (formerly TensorFlow Lite): .tflite files with weights in float16, or weights and activations in int8."""

import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def write_float16(model: keras.Model, path: pathlib.Path) -> None:
    """Write `model` with its weights in float16; a CPU still computes in float32."""
    ops = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS], "supported_types": [tf.float16]}
    _write(model, path, target_spec=ops)


def write_int8(model: keras.Model, path: pathlib.Path, calibration_pixels: np.ndarray) -> None:
    """Write `model` in int8, quantized after training: weights by channel, activations by tensor.

    The preprocessing of the pixels stays in float32.

    Args:
        calibration_pixels: uint8 [photos, size, size, 3], from which the ranges of the activations are measured.
    """

    def batches() -> Iterator[list[np.ndarray]]:
        for pixels in calibration_pixels:
            yield [pixels[np.newaxis]]

    ops = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]}
    _write(model, path, target_spec=ops, representative_dataset=batches)


def _write(model: keras.Model, path: pathlib.Path, **settings: Any) -> None:
    """Convert `model` with LiteRT's own operations alone, as runtimes on devices lack those of TensorFlow."""
    model.export(path, format="litert", verbose=False, optimizations=[tf.lite.Optimize.DEFAULT], **settings)


def load(path: pathlib.Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that runs the file on pixels, uint8 [n, size, size, 3], one photo at a time."""
    from ai_edge_litert import interpreter as litert

    interpreter = litert.Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()

    def predict(pixels: np.ndarray) -> np.ndarray:
        scores = []
        for photo in pixels:
            interpreter.set_tensor(taken["index"], photo[np.newaxis])
            interpreter.invoke()
            scores.append(interpreter.get_tensor(given["index"])[0])
        return np.stack(scores)

    return predict
