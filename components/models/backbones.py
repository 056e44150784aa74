"""The three backbones of the thesis: their ImageNet weights, the frozen model of each, and unfreezing a part of it."""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterator
from typing import Literal

import keras

from components.base import artifacts, seeds, settings
from components.base.errors import PilahError
from components.models import weights_file

# Momentum of trained BatchNorm layers (Goyal et al. 2017). With Keras's default of 0.99, the ImageNet averages would
# still dominate after a short training.
BATCHNORM_MOMENTUM = 0.9
NETWORK = "network"  # name of the backbone's layer in a model


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A network of Keras Applications without its 1000-way top.

    Attributes:
        build: constructor.
        preprocess: preprocessing function for RGB pixels in [0, 255] that its weights expect.
        weights_url: address of its ImageNet weights in Keras Applications.
        weights_md5: MD5 of that file, which Keras checks.
        parameters: number of weights.
        layout: digest of the shapes of its weights, see weights_file.layout_of.
        channels: number of activations after pooling.
        stages: prefixes of the layer names of its last two stages, the last one last.
        cpu_engine: its fastest inference engine on CPUs in float32, as measured in docs/performance.md. It is a
            constant so that a repeated run gives the same leaderboard.
    """

    build: Callable[..., keras.Model]
    preprocess: Callable
    weights_url: str
    weights_md5: str
    parameters: int
    layout: str
    channels: int
    stages: tuple[str, str]
    cpu_engine: settings.InferenceEngine

    @property
    def weights_file(self) -> str:
        """The file name of its ImageNet weights."""
        return self.weights_url.rpartition("/")[2]


_URL = "https://storage.googleapis.com/tensorflow/keras-applications/{}/{}_weights_tf_dim_ordering_tf_kernels_notop.h5"
BACKBONES: dict[settings.Backbone, Backbone] = {  # in the thesis's order
    "ResNet50": Backbone(
        keras.applications.ResNet50,
        keras.applications.resnet.preprocess_input,
        _URL.format("resnet", "resnet50"),
        weights_md5="4d473c1dd8becc155b73f8504c6f6626",
        parameters=23_587_712,
        layout="0eafd452ec7544ef",
        channels=2048,
        stages=("conv4_", "conv5_"),
        cpu_engine="openvino",
    ),
    "VGG19": Backbone(
        keras.applications.VGG19,
        keras.applications.vgg19.preprocess_input,
        _URL.format("vgg19", "vgg19"),
        weights_md5="253f8cb515780f3b799900260a226db6",
        parameters=20_024_384,
        layout="95ad7a6c26f4bcd2",
        channels=512,
        stages=("block4_", "block5_"),
        cpu_engine="mnn",
    ),
    "DenseNet121": Backbone(
        keras.applications.DenseNet121,
        keras.applications.densenet.preprocess_input,
        _URL.format("densenet", "densenet121"),
        weights_md5="30ee3e1110167f948a6b9946edeeb738",
        parameters=7_037_504,
        layout="27670320fdbca3d7",
        channels=1024,
        stages=("conv4_", "conv5_"),
        cpu_engine="openvino",
    ),
}


@dataclasses.dataclass(frozen=True)
class Weights:
    """Where a backbone's weights come from.

    Attributes:
        source: path of a file, "imagenet" (Keras's own file, in its cache), or None for random weights.
        seed: of the random weights.
        is_keras_copy: whether the file, of another package, has exactly the weights of Keras's own file.
    """

    source: str | None
    seed: int
    is_keras_copy: bool = False

    @property
    def file(self) -> pathlib.Path | None:
        """The file that Pilah checks; None for random weights and for Keras's own file, which Keras checks."""
        return pathlib.Path(self.source) if self.source not in (None, "imagenet") else None

    @functools.cached_property
    def file_digest(self) -> str | None:
        """The digest that `file` had when it was first asked for."""
        return artifacts.file_digest(self.file) if self.file else None

    @functools.cached_property
    def fingerprint(self) -> str:
        """Return text that identifies the weights, whatever the path of their file; cached for all scenarios."""
        digest = self.file_digest
        return "imagenet" if self.is_keras_copy else digest or self.source or f"random weights, seed {self.seed}"


def check_weights(name: settings.Backbone, weights: Weights) -> None:
    """Raise PilahError if the weights file is damaged or belongs to another network.

    Keras itself checks the digests of its downloads.
    """
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
        network = backbone.build(
            weights=weights.source, include_top=False, input_shape=(image_size_px, image_size_px, 3), name=NETWORK
        )
        if not weights.source:
            _randomize(network, weights.seed)
        network.trainable = False
        pixels = keras.Input((image_size_px, image_size_px, 3), dtype="uint8", name="pixels")
        # Cast first, because with uint8 preprocess_input would round the means that it subtracts.
        x = backbone.preprocess(keras.ops.cast(pixels, "float32"))
        x = network(x)
        pooled = keras.layers.GlobalAveragePooling2D(dtype="float32", name="pooled")(x)
    return keras.Model(pixels, pooled, name=name)


def unfreeze(
    model: keras.Model,
    name: settings.Backbone,
    part: settings.Unfreeze | Literal["none"],
    batchnorm: settings.BatchNorm,
) -> None:
    """Make `part` of the backbone in `model` trainable, and the rest of the backbone frozen.

    Args:
        batchnorm: mode of that part's BatchNorm layers; VGG19 has none. "frozen" keeps ImageNet's statistics, scale
            and offset, so that training and serving compute the same. "trained" trains scale and offset. Training then
            normalizes by the statistics of the batch, which are poor estimates for small batches, and serving by their
            running averages.
    """
    network = model.get_layer(NETWORK)
    network.trainable = part != "none"
    start = {"none": len(network.layers), "all": 0}.get(part)
    if start is None:
        start = network.layers.index(_lowest(network, name, part))
    for index, layer in enumerate(network.layers):  # from input to output
        is_batchnorm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = index >= start and not (is_batchnorm and batchnorm == "frozen")
        if is_batchnorm and layer.trainable:
            layer.momentum = BATCHNORM_MOMENTUM


def split(model: keras.Model, name: settings.Backbone, part: settings.Unfreeze) -> tuple[keras.Model, keras.Model]:
    """Split `model`, which contains the backbone `name`, below its last stage ("top") or its last two ("top2").

    Returns:
        The lower model, pixels -> activations, and the upper one, float16 activations -> the output of `model`. Both
        share their layers with `model`.
    """
    network = model.get_layer(NETWORK)
    boundary = _lowest(network, name, part).input
    pixels = keras.Input(model.input_shape[1:], dtype="uint8", name="pixels")
    x = BACKBONES[name].preprocess(keras.ops.cast(pixels, "float32"))
    frozen = keras.Model(network.input, boundary)(x, training=False)
    lower = keras.Model(pixels, frozen, name="trunk")  # the name in saved models
    activations = keras.Input(boundary.shape[1:], dtype="float16", name="activations")
    x = keras.Model(boundary, network.output)(keras.ops.cast(activations, "float32"))
    for layer in model.layers[model.layers.index(network) + 1 :]:
        x = layer(x)
    return lower, keras.Model(activations, x, name="upper")


def with_embedding(model: keras.Model, name: settings.Backbone, part: settings.Unfreeze) -> keras.Model:
    """Return a model of pixels -> (the output of `model`, pooled activations below `part`, see `split`)."""
    network = model.get_layer(NETWORK)
    boundary = _lowest(network, name, part).input
    pixels = keras.Input(model.input_shape[1:], dtype="uint8", name="pixels")
    x = BACKBONES[name].preprocess(keras.ops.cast(pixels, "float32"))
    activations, x = keras.Model(network.input, [boundary, network.output])(x, training=False)
    for layer in model.layers[model.layers.index(network) + 1 :]:
        x = layer(x)
    return keras.Model(pixels, [x, pooled(activations)])


def pooled(activations: keras.KerasTensor) -> keras.KerasTensor:
    """Return the means over height and width, float32 [n, channels], of float [n, height, width, channels]."""
    return keras.layers.GlobalAveragePooling2D(dtype="float32")(activations)


def _lowest(network: keras.Model, name: settings.Backbone, part: str) -> keras.layers.Layer:
    """Return the first layer of `part`, "top" or "top2"; it has a single input."""
    prefix = BACKBONES[name].stages[{"top": -1, "top2": -2}[part]]
    return next(layer for layer in network.layers if layer.name.startswith(prefix))


def _randomize(network: keras.Model, seed: int) -> None:
    """Set the kernels of `network` to random weights, Glorot uniform with seeds of their own.

    Keras itself would draw these seeds from Python's global generator, which other threads use too.
    """
    layers = [layer for layer in network.layers if hasattr(layer, "kernel")]
    for number, layer in enumerate(layers):
        initializer = keras.initializers.GlorotUniform(seeds.derive(seed, seeds.BACKBONE, number))
        layer.kernel.assign(initializer(layer.kernel.shape))


@contextlib.contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
