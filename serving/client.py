"""Client of the served classifier, without TensorFlow: one channel for all threads, a deadline for each call.

On the command line: python -m serving.client classify PHOTO...
"""

import argparse
import dataclasses
import enum
import json
import os
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
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
MAX_TIMEOUT_SECONDS = 86_400.0
ANSWER_WIDTH = 20  # characters of the answer's column
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


def _classify_files(client: Client, photos: Sequence[pathlib.Path]) -> Iterator[tuple[pathlib.Path, Prediction | str]]:
    """Yield each photo with its prediction, or with an error message."""
    from components.data import images  # imported late, so that Client needs neither Pillow nor components

    for photo in photos:
        try:
            plain, _ = images.plain_bytes(photo.read_bytes(), decode_all=True)
            yield photo, client.classify(plain)
        except (OSError, images.UnusablePhotoError, ServingRejected) as error:
            yield photo, str(error)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if every photo was classified, else 1."""
    args = _parse(arguments)
    try:
        return _classify(args)
    except ServingUnavailable as error:
        print(f"serving.client: {channel.http_error(args.target) or error}", file=sys.stderr)
    except BrokenPipeError:  # the program that reads the output, such as head, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # otherwise Python fails again at exit
    except OSError as error:  # errors of a photo are printed with that photo
        print(f"serving.client: the output cannot be written: {error.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    from components.base import version  # imported late, so that importing this module loads no components

    parser = argparse.ArgumentParser("python -m serving.client", description="Classify photos with a model server.")
    parser.add_argument("--version", action="version", version=f"pilah {version.VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    classify = commands.add_parser("classify", help="Print the class of each photo.")
    classify.add_argument(
        "photos", nargs="+", type=pathlib.Path, metavar="PHOTO", help="Photo in any format that a run accepts."
    )
    classify.add_argument(
        "--target", default="localhost:8500", metavar="HOST:PORT", help="Address of the model server's gRPC port."
    )
    classify.add_argument("--model_name", default=MODEL_NAME, help="Name of the model on the server.")
    classify.add_argument(
        "--timeout", type=float, default=TIMEOUT_SECONDS, metavar="SECONDS", help="Deadline of the call for each photo."
    )
    classify.add_argument("--json", action="store_true", help="One line of JSON per photo instead of a table.")
    args = parser.parse_args(arguments)
    try:
        channel.check_address(args.target)
    except ValueError as error:
        parser.error(f"argument --target: {error}")
    if not 0 < args.timeout <= MAX_TIMEOUT_SECONDS:  # false for NaN
        parser.error(f"argument --timeout: must be above 0 and at most {MAX_TIMEOUT_SECONDS:g} (got {args.timeout:g}).")
    return args


def _classify(args: argparse.Namespace) -> int:
    failed = False
    width = max(len(str(photo)) for photo in args.photos)
    with Client(args.target, args.model_name, args.timeout) as client:
        for photo, result in _classify_files(client, args.photos):
            failed |= isinstance(result, str)
            print(_as_json(photo, result) if args.json else _as_row(photo, result, width), flush=True)
    return int(failed)


def _as_json(photo: pathlib.Path, result: Prediction | str) -> str:
    values: Mapping[str, Any] = {"error": result}
    if isinstance(result, Prediction):
        values = {**dataclasses.asdict(result), "certainty": result.certainty}
    return json.dumps({"photo": str(photo), **values})


def _as_row(photo: pathlib.Path, result: Prediction | str, width: int) -> str:
    if isinstance(result, str):
        return f"{photo!s:{width}}  not classified: {result}"
    from components.base import rounding  # imported late, as above

    sign, score = rounding.limit(result.score, 3)
    percentage = f"{sign}{score:.1%}"
    return f"{photo!s:{width}}  {_answer(result):{ANSWER_WIDTH}} {percentage:>6}  version {result.model_version}"


def _answer(result: Prediction) -> str:
    """Return the classes of the prediction set: "glass", "glass or plastic"; or that the photo is untypical."""
    if result.certainty is Certainty.UNTYPICAL:
        return f"untypical ({result.class_name}?)"
    *others, last = result.prediction_set or [result.class_name]
    return f"{', '.join(others)} or {last}" if others else last


if __name__ == "__main__":
    sys.exit(main())
