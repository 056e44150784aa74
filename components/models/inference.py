"""Inference engines for frozen backbones: on CPUs the fastest one for each backbone, on GPUs TensorFlow."""

import functools
import importlib.util
import logging

import keras
import tensorflow as tf

from components.base import settings
from components.base.errors import PilahError
from components.models import backbones, frozen_graph, mnn_engine, openvino_engine

log = logging.getLogger("pilah")


@functools.cache
def pick(
    engine: settings.Engine, backbone: settings.Backbone, precision: settings.ComputeDtype
) -> settings.InferenceEngine:
    """Return `engine`, or for "auto" the engine for `backbone` in `precision` on this machine.

    "auto" is TensorFlow on GPUs. On CPUs it is the backbone's `cpu_engine` in float32 and OpenVINO in bfloat16. If MNN
    does not work, OpenVINO replaces it and a warning is logged; if OpenVINO is not installed, TensorFlow does.

    Raises:
        PilahError: `engine` is not installed, does not work on this machine, or cannot compute in `precision`.
    """
    if engine == "mnn":
        _check_mnn(precision)
    if engine == "openvino" and not _openvino_is_installed():
        raise PilahError(
            "--engine openvino needs the package openvino, which is not installed. Install it, or choose --engine "
            "tensorflow."
        )
    if engine != "auto":
        return engine
    if on_gpu():
        return "tensorflow"
    if precision == "float32" and backbones.BACKBONES[backbone].cpu_engine == "mnn":
        if not mnn_engine.problem():
            return "mnn"
        log.warning("%s runs without MNN, at half the speed, because MNN %s", backbone, mnn_engine.problem())
    return "openvino" if _openvino_is_installed() else "tensorflow"


def _check_mnn(precision: settings.ComputeDtype) -> None:
    if precision != "float32":
        raise PilahError(
            f"--engine mnn computes only in float32 (got --precision {precision}). Choose --precision float32, or "
            "--engine openvino."
        )
    if mnn_engine.problem():
        raise PilahError(
            f"--engine mnn does not work on this machine: MNN {mnn_engine.problem()}. Choose --engine openvino."
        )


def _openvino_is_installed() -> bool:
    return importlib.util.find_spec("openvino") is not None


def gpus() -> int:
    """Return the number of GPUs that Keras can train on."""
    if keras.config.backend() == "jax":
        import jax  # not a dependency: installed by users who set KERAS_BACKEND=jax

        return sum(device.platform == "gpu" for device in jax.devices())
    return len(tf.config.list_physical_devices("GPU"))


def on_gpu() -> bool:
    """Return whether Keras trains on a GPU."""
    return gpus() > 0


def dtype_of_model(engine: settings.InferenceEngine, precision: settings.ComputeDtype) -> settings.ComputeDtype:
    """Return the dtype in which to build a model for `engine`; OpenVINO itself converts models to bfloat16."""
    return precision if engine == "tensorflow" else "float32"


def load(
    engine: settings.InferenceEngine, model: keras.Model, precision: settings.ComputeDtype
) -> frozen_graph.Forward:
    """Load `model`, built in `dtype_of_model`, into `engine`; return the function that runs it in `precision`.

    Raises:
        PilahError: MNN cannot load the model.
    """
    if engine == "openvino":
        return openvino_engine.load(model, precision)
    if engine == "mnn":
        try:
            return mnn_engine.load(model)
        except mnn_engine.UnusableError as error:
            raise PilahError(f"MNN cannot load {model.name}: MNN {error}. Choose --engine openvino.") from error
    call = tf.function(lambda pixels: model(pixels, training=False), input_signature=frozen_graph.signature(model))
    return lambda batches: (call(pixels).numpy() for pixels in batches)
