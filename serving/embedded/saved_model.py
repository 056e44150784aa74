"""A SavedModel in its own session, as in TensorFlow Serving: any signature, any dtype, and the same errors."""

import hashlib
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from serving.embedded import status

DESCRIPTION = "model.json"  # of a pushed version, see components/publish/push.py
RESTORE = "Restore it, or push the model again."
DEFAULT_SIGNATURE = "serving_default"
MAX_PROGRAMS = 64  # cached, one per signature and output filter
WARMUP_FILE = pathlib.Path("assets.extra", "tf_serving_warmup_requests")
MAX_WARMUP_REQUESTS = 1000  # as TensorFlow Serving (servables/tensorflow/saved_model_warmup_util.h)


def check_files(folder: pathlib.Path) -> None:
    """Check that the files of a version are as they were pushed, if its model.json lists them.

    TensorFlow reads a damaged graph without an error, and waits forever for a pipe.

    Raises:
        StatusError: DATA_LOSS, a file is missing or has changed; FAILED_PRECONDITION, one is a pipe or a device.
    """
    for path in folder.rglob("*"):
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise status.StatusError(status.Code.FAILED_PRECONDITION, f"{path} is neither a file nor a folder.")
    for name, digest in _pushed_files(folder / DESCRIPTION).items():
        path = folder / name
        if not path.is_file():
            raise status.StatusError(status.Code.DATA_LOSS, f"{path} is missing. {RESTORE}")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest()[: len(digest)] != digest:
                raise status.StatusError(status.Code.DATA_LOSS, f"{path} has changed since it was pushed. {RESTORE}")


def _pushed_files(description: pathlib.Path) -> dict[str, str]:
    """Return file -> digest, from the model.json of a version; empty for a SavedModel that a run did not push."""
    try:
        files = json.loads(description.read_bytes()).get("files", {})
        if not all(isinstance(text, str) for item in files.items() for text in item):
            raise ValueError("files must be texts")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise status.StatusError(status.Code.DATA_LOSS, f"{description} is damaged ({error}). {RESTORE}") from error
    return dict(files)


class SavedModel:
    """A loaded SavedModel.

    A session gives the same errors for wrong dtypes and shapes as TensorFlow Serving, loads without a Python object for
    each layer, and frees all of its memory when closed. `tf.saved_model.load` never frees the functions it loads.

    Raises:
        StatusError: `path` has no SavedModel that can be loaded.
    """

    def __init__(self, path: pathlib.Path):
        check_files(path)
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        self._programs: dict[tuple[str, tuple[str, ...]], Callable[..., list[Any]]] = {}
        try:
            meta_graph = tf.compat.v1.saved_model.load(self._session, [tf.saved_model.SERVING], str(path))
        except Exception as error:
            self._session.close()
            raise status.from_exception(error) from error
        # name -> names, dtypes and shapes of its input and output tensors
        self.signatures: Mapping[str, meta_graph_pb2.SignatureDef] = dict(meta_graph.signature_def)

    def run(
        self, signature_name: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Compute the named outputs of a signature; strings are object arrays of bytes. Thread-safe.

        Raises:
            StatusError: with the code and message of the operation that failed.
        """
        signature = self.signatures[signature_name]
        try:
            program = self._program(signature_name, tuple(outputs))
            values = program(*(inputs[name] for name in signature.inputs))
        except Exception as error:
            raise status.from_exception(error) from error
        return {
            name: np.asarray(value, object if signature.outputs[name].dtype == tf.string.as_datatype_enum else None)
            for name, value in zip(outputs, values, strict=True)
        }

    def close(self) -> None:
        self._programs.clear()
        self._session.close()

    def _program(self, signature_name: str, outputs: tuple[str, ...]) -> Callable[..., list[Any]]:
        key = (signature_name, outputs)
        program = self._programs.get(key)
        if program is None:
            if len(self._programs) >= MAX_PROGRAMS:
                self._programs.clear()
            signature = self.signatures[signature_name]
            options = config_pb2.CallableOptions(
                feed=[info.name for info in signature.inputs.values()],
                fetch=[signature.outputs[name].name for name in outputs],
            )
            # The public make_callable() converts inputs to the expected dtype; a server must refuse them.
            program = self._programs[key] = self._session._make_callable_from_options(options)
        return program


def warmup_requests(path: pathlib.Path) -> Iterator[predict_pb2.PredictRequest]:
    """Yield the predict requests in the warm-up file of the SavedModel at `path`, if it has one.

    Raises:
        StatusError: the file has more than 1,000 requests.
        DecodeError, tf.errors.DataLossError: the file is damaged.
    """
    file = path / WARMUP_FILE
    if not file.exists():
        return
    for count, record in enumerate(tf.data.TFRecordDataset(str(file)).as_numpy_iterator()):
        if count == MAX_WARMUP_REQUESTS:
            raise status.invalid_argument(f"{file} has more than {MAX_WARMUP_REQUESTS} warm-up requests, the maximum.")
        log = prediction_log_pb2.PredictionLog.FromString(record)
        if log.HasField("predict_log"):  # this server does not support Classify and Regress
            yield log.predict_log.request
