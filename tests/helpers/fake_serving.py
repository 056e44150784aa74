"""A small model server for tests of the client, over real sockets.

It uses our own messages, because the official ones load TensorFlow. test_protos.py compares both.
"""

import concurrent.futures
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from serving.protos import predict_pb2

SCORES = {"kaca": 0.125, "métal": 0.625, "纸板": 0.25}  # exact in float32
AVAILABLE = {3: "AVAILABLE"}
Answer = Callable[[Any, Any], Any]  # (request, context) -> response


def prediction(
    scores: Mapping[str, float],
    version: int = 3,
    field: str = "float_val",
    in_set: Sequence[bool] | None = None,
    typicality: float | None = None,
) -> predict_pb2.PredictResponse:
    """Return a response of Predict with these scores, in this field of the tensor; models may lack the last two."""
    response = predict_pb2.PredictResponse()
    response.model_spec.version.value = version
    response.outputs["class_names"].string_val.extend(name.encode() for name in scores)
    if field == "float_val":
        response.outputs["scores"].float_val.extend(scores.values())
    else:
        response.outputs["scores"].tensor_content = struct.pack(f"<{len(scores)}f", *scores.values())
    if in_set is not None and field == "float_val":
        response.outputs["in_set"].bool_val.extend(in_set)
    elif in_set is not None:
        response.outputs["in_set"].tensor_content = bytes(in_set)
    if typicality is not None:
        response.outputs["typicality"].float_val.append(typicality)
    return response


def heatmap(
    values: Sequence[float], shape: Sequence[int] = (1, 2, 3), field: str = "float_val"
) -> predict_pb2.PredictResponse:
    """Return a response of the signature `explain` with these values, in this field of the tensor."""
    response = predict_pb2.PredictResponse()
    tensor = response.outputs["heatmap"]
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    if field == "float_val":
        tensor.float_val.extend(values)
    else:
        tensor.tensor_content = struct.pack(f"<{len(values)}f", *values)
    return response


class Server:
    """A server of the model `pilah` on a free port, which records its requests.

    Args:
        answer: function of (request, context) that returns the response of Predict.
        states: version -> name of its state.
        health_status: name of the server's status in the health service.
    """

    def __init__(self, answer: Answer, states: Mapping[int, str], health_status: str, credentials: Any) -> None:
        self._answer, self._states = answer, states
        self.requests: list[Any] = []
        self._grpc = grpc.server(concurrent.futures.ThreadPoolExecutor(32))
        self._add("PredictionService", "Predict", self._predict, predict_pb2.PredictRequest)
        self._add("ModelService", "GetModelStatus", self._status, predict_pb2.ModelStatusRequest)
        checks = health.HealthServicer()
        checks.set("", health_pb2.HealthCheckResponse.ServingStatus.Value(health_status))
        health_pb2_grpc.add_HealthServicer_to_server(checks, self._grpc)
        if credentials:
            port = self._grpc.add_secure_port("127.0.0.1:0", credentials)
        else:
            port = self._grpc.add_insecure_port("127.0.0.1:0")
        self.target = f"127.0.0.1:{port}"
        self._grpc.start()

    def stop(self) -> None:
        self._grpc.stop(None).wait()

    def _add(self, service: str, method: str, call: Answer, request: Any) -> None:
        handler = grpc.unary_unary_rpc_method_handler(
            call, request.FromString, lambda response: response.SerializeToString()
        )
        services = grpc.method_handlers_generic_handler(f"tensorflow.serving.{service}", {method: handler})
        self._grpc.add_generic_rpc_handlers([services])

    def _predict(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return self._answer(request, context)

    def _status(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        if request.model_spec.name != "pilah" or not self._states:
            context.abort(grpc.StatusCode.NOT_FOUND, "Could not find any versions of model")
        response = predict_pb2.ModelStatusResponse()
        for version, state in self._states.items():
            response.model_version_status.add(version=version, state=state)
        return response


def refusal(code: grpc.StatusCode, details: str = "the reason", times: int = 1000) -> Answer:
    """Return a function that answers Predict with `code` for the first `times` calls, then with SCORES."""
    left = iter(range(times))

    def answer(_: Any, context: Any) -> Any:
        if next(left, None) is not None:
            context.abort(code, details)
        return prediction(SCORES)

    return answer
