"""Random weights of a backbone, for runs without ImageNet weights."""

import keras

from components.base import seeds


def assign(network: keras.Model, seed: int) -> None:
    """Set the kernels of `network` to random weights with seeds of their own: Glorot uniform, or He if depthwise.

    Keras itself would draw these seeds from Python's global generator, which other threads use too.
    """
    kernels = [weights for weights in network.weights if len(weights.shape) > 1]
    for number, kernel in enumerate(kernels):
        kernel.assign(_values(tuple(kernel.shape), seeds.derive(seed, seeds.BACKBONE, number)))


def _values(shape: tuple[int, ...], seed: int) -> keras.KerasTensor:
    """Return the weights of a kernel.

    Glorot's formula counts the channels of a depthwise kernel as its inputs, and would shrink activations at each.
    """
    *window, inputs, outputs = shape
    if window and 1 in (inputs, outputs):
        he = keras.initializers.HeUniform(seed)
        return keras.ops.reshape(he((*window, 1, inputs * outputs)), shape)
    return keras.initializers.GlorotUniform(seed)(shape)
