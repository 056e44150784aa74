"""Client of the served classifier, without TensorFlow: one channel for all threads, a deadline for each call."""

import dataclasses
import enum
from collections.abc import Callable
from typing import Any, Self, TypeVar

import grpc
from google.protobuf import message
from grpc_health.v1 import health_pb2

from serving import answers, channel
from serving.protos import predict_pb2

MODEL_NAME = "pilah"
SIGNATURE, EXPLAIN_SIGNATURE = "serving_default", "explain"
STRING_DTYPE = 7  # DT_STRING in tensorflow/core/framework/types.proto
TIMEOUT_SECONDS = 10.0
PROBE_SECONDS = 1.0  # deadline of health and readiness checks
UNTYPICAL_BELOW = 0.01  # typicality of an untypical photo
START_COMMANDS = "make serve, or docker compose up serving"
NEXT_ACTIONS = {  # status code of a call that may succeed later -> what to do
    grpc.StatusCode.UNAVAILABLE: f"Start it ({START_COMMANDS}) or use another address.",
    # also the status of retried calls to a stopped server, and of calls to the REST port
    grpc.StatusCode.DEADLINE_EXCEEDED: f"Start it if it is stopped ({START_COMMANDS}), allow more time if it is busy, "
    "and check that the address has its gRPC port (8500), not its REST port (8501).",
}
Response = TypeVar("Response", bound=message.Message)
Answer = TypeVar("Answer")


class ServingUnavailable(Exception):  # noqa: N818  # names the state of the server
    """The server did not answer in time; the same call may succeed later. `reason` leaves out what to do about it."""

    def __init__(self, reason: str, action: str = ""):
        super().__init__(f"{reason} {action}".rstrip())
        self.reason = reason


class ServingRejected(Exception):  # noqa: N818
    """The server refused this call, or its answer is invalid; `code` is the gRPC status code."""

    def __init__(self, message: str, code: grpc.StatusCode):
        super().__init__(message)
        self.code = code


class Certainty(enum.StrEnum):
    """Whether the prediction set has one class or several, or the photo is untypical of the training photos."""

    SURE = "sure"
    UNSURE = "unsure"
    UNTYPICAL = "untypical"


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The classification of one photo.

    Attributes:
        class_name: the most probable class.
        score: its score, in [0, 1].
        scores: class -> score of all classes in the model's order, with sum 1.
        prediction_set: the classes that cannot be excluded, the most probable first; None if the model has no sets.
        typicality: share of the training photos that are less typical, in [0, 1]; None if the model does not say.
    """

    class_name: str
    score: float
    scores: dict[str, float]
    model_version: int
    prediction_set: list[str] | None = None
    typicality: float | None = None

    @property
    def certainty(self) -> Certainty | None:
        """Return the certainty of the answer; None if the model has no prediction sets."""
        if self.prediction_set is None:
            return None
        if self.typicality is not None and self.typicality < UNTYPICAL_BELOW:
            return Certainty.UNTYPICAL
        return Certainty.SURE if len(self.prediction_set) == 1 else Certainty.UNSURE


class Client:
    """A thread-safe client of the model server at `target` (HOST:PORT).

    Args:
        timeout_seconds: deadline of each call, its retries included.
        root_certificates: PEM bytes that verify a TLS server; b"" uses the system's, None connects without TLS.
    """

    def __init__(
        self,
        target: str = "localhost:8500",
        model_name: str = MODEL_NAME,
        timeout_seconds: float = TIMEOUT_SECONDS,
        root_certificates: bytes | None = None,
    ):
        self.target, self._model_name, self._timeout_seconds = target, model_name, timeout_seconds
        self._channel = channel.connect(target, root_certificates)
        self._predict = self._call("tensorflow.serving.PredictionService/Predict", predict_pb2.PredictResponse)
        self._status = self._call("tensorflow.serving.ModelService/GetModelStatus", predict_pb2.ModelStatusResponse)
        self._health = self._call("grpc.health.v1.Health/Check", health_pb2.HealthCheckResponse)

    def classify(self, photo: bytes, model_version: int | None = None) -> Prediction:
        """Classify one upright JPEG or PNG with `model_version`, by default the newest.

        Raises:
            ServingUnavailable, ServingRejected.
        """
        response = self._ask(SIGNATURE, photo, model_version)
        return self._read(_prediction, response)

    def explain(self, photo: bytes, model_version: int | None = None) -> list[list[float]]:
        """Return the heat map of one upright JPEG or PNG: how much each area counted for the most probable class.

        Returns:
            rows of values in [0, 1], from top to bottom and left to right of the whole photo; 7 to 10 each way.

        Raises:
            ServingUnavailable.
            ServingRejected: with FAILED_PRECONDITION if the model makes no heat maps.
        """
        response = self._ask(EXPLAIN_SIGNATURE, photo, model_version)
        return self._read(lambda response: answers.heatmap(response.outputs["heatmap"]), response)

    def available_versions(self, timeout_seconds: float | None = None) -> list[int]:
        """Return the available versions in ascending order; [] if the server has never loaded the model.

        Raises:
            ServingUnavailable, ServingRejected.
        """
        try:
            response = self._status(predict_pb2.ModelStatusRequest(model_spec=self._spec(None)), timeout_seconds)
        except ServingRejected as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                return []
            raise
        state = predict_pb2.ModelVersionStatus.AVAILABLE
        return sorted(status.version for status in response.model_version_status if status.state == state)

    def is_healthy(self) -> bool:
        """Return whether the server's gRPC health service reports SERVING."""
        try:
            return (
                self._health(health_pb2.HealthCheckRequest(), PROBE_SECONDS).status
                == health_pb2.HealthCheckResponse.SERVING
            )
        except (ServingUnavailable, ServingRejected):
            return False

    def is_ready(self) -> bool:
        """Return whether a version of the model is available."""
        try:
            return bool(self.available_versions(PROBE_SECONDS))
        except (ServingUnavailable, ServingRejected):
            return False

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, signature: str, photo: bytes, version: int | None) -> predict_pb2.PredictResponse:
        request = predict_pb2.PredictRequest(model_spec=self._spec(version))
        request.model_spec.signature_name = signature
        tensor = request.inputs["image_bytes"]
        tensor.dtype = STRING_DTYPE
        tensor.tensor_shape.dim.add(size=1)
        tensor.string_val.append(photo)
        return self._predict(request, None)

    def _read(
        self, read: Callable[[predict_pb2.PredictResponse], Answer], response: predict_pb2.PredictResponse
    ) -> Answer:
        """Return what `read` makes of the response; reject one that it cannot read."""
        try:
            return read(response)
        except ValueError as error:
            raise ServingRejected(
                f"The model served at {self.target} is broken or not a classifier: it returned {error}. Push a valid "
                "version, or roll back.",
                grpc.StatusCode.INTERNAL,
            ) from error

    def _spec(self, version: int | None) -> predict_pb2.ModelSpec:
        spec = predict_pb2.ModelSpec(name=self._model_name)
        if version is not None:
            spec.version.value = version
        return spec

    def _call(self, method: str, response: type[Response]) -> Callable[[message.Message, float | None], Response]:
        remote = self._channel.unary_unary(
            f"/{method}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=response.FromString,
        )

        def call(request: message.Message, timeout_seconds: float | None) -> Response:
            seconds = timeout_seconds or self._timeout_seconds
            try:
                return remote(request, timeout=seconds)
            except grpc.RpcError as error:
                raise self._error(error, seconds) from error

        return call

    def _error(self, error: Any, seconds: float) -> Exception:
        code, details = error.code(), " ".join((error.details() or "").split())  # TensorFlow's are multi-line
        if code in NEXT_ACTIONS:
            reason = f"The model server at {self.target} did not answer within {seconds:g} s: {code.name}, "
            return ServingUnavailable(f"{reason}{details.rstrip('.')}.", NEXT_ACTIONS[code])
        return ServingRejected(f"The model server at {self.target} refused the call: {code.name}, {details}", code)


def _prediction(response: predict_pb2.PredictResponse) -> Prediction:
    """Return the prediction in a response.

    Raises:
        ValueError: it is no classification of one photo; the message says what it is instead.
    """
    outputs = response.outputs
    scores = answers.scores(outputs)
    ranked = sorted(scores, key=lambda name: -scores[name])  # of equal scores, the first in the model's order
    return Prediction(
        ranked[0],
        scores[ranked[0]],
        scores,
        response.model_spec.version.value,
        answers.prediction_set(outputs["in_set"], list(scores), ranked) if "in_set" in outputs else None,
        answers.typicality(outputs["typicality"]) if "typicality" in outputs else None,
    )
