"""Conversion of a Keras model to the frozen TensorFlow graph that other inference engines read."""

import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from components.base import artifacts

# what engines return: batches of pixels, uint8 [n, size, size, 3] with any n -> activations, float32 [n, ...], in order
Forward = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]


def write(model: keras.Model, path: pathlib.Path) -> None:
    """Write `model`, uint8 pixels [n, size, size, 3] -> its output, into `path` with its weights as constants."""
    graph = frozen(model).graph.as_graph_def()
    with artifacts.naming(path):
        path.write_bytes(graph.SerializeToString())


def frozen(model: keras.Model) -> Any:
    """Return `model` as a concrete TensorFlow function of its pixels alone, with its weights as constants."""
    function = tf.function(lambda pixels: model(pixels, training=False), input_signature=signature(model))
    return convert_variables_to_constants_v2(function.get_concrete_function())


def signature(model: keras.Model) -> tuple[tf.TensorSpec, ...]:
    """Return the input signature of a function that takes the pixels for `model`."""
    return (tf.TensorSpec(model.input_shape, tf.uint8),)
