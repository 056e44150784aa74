"""backbones.csv agrees with the installed Keras; test_each_backbone.py compares it with the built networks."""

import sys
from typing import get_args

import keras
import pytest

from components.base import settings
from components.base.errors import PilahError
from components.models import backbone_table, backbones

KERAS_DEFAULT_SIZE_PX, KERAS_MIN_SIZE_PX = 224, 32  # of MobileNetV3, which does not pass them on


def test_table_has_the_backbones_of_the_settings_in_their_order():
    assert tuple(backbone_table.ROWS) == get_args(settings.Backbone)
    assert tuple(backbone_table.ROWS)[:3] == settings.THESIS_BACKBONES


def test_table_has_every_network_of_keras_applications():
    assert set(backbone_table.ROWS) == {name for name in dir(keras.applications) if name[0].isupper()}


class RequestedError(Exception):
    """Keras asks for a file."""


def shapes_only(layer, inputs, **arguments):
    """Return the output of a layer without building it, which takes seconds in a whole network."""
    shapes = [tensor.shape for tensor in inputs] if isinstance(inputs, list) else inputs.shape
    try:
        return keras.KerasTensor(layer.compute_output_shape(shapes))
    except NotImplementedError:  # scaling layers
        return keras.KerasTensor(shapes[0] if isinstance(inputs, list) else shapes)


@pytest.mark.filterwarnings("ignore:`input_shape` is undefined")
@pytest.mark.parametrize("name", list(backbone_table.ROWS))
def test_weights_file_and_sizes_are_those_of_keras(name, monkeypatch):
    files, sizes = [], [(KERAS_DEFAULT_SIZE_PX, KERAS_MIN_SIZE_PX)]

    def get_file(file, url, **arguments):
        files.append((url, arguments.get("file_hash", "")))
        raise RequestedError

    def obtain_input_shape(shape, default_size, min_size, **arguments):
        sizes.append((default_size, min_size))
        return original(shape, default_size=default_size, min_size=min_size, **arguments)

    build = backbones.BACKBONES[name].build
    original = keras.src.applications.imagenet_utils.obtain_input_shape
    monkeypatch.setattr(keras.src.utils.file_utils, "get_file", get_file)
    monkeypatch.setattr(keras.src.applications.imagenet_utils, "obtain_input_shape", obtain_input_shape)
    monkeypatch.setattr(keras.layers.Layer, "__call__", shapes_only)
    if hasattr(sys.modules[build.__module__], "Functional"):
        monkeypatch.setattr(sys.modules[build.__module__], "Functional", lambda *arguments, **named: None)
    else:  # ResNetV2, with the function of ResNet
        monkeypatch.setattr(keras.src.applications.resnet, "Functional", lambda *arguments, **named: None)
    with pytest.raises(RequestedError):
        build(weights="imagenet", include_top=False)
    row = backbone_table.ROWS[name]
    assert files == [(row.weights_url, row.weights_digest)]
    assert sizes[-1] == (row.size_px, row.min_size_px)


def test_photos_that_are_too_small_for_a_backbone_are_refused():
    backbone_table.check_image_size(["ResNet50", "InceptionV3", "Xception"], 75)
    expected = r"--image-size must be at least 75 for InceptionV3 \(got 74\).* leave InceptionV3 out of --backbones"
    with pytest.raises(PilahError, match=expected):
        backbone_table.check_image_size(["ResNet50", "InceptionV3"], 74)
