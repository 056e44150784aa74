"""A backbone of three convolutions, known under the name Tiny while it is in use."""

import contextlib
from collections.abc import Iterator

import keras
import pytest

from components.models import backbones


def build(weights, include_top, input_shape, name):
    x = inputs = keras.Input(input_shape)
    for stage, width in (("low", 8), ("mid", 8), ("top", 16)):
        x = keras.layers.Conv2D(width, 3, strides=2, name=f"{stage}_conv")(x)
        x = keras.layers.BatchNormalization(name=f"{stage}_bn")(x)
        x = keras.layers.ReLU(name=f"{stage}_relu")(x)
    return keras.Model(inputs, x, name=name)


@contextlib.contextmanager
def known() -> Iterator[pytest.MonkeyPatch]:
    tiny = backbones.Backbone(build, lambda x: x / 127.5 - 1, "tiny.h5", 2104, channels=16, stages=("mid_", "top_"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(backbones.BACKBONES, "Tiny", tiny)
        yield patch
