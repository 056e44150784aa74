"""The three backbones of the thesis: their order, their ImageNet weights, and the frozen model of each."""

import contextlib
import dataclasses
import functools
import logging
import pathlib
import socket
from collections.abc import Callable, Iterator

import keras

from components.base import artifacts
from components.base.errors import PilahError

log = logging.getLogger("pilah")
DOWNLOAD_TIMEOUT_SECONDS = 20.0
# Of the running averages of BatchNorm that trains (Goyal et al. 2017): with Keras's 0.99, ImageNet's outlast a short
# run.
BATCHNORM_MOMENTUM = 0.9
NETWORK = "network"  # the layer that a backbone is, in the models that hold it


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A network of Keras Applications without its 1000-way top.

    Attributes:
        build: its constructor.
        preprocess: what its weights expect done to RGB pixels in [0, 255].
        weights_file: the name that Keras Applications gives to its ImageNet weights.
        parameters: how many weights it has.
        channels: how many activations it gives, pooled.
        stages: how the names of the layers of its last two stages begin, the last one last.
    """

    build: Callable[..., keras.Model]
    preprocess: Callable
    weights_file: str
    parameters: int
    channels: int
    stages: tuple[str, str]


_FILE = "{}_weights_tf_dim_ordering_tf_kernels_notop.h5"
BACKBONES = {  # name -> backbone, in the thesis's order
    "ResNet50": Backbone(
        keras.applications.ResNet50,
        keras.applications.resnet.preprocess_input,
        _FILE.format("resnet50"),
        parameters=23_587_712,
        channels=2048,
        stages=("conv4_", "conv5_"),
    ),
    "VGG19": Backbone(
        keras.applications.VGG19,
        keras.applications.vgg19.preprocess_input,
        _FILE.format("vgg19"),
        parameters=20_024_384,
        channels=512,
        stages=("block4_", "block5_"),
    ),
    "DenseNet121": Backbone(
        keras.applications.DenseNet121,
        keras.applications.densenet.preprocess_input,
        _FILE.format("densenet121"),
        parameters=7_037_504,
        channels=1024,
        stages=("conv4_", "conv5_"),
    ),
}


@dataclasses.dataclass(frozen=True)
class Weights:
    """Where a backbone's weights come from.

    Attributes:
        source: the path of a file, "imagenet" (Keras's own copy, downloaded before), or None for random draws.
        seed: of the random draws.
    """

    source: str | None
    seed: int

    @functools.cached_property
    def fingerprint(self) -> str:
        """Equal for equal weights, wherever the file stands; read once, for each scenario asks for it."""
        if self.source in (None, "imagenet"):
            return self.source or f"random, seed {self.seed}"
        return artifacts.file_digest(pathlib.Path(self.source))


def find_weights(name: str, weights_dir: pathlib.Path | None, allow_random: bool, seed: int) -> Weights:
    """The ImageNet weights from `weights_dir` if it is given, else by Keras's own download, else random if allowed.

    Raises:
        PilahError: `weights_dir` lacks the file, or the download failed and random weights are not allowed.
    """
    file = BACKBONES[name].weights_file
    if weights_dir:
        if not (weights_dir / file).is_file():
            raise PilahError(
                f"--weights-dir must hold {file}, and {weights_dir} does not. Put it there, or leave out --weights-dir "
                "and Keras downloads it."
            )
        return Weights(str(weights_dir / file), seed)
    try:
        with _network_timeout(DOWNLOAD_TIMEOUT_SECONDS):
            BACKBONES[name].build(weights="imagenet", include_top=False)
    except Exception as error:  # Keras raises a plain Exception when the download fails
        if allow_random:
            log.warning("Keras could not download %s: %s", file, " ".join(str(error).split()))
            return Weights(None, seed)
        raise PilahError(
            f"The ImageNet weights of {name} could not be downloaded ({' '.join(str(error).split())}). Put {file}, as "
            "Keras Applications publishes it, into a folder and give that as --weights-dir."
        ) from error
    return Weights("imagenet", seed)


def build(name: str, weights: Weights, image_size_px: int, precision: str) -> keras.Model:
    """The frozen backbone: uint8 RGB [n, size, size, 3] -> pooled activations, float32 [n, channels].

    Its own preprocessing and a global average pooling are inside; BatchNorm, frozen too, runs on its stored statistics.
    """
    backbone = BACKBONES[name]
    if not weights.source:
        keras.utils.set_random_seed(weights.seed)
    with _dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32"):
        network = backbone.build(
            weights=weights.source, include_top=False, input_shape=(image_size_px, image_size_px, 3), name=NETWORK
        )
        network.trainable = False
        pixels = keras.Input((image_size_px, image_size_px, 3), dtype="uint8", name="pixels")
        # Cast first: on uint8, preprocess_input would round the means that it subtracts.
        x = backbone.preprocess(keras.ops.cast(pixels, "float32"))
        x = network(x)
        pooled = keras.layers.GlobalAveragePooling2D(dtype="float32", name="pooled")(x)
    return keras.Model(pixels, pooled, name=name)


def unfreeze(model: keras.Model, name: str, part: str, batchnorm: str) -> None:
    """Let a part of the backbone in `model` train from now on: "all", "top2", "top" (its last stages) or "none".

    Args:
        batchnorm: what becomes of that part's BatchNorm layers, of which VGG19 has none. "frozen" leaves them as
            ImageNet left them, scale and offset included, so that what is served is what was trained. "trained" lets
            scale and offset learn; a batch is then normalized by its own mean and variance, which a small one
            estimates poorly, and their running averages are what is served.
    """
    network = model.get_layer(NETWORK)
    network.trainable = part != "none"
    start = {"none": len(network.layers), "all": 0}.get(part)
    if start is None:
        start = network.layers.index(_lowest(network, name, part))
    for place, layer in enumerate(network.layers):  # they stand in the order in which pixels pass them
        normalizes = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = place >= start and not (normalizes and batchnorm == "frozen")
        if normalizes and layer.trainable:
            layer.momentum = BATCHNORM_MOMENTUM


def split(model: keras.Model, name: str, part: str) -> tuple[keras.Model, keras.Model]:
    """The two parts of `model`, which holds backbone `name`, that meet below its last stage ("top") or two ("top2").

    The trunk, pixels -> activations, and what stands on it, those activations in float16 -> the output of `model`.
    Both share their layers with it: where one learns, all do.
    """
    network = model.get_layer(NETWORK)
    meeting = _lowest(network, name, part).input
    pixels = keras.Input(model.input_shape[1:], dtype="uint8", name="pixels")
    x = BACKBONES[name].preprocess(keras.ops.cast(pixels, "float32"))
    trunk = keras.Model(pixels, keras.Model(network.input, meeting)(x, training=False), name="trunk")
    activations = keras.Input(meeting.shape[1:], dtype="float16", name="activations")
    x = keras.Model(meeting, network.output)(keras.ops.cast(activations, "float32"))
    for layer in model.layers[model.layers.index(network) + 1 :]:
        x = layer(x)
    return trunk, keras.Model(activations, x, name="upper")


def _lowest(network: keras.Model, name: str, part: str) -> keras.layers.Layer:
    """The first layer of "top" or "top2", with a single input."""
    beginning = BACKBONES[name].stages[{"top": -1, "top2": -2}[part]]
    return next(layer for layer in network.layers if layer.name.startswith(beginning))


@contextlib.contextmanager
def _network_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextlib.contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
