"""A light client of the served classifier: no TensorFlow, one channel for many threads, a deadline on every call.

As a program: python -m serving.client classify PHOTO...
"""

import argparse
import dataclasses
import json
import math
import pathlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self, TypeVar

import grpc
from google.protobuf import message
from grpc_health.v1 import health_pb2

from serving.protos import predict_pb2

MODEL_NAME = "pilah"
SIGNATURE = "serving_default"
STRING_DTYPE = 7  # DT_STRING in tensorflow/core/framework/types.proto
TIMEOUT_SECONDS = 10.0
PROBE_SECONDS = 1.0  # a question about the server itself must not wait for it
MAX_ATTEMPTS = 5  # the most that gRPC's retries allow
# Retried: UNAVAILABLE alone, which says that the call was not answered; first after about 0.2 s, then twice as long.
SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": MAX_ATTEMPTS,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
CHANNEL_OPTIONS = [
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),  # the model server is a neighbour
    ("grpc.keepalive_time_ms", 60_000),  # a dead connection is found before the next call needs it
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),  # gRPC's own 1 s to 2 min is long for a server that restarts
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]
NEXT_ACTIONS = {  # code -> what to do about it, where the same call may succeed later
    grpc.StatusCode.UNAVAILABLE: "Start it (make serve), or name another.",
    # Also what calls get that end between two attempts to reach a server that is not there.
    grpc.StatusCode.DEADLINE_EXCEEDED: "Give a busy one more time, or start one that is not there (make serve).",
}
Response = TypeVar("Response", bound=message.Message)


class ServingUnavailable(Exception):  # noqa: N818  # the state of the server, not of the call
    """The server was not reached, or not in time: the same call may succeed later."""


class ServingRejected(Exception):  # noqa: N818
    """The server refused this call, or its answer cannot be used; `code` is gRPC's."""

    def __init__(self, message: str, code: grpc.StatusCode):
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What the model says of one photo.

    `score` in [0, 1] is that of `class_name`, the highest; `scores` has every class, in the model's order, and adds up
    to 1.
    """

    class_name: str
    score: float
    scores: dict[str, float]
    model_version: int


class Client:
    """Calls to the server at `target` (HOST:PORT), from any number of threads.

    Args:
        timeout_seconds: deadline of each call, its retries included.
        root_certificates: PEM bytes to check a TLS server by; b"" takes the system's, None speaks without TLS.
    """

    def __init__(
        self,
        target: str = "localhost:8500",
        model_name: str = MODEL_NAME,
        timeout_seconds: float = TIMEOUT_SECONDS,
        root_certificates: bytes | None = None,
    ):
        self.target, self._model_name, self._timeout_seconds = target, model_name, timeout_seconds
        if root_certificates is None:
            self._channel = grpc.insecure_channel(target, CHANNEL_OPTIONS)
        else:
            credentials = grpc.ssl_channel_credentials(root_certificates or None)
            self._channel = grpc.secure_channel(target, credentials, CHANNEL_OPTIONS)
        self._predict = self._call("tensorflow.serving.PredictionService/Predict", predict_pb2.PredictResponse)
        self._status = self._call("tensorflow.serving.ModelService/GetModelStatus", predict_pb2.ModelStatusResponse)
        self._health = self._call("grpc.health.v1.Health/Check", health_pb2.HealthCheckResponse)

    def classify(self, photo: bytes, model_version: int | None = None) -> Prediction:
        """The class of one upright JPEG or PNG, by the newest version unless one is named.

        Raises:
            ServingUnavailable, ServingRejected.
        """
        request = predict_pb2.PredictRequest(model_spec=self._spec(model_version))
        request.model_spec.signature_name = SIGNATURE
        tensor = request.inputs["image_bytes"]
        tensor.dtype = STRING_DTYPE
        tensor.tensor_shape.dim.add(size=1)
        tensor.string_val.append(photo)
        response = self._predict(request, None)
        names = [name.decode() for name in response.outputs["class_names"].string_val]
        values = _floats(response.outputs["scores"])
        if not len(names) == len(set(names)) == len(values) > 0 or not all(map(math.isfinite, values)):
            raise ServingRejected(
                f"The model served at {self.target} is broken or no classifier: it answers {len(names)} class names "
                f"and the scores {list(values)}. Push a valid version, or roll back.",
                grpc.StatusCode.INTERNAL,
            )
        scores = dict(zip(names, values, strict=True))
        best = max(scores, key=scores.__getitem__)
        return Prediction(best, scores[best], scores, response.model_spec.version.value)

    def available_versions(self, timeout_seconds: float | None = None) -> list[int]:
        """The versions that answer now, ascending; none where the model is not there yet.

        Raises:
            ServingUnavailable, ServingRejected.
        """
        try:
            response = self._status(predict_pb2.ModelStatusRequest(model_spec=self._spec(None)), timeout_seconds)
        except ServingRejected as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                return []  # the server has never seen the model
            raise
        state = predict_pb2.ModelVersionStatus.AVAILABLE
        return sorted(one.version for one in response.model_version_status if one.state == state)

    def is_healthy(self) -> bool:
        """Whether a server is there and takes calls, by the standard health service."""
        try:
            return (
                self._health(health_pb2.HealthCheckRequest(), PROBE_SECONDS).status
                == health_pb2.HealthCheckResponse.SERVING
            )
        except (ServingUnavailable, ServingRejected):
            return False

    def is_ready(self) -> bool:
        """Whether a version of the model answers."""
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
        code, details = error.code(), " ".join((error.details() or "").split())  # TensorFlow's have several lines
        if code in NEXT_ACTIONS:
            return ServingUnavailable(
                f"The model server at {self.target} did not answer within {seconds:g} s: {code.name}, {details}. "
                f"{NEXT_ACTIONS[code]}"
            )
        return ServingRejected(f"The model server at {self.target} refused the call: {code.name}, {details}", code)


def _floats(tensor: predict_pb2.Tensor) -> Sequence[float]:
    """The values of a float32 tensor in either of the fields that servers write them to."""
    if tensor.tensor_content:
        return memoryview(tensor.tensor_content).cast("f").tolist()
    return tensor.float_val


def _classify_files(client: Client, photos: Sequence[pathlib.Path]) -> Iterator[tuple[pathlib.Path, Prediction | str]]:
    """Yield each photo with its prediction, or with the reason why it has none."""
    from components.data import images  # here, so that the class Client needs neither Pillow nor components

    for photo in photos:
        try:
            plain, _ = images.plain_bytes(photo.read_bytes(), decode_all=True)
            yield photo, client.classify(plain)
        except (OSError, images.UnusablePhotoError, ServingRejected) as error:
            yield photo, str(error)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where every photo was classified, 1 where one was not or the server is away."""
    parser = argparse.ArgumentParser("python -m serving.client", description="Ask a model server what photos show.")
    commands = parser.add_subparsers(dest="command", required=True)
    classify = commands.add_parser("classify", help="print the class of each photo")
    classify.add_argument(
        "photos", nargs="+", type=pathlib.Path, metavar="PHOTO", help="Photo of any format that a run reads."
    )
    classify.add_argument("--target", default="localhost:8500", metavar="HOST:PORT")
    classify.add_argument("--model_name", default=MODEL_NAME)
    classify.add_argument("--timeout", type=float, default=TIMEOUT_SECONDS, metavar="SECONDS")
    classify.add_argument("--json", action="store_true", help="a line of JSON a photo instead of a table")
    given = parser.parse_args(arguments)
    failed = False
    width = max(len(str(photo)) for photo in given.photos)
    try:
        with Client(given.target, given.model_name, given.timeout) as client:
            for photo, result in _classify_files(client, given.photos):
                failed |= isinstance(result, str)
                print(_as_json(photo, result) if given.json else _as_row(photo, result, width), flush=True)
    except ServingUnavailable as error:
        print(f"serving.client: {error}", file=sys.stderr)
        return 1
    return int(failed)


def _as_json(photo: pathlib.Path, result: Prediction | str) -> str:
    values = {"error": result} if isinstance(result, str) else dataclasses.asdict(result)
    return json.dumps({"photo": str(photo), **values})


def _as_row(photo: pathlib.Path, result: Prediction | str, width: int) -> str:
    if isinstance(result, str):
        return f"{photo!s:{width}}  not classified: {result}"
    return f"{photo!s:{width}}  {result.class_name:12} {result.score:6.1%}  version {result.model_version}"


if __name__ == "__main__":
    sys.exit(main())
