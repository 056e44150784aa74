import functools
import os
import pathlib
import warnings

import keras
import numpy as np
import pytest

from components.base import settings
from components.base.errors import PilahError
from components.demo import synthetic_photos
from components.models import assembly, backbones, weights_file, weights_search

SIZE_PX = 32
SEED = 3
CHANNELS = {"ResNet50": 2048, "VGG19": 512, "DenseNet121": 1024}


def photos_of_noise(count=3):
    return np.random.default_rng(1).integers(0, 256, (count, SIZE_PX, SIZE_PX, 3), np.uint8)


def build(name, weights=None, precision="float32", seed=SEED):
    return backbones.build(name, backbones.Weights(weights, seed), SIZE_PX, precision)


def activations(model, pixels):
    return model(pixels, training=False).numpy()


def network_of(model):
    """Return the backbone's network, without preprocessing and pooling."""
    (network,) = (layer for layer in model.layers if isinstance(layer, keras.Model))
    return network


@functools.cache
def shared(name):
    """Return a backbone that tests must not change, because networks take seconds to build."""
    return build(name)


@pytest.fixture
def shared_unfrozen(name):
    """Yield the shared backbone for a test that unfreezes it, and freeze it again afterwards."""
    yield shared(name)
    backbones.unfreeze(shared(name), name, "none", "frozen")


def distance(activations, expected):
    """Return the norm of the difference relative to the norm of `expected`."""
    return np.linalg.norm(activations - expected) / np.linalg.norm(expected)


# test_each_backbone.py has the tests that are worth their time for all
of_each_backbone = pytest.mark.parametrize("name", settings.THESIS_BACKBONES)


@of_each_backbone
def test_uint8_photos_become_float32_activations(name):
    model = shared(name)
    pooled = activations(model, photos_of_noise())
    assert pooled.dtype == np.float32 and pooled.shape == (3, CHANNELS[name])
    assert model.inputs[0].dtype == "uint8"
    assert np.isfinite(pooled).all() and pooled.std(axis=0).max() > 0


@of_each_backbone
def test_model_includes_preprocessing_and_pooling(name):
    model = shared(name)
    module = {"ResNet50": "resnet50", "VGG19": "vgg19", "DenseNet121": "densenet"}[name]
    prepared = getattr(keras.applications, module).preprocess_input(photos_of_noise().astype(np.float32))
    expected = np.asarray(network_of(model)(prepared, training=False)).mean(axis=(1, 2))
    assert distance(activations(model, photos_of_noise()), expected) < 1e-4


@of_each_backbone
def test_backbone_has_no_trainable_weights(name):
    model = shared(name)
    assert model.trainable_weights == []


@of_each_backbone
def test_activations_do_not_depend_on_training_mode_or_other_photos(name):
    model = shared(name)
    pixels = photos_of_noise()
    together = activations(model, pixels)
    assert distance(model(pixels, training=True).numpy(), together) < 1e-4
    assert distance(activations(model, pixels[1:2])[0], together[1]) < 1e-4


@pytest.mark.parametrize("name", ["ResNet50", "VGG19", "MobileNetV3Small", "EfficientNetB0", "ConvNeXtTiny"])
def test_bfloat16_is_close_to_float32_and_keeps_the_dtype_policy(name):
    model = shared(name)
    coarse = activations(build(name, precision="bfloat16"), photos_of_noise())
    assert coarse.dtype == np.float32
    assert 0 < distance(coarse, activations(model, photos_of_noise())) < 0.05
    assert keras.config.dtype_policy().name == "float32"


def test_failed_build_keeps_the_dtype_policy(tmp_path):
    (tmp_path / "broken.h5").write_bytes(b"no weights")
    with pytest.raises(OSError):
        build("VGG19", str(tmp_path / "broken.h5"), "bfloat16")
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize("is_keras_copy", [False, True])
def test_weights_file_replaced_during_the_run_raises(is_keras_copy, tmp_path):
    path = tmp_path / "vgg19.h5"
    path.write_bytes(b"weights")
    weights = backbones.Weights(str(path), SEED, is_keras_copy)
    assert weights.fingerprint
    path.write_bytes(b"others")
    with pytest.raises(PilahError, match=r"vgg19\.h5 has changed since this run started"):
        backbones.build("VGG19", weights, SIZE_PX, "float32")


def test_random_weights_depend_only_on_the_seed():
    pixels = photos_of_noise(1)
    first, again, other = (
        activations(model, pixels) for model in (shared("VGG19"), build("VGG19"), build("VGG19", seed=SEED + 1))
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_network_has_the_weights_of_the_file(tmp_path):
    file = tmp_path / "vgg19.weights.h5"
    network_of(shared("VGG19")).save_weights(file)
    loaded = build("VGG19", str(file), seed=SEED + 1)
    file.unlink()  # 80 MB
    expected = activations(shared("VGG19"), photos_of_noise(1))
    np.testing.assert_array_equal(activations(loaded, photos_of_noise(1)), expected)


def test_fingerprint_depends_on_the_bytes_and_not_on_the_path(tmp_path):
    paths = [tmp_path / "a.h5", tmp_path / "b" / "b.h5", tmp_path / "c.h5"]
    paths[1].parent.mkdir()
    for path, content in zip(paths, (b"weights", b"weights", b"others"), strict=True):
        path.write_bytes(content)
    first, copy, other = (backbones.Weights(str(path), seed).fingerprint for seed, path in enumerate(paths))
    assert first == copy
    assert first != other


def test_fingerprint_depends_on_the_seed_only_for_random_weights(tmp_path):
    path = tmp_path / "weights.h5"
    path.write_bytes(b"weights")
    all_weights = [backbones.Weights(source, seed, bool(source)) for source in (None, str(path)) for seed in (1, 2)]
    assert len({weights.fingerprint for weights in all_weights}) == 3, "two of random weights and one of ImageNet's"


def write_weights(network, path):
    """Write random weights of `network` to `path`, in the format and order of the files of Keras Applications."""
    rng = np.random.default_rng(2)
    layers = {}
    for layer in network.layers:
        layers[layer.name] = values = {}
        for number, weights in enumerate(layer.trainable_weights + layer.non_trainable_weights):
            name, shape = weights.path.rpartition("/")[2], tuple(weights.shape)
            if len(shape) > 1:  # scaled so that photos keep their differences through the network
                window = shape[:2] if shape[-1] == 1 else shape[:-1]
                array = rng.normal(0, np.sqrt(2 / np.prod(window)), shape)
            elif name in ("gamma", "moving_variance", "variance"):
                array = rng.uniform(0.5, 1.5, shape)
            else:
                array = rng.normal(0, 0.1, shape)
            values[f"{number}/{name}"] = array.astype("int32" if name == "count" else "float32")
    weights_file.write(path, layers)


@pytest.mark.parametrize(
    "name", ["MobileNet", "MobileNetV3Small", "EfficientNetB0", "EfficientNetV2B0", "ConvNeXtTiny"]
)
def test_network_from_a_file_gives_what_keras_gives_and_is_saved(name, tmp_path, monkeypatch):
    path, pixels = tmp_path / "weights.h5", photos_of_noise()
    pixels[0], pixels[1] = 0, 255  # noise alone gives almost equal activations
    write_weights(network_of(shared(name)), path)
    backbones.check_weights(name, backbones.Weights(str(path), SEED))
    model = build(name, str(path))
    backbone = backbones.BACKBONES[name]
    monkeypatch.setattr(keras.src.utils.file_utils, "get_file", lambda *arguments, **named: str(path))
    with warnings.catch_warnings(action="ignore"):  # about the size
        network = backbone.build(weights="imagenet", include_top=False, input_shape=(SIZE_PX, SIZE_PX, 3))
    prepared = backbone.preprocess(keras.ops.cast(pixels, "float32"))
    expected = np.asarray(network(prepared, training=False)).mean(axis=(1, 2))
    differences = [np.diff(values, axis=0) for values in (activations(model, pixels), expected)]
    assert distance(*differences) < 0.01, "of photos, because all activations together hardly depend on the photo"
    assembly.save(model, tmp_path / "model.keras")
    np.testing.assert_array_equal(activations(assembly.load(tmp_path / "model.keras"), pixels), model(pixels))


@pytest.mark.skipif("PILAH_WEIGHTS_DIR" not in os.environ, reason="PILAH_WEIGHTS_DIR names no folder of real weights")
@of_each_backbone
def test_real_weights_separate_synthetic_classes(name):
    weights = weights_search.find(name, pathlib.Path(os.environ["PILAH_WEIGHTS_DIR"]), SEED)
    labels = np.repeat(np.arange(6), 6)
    drawn_photos = [
        synthetic_photos.draw(synthetic_photos.CLASSES[label], index, SEED).resize((96, 96))
        for index, label in enumerate(labels)
    ]
    pooled = activations(
        backbones.build(name, weights, 96, "float32"), np.stack([np.asarray(photo) for photo in drawn_photos])
    )
    unit = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    nearest = (unit @ unit.T - 2 * np.eye(36)).argmax(axis=1)
    assert (labels[nearest] == labels).mean() > 0.4, "chance is 0.14"


@pytest.mark.parametrize(
    ("name", "part", "lowest"),
    [
        ("ResNet50", "top", "conv5_block1_1_conv"),
        ("ResNet50", "top2", "conv4_block1_1_conv"),
        ("VGG19", "top", "block5_conv1"),
        ("VGG19", "top2", "block4_conv1"),
        ("DenseNet121", "top", "conv5_block1_1_conv"),
        ("DenseNet121", "top2", "conv4_block1_1_conv"),
    ],
)
def test_last_stages_of_a_backbone_are_unfrozen_and_split_off(shared_unfrozen, name, part, lowest):
    model = shared_unfrozen
    assert model.output_shape[-1] == backbones.BACKBONES[name].channels
    backbones.unfreeze(model, name, part, "frozen")
    network = model.get_layer(backbones.NETWORK)
    first = next(layer.name for layer in network.layers if layer.trainable and layer.weights)
    assert first == lowest and network.trainable_weights
    assert not any(layer.trainable for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization))
    lower, upper = backbones.split(model, name, part)
    assert upper.trainable_weights == model.trainable_weights and not lower.trainable_weights
