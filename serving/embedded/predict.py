"""A loaded version of a model, and its answers to predict requests."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2

from serving.embedded import batching, saved_model, status, tensors


class Servable:
    """One loaded and warmed-up version of a model, with its own queue when `parameters` enable batching.

    Raises:
        StatusError: the SavedModel at `path` cannot be loaded, or a warm-up request fails.
    """

    def __init__(self, name: str, version: int, path: pathlib.Path, parameters: batching.Parameters | None):
        self.name, self.version = name, version
        self._model = saved_model.SavedModel(path)
        self._batcher: batching.Batcher | None = None
        try:
            for request in saved_model.warmup_requests(path):
                self.answer(request)
        except Exception as error:
            self._model.close()
            raise status.from_exception(error) from error
        if parameters:
            self._batcher = batching.Batcher(self._run, parameters)

    @property
    def signatures(self) -> Mapping[str, meta_graph_pb2.SignatureDef]:
        return self._model.signatures

    def predict(
        self,
        signature_name: str,
        inputs: Mapping[str, np.ndarray],
        output_filter: Sequence[str] = (),
        timeout_seconds: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Compute the outputs of a signature: those in `output_filter`, or all if it is empty.

        Raises:
            StatusError: FAILED_PRECONDITION, no such signature; INVALID_ARGUMENT, inputs or outputs that do not match
                the signature; or an error of the batching queue or the model.
        """
        if signature_name not in self.signatures:
            raise status.StatusError(
                status.Code.FAILED_PRECONDITION, f'Serving signature key "{signature_name}" not found.'
            )
        signature = self.signatures[signature_name]
        _check_inputs(signature, inputs)
        _check_outputs(signature, output_filter)
        defaults = {
            name: tensors.to_array(proto, name) for name, proto in signature.defaults.items() if name not in inputs
        }
        program = batching.Program(signature_name, tuple(output_filter) or tuple(signature.outputs))
        # TensorFlow Serving batches only requests for all outputs of a signature.
        if self._batcher is None or len(program.outputs) != len(signature.outputs):
            return self._run(program, {**defaults, **inputs})
        return dict(self._batcher.run(program, {**defaults, **inputs}, timeout_seconds))

    def answer(
        self, request: predict_pb2.PredictRequest, timeout_seconds: float | None = None
    ) -> predict_pb2.PredictResponse:
        """Return the response to a request for this version.

        Raises:
            StatusError: as in `predict`; INVALID_ARGUMENT, a tensor that cannot be parsed.
        """
        signature_name = request.model_spec.signature_name or saved_model.DEFAULT_SIGNATURE
        inputs = {name: tensors.to_array(proto, name) for name, proto in request.inputs.items()}
        response = predict_pb2.PredictResponse()
        for name, array in self.predict(signature_name, inputs, request.output_filter, timeout_seconds).items():
            dtype = tf.as_dtype(self.signatures[signature_name].outputs[name].dtype)
            response.outputs[name].CopyFrom(tensors.to_proto(array, dtype))
        response.model_spec.name = self.name
        response.model_spec.version.value = self.version
        response.model_spec.signature_name = signature_name
        return response

    def close(self) -> None:
        if self._batcher:
            self._batcher.close()
        self._model.close()

    def _run(self, program: batching.Program, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self._model.run(program.signature_name, inputs, program.outputs)


def _check_inputs(signature: meta_graph_pb2.SignatureDef, inputs: Mapping[str, np.ndarray]) -> None:
    known = set(signature.inputs)
    extra, missing = set(inputs) - known, known - set(inputs)
    if len(inputs) > len(known) or (len(inputs) < len(known) and not signature.defaults):
        raise status.invalid_argument(
            f"input size does not match signature: {len(inputs)}!={len(known)} len({{{_names(inputs)}}}) != "
            f"len({{{_names(known)}}}). Sent extra: {{{_names(extra)}}}. Missing but required: {{{_names(missing)}}}."
        )
    for name in sorted(missing - set(signature.defaults)):
        raise status.invalid_argument(
            f"Signature input alias: {name}(feed name: {signature.inputs[name].name}) not found in request and no "
            f"default value provided. Inputs expected to be in the request {{{_names(inputs)}}}"
        )
    if extra:
        raise status.invalid_argument(f"Inputs contains invalid name. Unknown inputs: {_names(extra)}")
    for position, (name, info) in enumerate(signature.inputs.items()):
        expected = tf.as_dtype(info.dtype)
        if name in inputs and (actual := tensors.dtype_of(inputs[name])) != expected:
            raise status.invalid_argument(
                f"Expects arg[{position}] to be {tensors.name_of(expected)} but {tensors.name_of(actual)} is provided"
            )


def _check_outputs(signature: meta_graph_pb2.SignatureDef, output_filter: Sequence[str]) -> None:
    for position, name in enumerate(output_filter):
        if name not in signature.outputs:
            raise status.invalid_argument(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set "
                f"{{{_names(signature.outputs)}}}."
            )
        if name in output_filter[:position]:
            raise status.invalid_argument(f"duplicate output tensor alias: {name}")


def _names(names: Mapping[str, object] | set[str]) -> str:
    return ",".join(sorted(names))
