"""Every backbone, built once with random weights, is as backbones.csv says, and can be divided, trained and run.

A single test for each, because the largest networks have 350 million parameters.
"""

import gc

import keras
import numpy as np
import pytest

from components.models import backbone_table, backbones, openvino_engine, weights_file

SIZE_PX = 64
SEED = 3
# the smallest of each family, whose other networks have the same layers; OpenVINO takes most of the time and memory
RUN_BY_OPENVINO = (
    "ResNet50 ResNet50V2 VGG16 DenseNet121 InceptionV3 InceptionResNetV2 Xception NASNetMobile MobileNet MobileNetV2 "
    "MobileNetV3Small EfficientNetB0 EfficientNetV2B0 ConvNeXtTiny"
).split()
SUBTRACTED_MEANS = ("VGG", "ResNet50", "ResNet101", "ResNet152")  # their weights expect pixels less means, not divided


def photos(size_px, count=3):
    """Return noise of different colours, as all noise of one colour has almost the same activations."""
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 256, (count, 1, 1, 3))
    return (0.5 * colours + rng.uniform(0, 127, (count, size_px, size_px, 3))).astype(np.uint8)


def distance(activations, expected):
    """Return the norm of the difference relative to the norm of `expected`."""
    return np.linalg.norm(activations - expected) / np.linalg.norm(expected)


def run(model, inputs):
    return [np.asarray(output) for output in keras.tree.flatten(model(inputs, training=False))]


@pytest.fixture(params=list(backbone_table.ROWS))
def name(request):
    yield request.param
    keras.utils.clear_session()
    gc.collect()


def test_backbone_is_as_its_row_says_and_its_parts_give_what_it_gives(name):
    row = backbone_table.ROWS[name]
    pixels = photos(max(SIZE_PX, row.min_size_px))
    model = backbones.build(name, backbones.Weights(None, SEED), pixels.shape[1], "float32")
    network = model.get_layer(backbones.NETWORK)
    for scale in (weights for weights in network.weights if "layer_scale" in weights.path):
        scale.assign(keras.ops.ones_like(scale))  # with Keras's 0.000001, ConvNeXt's blocks would change nothing
    check_row(network, row)
    check_range_of_pixels(model, name)
    (expected,) = run(model, pixels)
    assert expected.dtype == np.float32 and expected.shape == (3, row.channels) and np.isfinite(expected).all()
    assert distance(expected[1:], expected[:-1]) > 0.01, "photos of different colours have different activations"
    if any(isinstance(layer, keras.layers.Dropout) for layer in network.layers):
        assert distance(model(pixels, training=True), expected) < 1e-3, "frozen layers drop nothing out"
    trained = [check_part(model, name, part, pixels, expected) for part in ("top", "top2")]
    backbones.unfreeze(model, name, "all", "trained")
    assert 0 < trained[0] < trained[1] < len(network.trainable_weights)
    backbones.unfreeze(model, name, "none", "frozen")
    assert not model.trainable_weights
    if name in RUN_BY_OPENVINO:
        check_openvino(model, pixels, expected)


def check_row(network, row):
    in_files = [
        weights for layer in network.layers for weights in layer.trainable_weights + layer.non_trainable_weights
    ]
    assert row.parameters == network.count_params()
    assert row.layout == weights_file.layout_of([weights.shape for weights in in_files])


def check_range_of_pixels(model, name):
    """Check that pixels are scaled exactly once, by preprocess_input or by layers of the network."""
    network = model.get_layer(backbones.NETWORK)
    first = next(layer for layer in network.layers if any(len(weights.shape) > 1 for weights in layer.weights))
    extremes = np.stack([np.zeros((1, 1, 3), np.float32), np.full((1, 1, 3), 255, np.float32)])
    extremes = np.broadcast_to(extremes, (2, *model.input_shape[1:])).copy()
    prepared = backbones.BACKBONES[name].preprocess(keras.ops.convert_to_tensor(extremes))
    (scaled,) = run(keras.Model(network.input, first.input), prepared)
    low, high = (-125, 152) if name.startswith(SUBTRACTED_MEANS) and not name.endswith("V2") else (-3, 3)
    assert low <= scaled.min() and high >= scaled.max() > high / 4


def check_part(model, name, part, pixels, expected):
    """Return the number of weights that are trained if `part` is unfrozen."""
    lower, upper = backbones.split(model, name, part)
    (activations,) = run(lower, pixels)
    assert distance(run(upper, activations.astype(np.float16))[0], expected) < 0.01, "float16 has 3 digits"
    backbones.unfreeze(model, name, part, "frozen")
    assert {id(weights) for weights in model.trainable_weights} == {id(weights) for weights in upper.trainable_weights}
    assert not lower.trainable_weights
    if part == "top":
        output, embedding = run(backbones.with_embedding(model, name, part), pixels)
        assert distance(output, expected) < 1e-3
        assert distance(embedding, activations.mean(axis=(1, 2))) < 1e-3
    return len(upper.trainable_weights)


def check_openvino(model, pixels, expected):
    (activations,) = openvino_engine.load(model, "float32")([pixels])
    assert distance(activations, expected) < 1e-3
