"""A SavedModel in a session of its own: any signature, any dtype, and TensorFlow Serving's own errors."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
from tensorflow_serving.apis import prediction_log_pb2

from serving.embedded import status, tensors

DEFAULT_SIGNATURE = "serving_default"
WARMUP_FILE = pathlib.Path("assets.extra", "tf_serving_warmup_requests")
MAX_WARMUP_REQUESTS = 1000  # as TensorFlow Serving (servables/tensorflow/saved_model_warmup_util.h)
INIT_SIGNATURE = "__saved_model_init_op"  # of the loader, not of users


class SavedModel:
    """A SavedModel that is ready to run.

    It is loaded into a session, as TensorFlow Serving does: wrong dtypes and shapes are then answered in its words, a
    load costs no Python object a layer, and closing it gives all of its memory back. `tf.saved_model.load` leaves
    every function it has loaded in the process.

    Raises:
        StatusError: the folder holds no SavedModel that can be loaded.
    """

    def __init__(self, path: pathlib.Path):
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        self._programs: dict[tuple[str, tuple[str, ...]], Callable[..., list[Any]]] = {}
        try:
            meta_graph = tf.compat.v1.saved_model.load(self._session, [tf.saved_model.SERVING], str(path))
        except Exception as error:
            self._session.close()
            raise status.from_exception(error) from error
        # name -> inputs and outputs with their tensors' names, dtypes and shapes
        self.signatures: Mapping[str, meta_graph_pb2.SignatureDef] = {
            name: signature for name, signature in meta_graph.signature_def.items() if name != INIT_SIGNATURE
        }

    def run(
        self, signature_name: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """The named outputs of a signature; strings are object arrays of bytes. Threads may call it at once.

        Raises:
            StatusError: with the code and message of the operation that failed.
        """
        signature = self.signatures[signature_name]
        key = (signature_name, tuple(outputs))
        if key not in self._programs:
            options = config_pb2.CallableOptions(
                feed=[info.name for info in signature.inputs.values()],
                fetch=[signature.outputs[name].name for name in outputs],
            )
            # The public make_callable() converts what it is fed to the dtype it wants; a server must refuse it.
            self._programs[key] = self._session._make_callable_from_options(options)
        try:
            values = self._programs[key](*(inputs[name] for name in signature.inputs))
        except tf.errors.OpError as error:
            raise status.from_exception(error) from error
        return {
            name: np.asarray(value, object if signature.outputs[name].dtype == tf.string.as_datatype_enum else None)
            for name, value in zip(outputs, values, strict=True)
        }

    def close(self) -> None:
        self._programs.clear()
        self._session.close()


def warm_up(model: SavedModel, path: pathlib.Path) -> int:
    """Run the predict requests that stand in `assets.extra` of the SavedModel at `path`; their number.

    Raises:
        StatusError: one of them fails, or there are more than 1,000.
    """
    file = path / WARMUP_FILE
    if not file.exists():
        return 0
    count = 0
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        if not log.HasField("predict_log"):
            continue  # Classify and Regress, which this server does not answer
        if count == MAX_WARMUP_REQUESTS:
            raise status.invalid_argument(f"Warm-up takes at most {MAX_WARMUP_REQUESTS} requests. Received: more.")
        request = log.predict_log.request
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        inputs = {key: tensors.to_array(proto, key) for key, proto in request.inputs.items()}
        model.run(name, inputs, list(request.output_filter) or list(model.signatures[name].outputs))
        count += 1
    return count
