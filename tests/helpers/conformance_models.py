"""Small SavedModels for the conformance table, and the models.config that serves them.

Run as a program, it prepares a folder for TensorFlow Serving's container, to which the same table applies:

    python tests/helpers/conformance_models.py conformance
    docker run --rm -p 8500:8500 -p 8501:8501 -v "$PWD/conformance":/models:ro tensorflow/serving:2.20.0 \
        --model_config_file=/models/models.config --allow_version_labels_for_unavailable_models=true \
        --enable_grpc_healthcheck_service=true
    PILAH_TARGET=localhost:8500,localhost:8501 python -m pytest tests/serving/test_conformance.py

Add --enable_batching=true to the container's flags for the rows with batching; the tests detect it.
"""

import argparse
import functools
import pathlib
from collections.abc import Callable, Mapping

import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

CONTAINER_BASE_PATH = "/models"
CONFIG_FILE = "models.config"
NUMBER_DTYPES = ("float32", "float64", "int32", "int64", "uint8", "uint64", "bool")
NO_SUCH_FILE = "/no/such/file"
Signatures = Mapping[str, Callable[..., Mapping[str, tf.Tensor]]]


def config(base_path: str) -> model_server_config_pb2.ModelServerConfig:
    """Return the configuration that serves the models in `base_path` on the server's machine."""
    server_config = model_server_config_pb2.ModelServerConfig()
    for name in MODELS:
        model = server_config.model_config_list.config.add(
            name=name, base_path=f"{base_path}/{name}", model_platform="tensorflow"
        )
        if name == "scale":  # version 1 is on disk, but not served
            model.model_version_policy.latest.num_versions = 2
            model.version_labels["stable"] = 2
            model.version_labels["canary"] = 3
    return server_config


def write(folder: pathlib.Path, base_path: str) -> pathlib.Path:
    """Save the models in `folder`; return the configuration file for a server that has the folder at `base_path`."""
    for name, versions in MODELS.items():
        for version, build in versions.items():
            module, signatures = build()
            tf.saved_model.save(module, str(folder / name / str(version)), signatures=signatures)
    file = folder / CONFIG_FILE
    file.write_text(text_format.MessageToString(config(base_path)))
    return file


def _signature(
    function: Callable[..., Mapping[str, tf.Tensor]], **inputs: tf.TensorSpec
) -> tf.types.experimental.PolymorphicFunction:
    specs = [tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in inputs.items()]
    return tf.function(function, input_signature=specs)


def _many(dtype: tf.DType = tf.float32) -> tf.TensorSpec:
    return tf.TensorSpec([None], dtype)


def _two_scalars() -> tuple[tf.Module, Signatures]:
    scalar = tf.TensorSpec([], tf.float32)
    return tf.Module(), {
        "serving_default": _signature(lambda a, b: {"sum": a + b, "product": a * b}, a=scalar, b=scalar)
    }


def _scale(factor: float) -> tuple[tf.Module, Signatures]:
    module = tf.Module()
    module.factor = tf.Variable(factor)
    return module, {"serving_default": _signature(lambda x: {"y": x * module.factor}, x=_many())}


def _signatures() -> tuple[tf.Module, Signatures]:
    """A default signature for rows of three numbers, and one for each kind of inputs and outputs."""

    def combine(a: tf.Tensor, b: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"sum": a + b, "difference": a - b}

    def defaulted(x: tf.Tensor, offset: tf.Tensor = tf.constant([10.0])) -> dict[str, tf.Tensor]:  # noqa: B008
        return {"y": x + offset}

    return tf.Module(), {
        "serving_default": _signature(
            lambda x: {"total": tf.squeeze(x @ tf.ones([3, 1]), 1)}, x=tf.TensorSpec([None, 3], tf.float32)
        ),
        "combine": _signature(combine, a=_many(), b=_many()),
        "divide": _signature(lambda a, b: {"quotient": a / b}, a=_many(), b=_many()),
        "pairs": _signature(lambda x: {"pairs": tf.stack([x, -x], 1)}, x=_many()),
        "defaulted": _signature(defaulted, x=_many(), offset=_many()),
        "no_inputs": _signature(lambda: {"y": tf.constant([1.0, 2.0])}),
        "scalar_output": _signature(lambda x: {"total": tf.reduce_sum(x)}, x=_many()),
        "uneven_outputs": _signature(lambda x: {"all": x * 1.0, "first": x[:1]}, x=_many()),
    }


def _strings() -> tuple[tf.Module, Signatures]:
    text = _many(tf.string)
    return tf.Module(), {
        "serving_default": _signature(
            lambda text: {"upper": tf.strings.upper(text), "text_bytes": tf.identity(text)}, text=text
        ),
        "length": _signature(lambda text: {"length": tf.strings.length(text)}, text=text),
        "echo": _signature(lambda text: {"text": tf.identity(text)}, text=text),
        "echo_bytes": _signature(lambda text: {"text_bytes": tf.identity(text)}, text=text),
    }


def _dtypes() -> tuple[tf.Module, Signatures]:
    """One signature per dtype, named after it, that returns its input."""
    return tf.Module(), {
        dtype: _signature(lambda x: {"y": tf.identity(x)}, x=_many(tf.as_dtype(dtype))) for dtype in NUMBER_DTYPES
    }


def _raises() -> tuple[tf.Module, Signatures]:
    def positive(x: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(x > 0), ["x must be positive", x])]):
            return {"y": tf.identity(x)}

    def file(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.fill(tf.shape(x), tf.io.read_file(NO_SUCH_FILE))}

    whole = _many(tf.int32)
    return tf.Module(), {
        "serving_default": _signature(positive, x=_many()),
        "file": _signature(file, x=_many()),
        "divide": _signature(lambda a, b: {"quotient": a // b}, a=whole, b=whole),
    }


# name -> version -> function that builds it
MODELS: Mapping[str, Mapping[int, Callable[[], tuple[tf.Module, Signatures]]]] = {
    "two_scalars": {1: _two_scalars},
    "scale": {version: functools.partial(_scale, float(version)) for version in (1, 2, 3)},
    "signatures": {1: _signatures},
    "strings": {1: _strings},
    "dtypes": {1: _dtypes},
    "raises": {1: _raises},
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the models of the conformance table.")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--base-path", default=CONTAINER_BASE_PATH, help="Path of the folder on the server.")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    print(write(args.folder, args.base_path))


if __name__ == "__main__":
    main()
