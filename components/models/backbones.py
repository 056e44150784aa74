"""The backbones: their ImageNet weights, the frozen model of each, and unfreezing a part of it."""

import contextlib
import dataclasses
import functools
import importlib
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import keras

from components.base import artifacts, settings
from components.base.errors import PilahError
from components.models import backbone_table, random_weights, weights_file

# Momentum of trained BatchNorm layers (Goyal et al. 2017). With Keras's default of 0.99, the ImageNet averages would
# still dominate after a short training.
BATCHNORM_MOMENTUM = 0.9
NETWORK = "network"  # name of the backbone's layer in a model
# of ImageNet's pixels in [0, 1], see _correct_normalization
IMAGENET_STANDARD_DEVIATIONS = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Backbone(backbone_table.Row):
    """A network of Keras Applications without its 1000-way top, and the functions that make it.

    Attributes:
        build: constructor.
        preprocess: preprocessing function for RGB pixels in [0, 255] that its weights expect.
    """

    build: Callable[..., keras.Model]
    preprocess: Callable


def _backbone(name: settings.Backbone, row: backbone_table.Row) -> Backbone:
    build = getattr(keras.applications, name)
    preprocess = importlib.import_module(build.__module__).preprocess_input
    return Backbone(**vars(row), build=build, preprocess=preprocess)


BACKBONES = {name: _backbone(name, row) for name, row in backbone_table.ROWS.items()}  # in the order of the settings


@dataclasses.dataclass(frozen=True)
class Weights:
    """Where a backbone's weights come from.

    Attributes:
        source: path of a file, or None for random weights.
        seed: of the random weights.
        is_keras_copy: whether the file has exactly the weights of Keras's own file, by its digest.
    """

    source: str | None
    seed: int
    is_keras_copy: bool = False

    @property
    def file(self) -> pathlib.Path | None:
        """The file of the weights; None for random weights."""
        return pathlib.Path(self.source) if self.source else None

    @functools.cached_property
    def file_digest(self) -> str | None:
        """The digest that `file` had when it was first asked for."""
        return artifacts.file_digest(self.file) if self.file else None

    @functools.cached_property
    def fingerprint(self) -> str:
        """Return text that identifies the weights, whatever the path of their file; cached for all scenarios."""
        digest = self.file_digest  # also of Keras's file, so that a later change is noticed
        return "imagenet" if self.is_keras_copy else digest or f"random weights, seed {self.seed}"


def check_weights(name: settings.Backbone, weights: Weights) -> None:
    """Raise PilahError if the weights file is damaged or belongs to another network."""
    if weights.file:
        weights_file.check(weights.file, name, BACKBONES[name].parameters, BACKBONES[name].layout)


def build(
    name: settings.Backbone, weights: Weights, image_size_px: int, precision: settings.ComputeDtype
) -> keras.Model:
    """Return the frozen backbone: uint8 RGB [n, size, size, 3] -> pooled activations, float32 [n, channels].

    It includes preprocessing and global average pooling. BatchNorm is also frozen, with its stored statistics.

    Raises:
        PilahError: the weights file was replaced since the run started.
    """
    backbone = BACKBONES[name]
    if weights.file and artifacts.file_digest(weights.file) != weights.file_digest:
        raise PilahError(
            f"{weights.file} has changed since this run started. Do not change it during a run, and run again."
        )
    with _dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32"):
        network = _network(backbone, weights, image_size_px)
        pixels = keras.Input((image_size_px, image_size_px, 3), dtype="uint8", name="pixels")
        # Cast first, because with uint8 preprocess_input would round the means that it subtracts.
        x = backbone.preprocess(keras.ops.cast(pixels, "float32"))
        x = network(x)
        pooled = keras.layers.GlobalAveragePooling2D(dtype="float32", name="pooled")(x)
    return keras.Model(pixels, pooled, name=name)


def _network(backbone: Backbone, weights: Weights, image_size_px: int) -> keras.Model:
    """Return the frozen network, without preprocessing and pooling."""
    network = backbone.build(weights=None, include_top=False, input_shape=(image_size_px, image_size_px, 3))
    network.name = NETWORK  # not by an argument, because EfficientNetV2 looks up its blocks by its own name
    if weights.file:
        network.load_weights(weights.file)
        _correct_normalization(network)
    else:
        random_weights.assign(network, weights.seed)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):  # of EfficientNet, whose frozen blocks would drop out in training
            layer.rate = 0.0
            layer.seed_generator.state.assign([0, 0])  # else random, in every file of the model
    network.trainable = False
    return network


def _correct_normalization(network: keras.Model) -> None:
    """Make EfficientNetB0 to B7 divide pixels by the standard deviations, of which their files have the square roots.

    Keras adds a layer for this, but only with weights="imagenet", not with a file. The other networks have no
    normalization with weights. See https://github.com/tensorflow/tensorflow/issues/49930.
    """
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.input_mean is None:
            layer.adapt_variance.assign(layer.adapt_variance * IMAGENET_STANDARD_DEVIATIONS)
            layer.finalize_state()


def unfreeze(
    model: keras.Model,
    name: settings.Backbone,
    part: settings.Unfreeze | Literal["none"],
    batchnorm: settings.BatchNorm,
) -> None:
    """Make `part` of the backbone in `model` trainable, and the rest of the backbone frozen.

    Args:
        batchnorm: mode of that part's BatchNorm layers; VGG and ConvNeXt have none. "frozen" keeps ImageNet's
            statistics, scale and offset, so that training and serving compute the same. "trained" trains scale and
            offset. Training then normalizes by the statistics of the batch, which are poor estimates for small batches,
            and serving by their running averages.
    """
    network = model.get_layer(NETWORK)
    trained = {"none": [], "all": network.layers}.get(part)
    if trained is None:
        trained = _upper(network, _boundary(network, name, part)).layers
    network.trainable = part != "none"
    for layer in network.layers:
        is_batchnorm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = layer in trained and not (is_batchnorm and batchnorm == "frozen")
        if is_batchnorm and layer.trainable:
            layer.momentum = BATCHNORM_MOMENTUM


def split(model: keras.Model, name: settings.Backbone, part: settings.Unfreeze) -> tuple[keras.Model, keras.Model]:
    """Split `model`, which contains the backbone `name`, below its last stage ("top") or its last two ("top2").

    Returns:
        The lower model, pixels -> activations, and the upper one, float16 activations -> the output of `model`. Both
        share their layers with `model`.
    """
    network = model.get_layer(NETWORK)
    boundary = _boundary(network, name, part)
    pixels = keras.Input(model.input_shape[1:], dtype="uint8", name="pixels")
    x = BACKBONES[name].preprocess(keras.ops.cast(pixels, "float32"))
    frozen = keras.Model(network.input, _joined(boundary))(x, training=False)
    lower = keras.Model(pixels, frozen, name="trunk")  # the name in saved models
    activations = keras.Input(frozen.shape[1:], dtype="float16", name="activations")
    x = _upper(network, boundary)(_parted(keras.ops.cast(activations, "float32"), len(boundary)))
    for layer in model.layers[model.layers.index(network) + 1 :]:
        x = layer(x)
    return lower, keras.Model(activations, x, name="upper")


def frozen_layers(model: keras.Model, name: settings.Backbone, parts: Sequence[settings.Unfreeze]) -> keras.Model:
    """Return the layers of `model` below each of `parts`, see `split`: pixels -> a list of activations."""
    network = model.get_layer(NETWORK)
    pixels = keras.Input(model.input_shape[1:], dtype="uint8", name="pixels")
    x = BACKBONES[name].preprocess(keras.ops.cast(pixels, "float32"))
    outputs = [_joined(_boundary(network, name, part)) for part in parts]
    return keras.Model(pixels, keras.Model(network.input, outputs)(x, training=False))


def with_embedding(model: keras.Model, name: settings.Backbone, part: settings.Unfreeze) -> keras.Model:
    """Return a model of pixels -> (the output of `model`, pooled activations below `part`, see `split`)."""
    network = model.get_layer(NETWORK)
    boundary = _joined(_boundary(network, name, part))
    pixels = keras.Input(model.input_shape[1:], dtype="uint8", name="pixels")
    x = BACKBONES[name].preprocess(keras.ops.cast(pixels, "float32"))
    activations, x = keras.Model(network.input, [boundary, network.output])(x, training=False)
    for layer in model.layers[model.layers.index(network) + 1 :]:
        x = layer(x)
    return keras.Model(pixels, [x, pooled(activations)])


def pooled(activations: keras.KerasTensor) -> keras.KerasTensor:
    """Return the means over height and width, float32 [n, channels], of float [n, height, width, channels]."""
    return keras.layers.GlobalAveragePooling2D(dtype="float32")(activations)


def _boundary(network: keras.Model, name: settings.Backbone, part: str) -> list[keras.KerasTensor]:
    """Return all activations that the layers of `part`, "top" or "top2", take from the layers below."""
    side, *layers = getattr(BACKBONES[name], part).split()
    if side == "before":
        return [network.get_layer(layers[0]).input]
    return [network.get_layer(layer).output for layer in layers]


def _upper(network: keras.Model, boundary: list[keras.KerasTensor]) -> keras.Model:
    return keras.Model(boundary[0] if len(boundary) == 1 else boundary, network.output)


def _joined(boundary: list[keras.KerasTensor]) -> keras.KerasTensor:
    """Return activations of equal shape as one tensor, joined along their channels."""
    return boundary[0] if len(boundary) == 1 else keras.layers.Concatenate()(boundary)


def _parted(activations: keras.KerasTensor, count: int) -> keras.KerasTensor | list[keras.KerasTensor]:
    """Return what `_joined` joined from `count` tensors."""
    return activations if count == 1 else keras.ops.split(activations, count, axis=-1)


@contextlib.contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
