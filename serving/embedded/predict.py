"""A predict request answered by one version of a model: what gRPC and REST have in common."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2

from serving.embedded import batching, saved_model, status, tensors


class Servable:
    """One loaded, warmed-up version of one model, with a queue of its own where batching is on.

    Raises:
        StatusError: the SavedModel at `path` cannot be loaded, or a warm-up request fails.
    """

    def __init__(self, name: str, version: int, path: pathlib.Path, parameters: batching.Parameters | None):
        self.name, self.version = name, version
        self._model = saved_model.SavedModel(path)
        try:
            saved_model.warm_up(self._model, path)
        except Exception:
            self._model.close()
            raise
        self._batcher = batching.Batcher(self._run, parameters) if parameters else None

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
        """The outputs of a signature, all of them unless `output_filter` names some.

        Raises:
            StatusError: FAILED_PRECONDITION, no such signature; INVALID_ARGUMENT, inputs or outputs that are not the
                signature's; or what the batching queue or the model answers.
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
        program = (signature_name, tuple(output_filter) or tuple(signature.outputs))
        if self._batcher is None:
            return self._run(program, {**defaults, **inputs})
        return dict(self._batcher.run(program, {**defaults, **inputs}, timeout_seconds))

    def close(self) -> None:
        if self._batcher:
            self._batcher.close()
        self._model.close()

    def _run(self, program: batching.Program, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self._model.run(program[0], inputs, program[1])


def _check_inputs(signature: meta_graph_pb2.SignatureDef, inputs: Mapping[str, np.ndarray]) -> None:
    required, known = set(signature.inputs) - set(signature.defaults), set(signature.inputs)
    extra, missing = set(inputs) - known, required - set(inputs)
    if extra or missing:
        raise status.invalid_argument(
            f"input size does not match signature: {len(inputs)}!={len(known)} len({{{_names(inputs)}}}) != "
            f"len({{{_names(known)}}}). Sent extra: {{{_names(extra)}}}. Missing but required: {{{_names(missing)}}}."
        )


def _check_outputs(signature: meta_graph_pb2.SignatureDef, wanted: Sequence[str]) -> None:
    for position, name in enumerate(wanted):
        if name not in signature.outputs:
            raise status.invalid_argument(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set "
                f"{{{_names(signature.outputs)}}}."
            )
        if name in wanted[:position]:
            raise status.invalid_argument(f"duplicate output tensor alias: {name}")


def _names(names: Mapping[str, object] | set[str]) -> str:
    return ",".join(sorted(names))
