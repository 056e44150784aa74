"""A server that answers the conformance table: calls to it, and how an embedded one is started."""

import dataclasses
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import conformance_calls as calls
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

ROOT = pathlib.Path(__file__).parents[2]
START_SECONDS = 120  # TensorFlow alone takes 20 to be imported where nothing is compiled yet
CALL_SECONDS = 20


@dataclasses.dataclass(frozen=True)
class Server:
    """A server under test, wherever it runs.

    Args:
        rest: its host and port.
        base_path: where it finds the models.
        batches: whether it was started with batching.
    """

    channel: grpc.Channel
    rest: str
    base_path: str
    batches: bool

    def call(self, request: Any) -> Any:
        """The response to `request`, by the method that takes such a message."""
        prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        models = model_service_pb2_grpc.ModelServiceStub(self.channel)
        methods = {
            predict_pb2.PredictRequest: prediction.Predict,
            get_model_metadata_pb2.GetModelMetadataRequest: prediction.GetModelMetadata,
            classification_pb2.ClassificationRequest: prediction.Classify,
            regression_pb2.RegressionRequest: prediction.Regress,
            inference_pb2.MultiInferenceRequest: prediction.MultiInference,
            get_model_status_pb2.GetModelStatusRequest: models.GetModelStatus,
            model_management_pb2.ReloadConfigRequest: models.HandleReloadConfigRequest,
            health_pb2.HealthCheckRequest: health_pb2_grpc.HealthStub(self.channel).Check,
        }
        return methods[type(request)](request, timeout=CALL_SECONDS)

    def fetch(self, request: calls.Http) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body."""
        url = f"http://{self.rest}{request.path}"
        headers = {"Content-Encoding": request.encoding} if request.encoding else {}
        asked = urllib.request.Request(url, request.body, headers, method=request.method)
        try:
            with urllib.request.urlopen(asked, timeout=CALL_SECONDS) as response:
                return response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()

    def reload(self, config: calls.Config) -> None:
        self.call(model_management_pb2.ReloadConfigRequest(config=config))

    def states(self, model: str) -> dict[int, int]:
        """Each version that the server has ever seen of a model, with its state."""
        response = self.call(calls.model_status(model))
        return {one.version: one.state for one in response.model_version_status}

    def answering(self, **spec: Any) -> int | grpc.StatusCode:
        """The version of the model "extra" that answers, or why none does."""
        try:
            return self.call(calls.predict("extra", {"x": [1.0]}, **spec)).model_spec.version.value
        except grpc.RpcError as error:
            return error.code()


@dataclasses.dataclass(frozen=True)
class Embedded:
    """`python -m serving` in a process of its own."""

    process: subprocess.Popen[bytes]
    port: int
    rest_port: int
    log: pathlib.Path

    def until_serving(self) -> grpc.Channel:
        """A channel to it once its health service says so; the test fails with its log where it does not in time."""
        channel = grpc.insecure_channel(f"localhost:{self.port}", [("grpc.max_reconnect_backoff_ms", 200)])
        health = health_pb2_grpc.HealthStub(channel)
        deadline = time.monotonic() + START_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                answer = health.Check(health_pb2.HealthCheckRequest(), timeout=1)
            except grpc.RpcError:
                time.sleep(0.1)
                continue
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return channel
        return pytest.fail(
            f"the server did not start within {START_SECONDS} s: exit status {self.process.poll()}, and\n"
            f"{self.log.read_text(errors='replace')}"
        )


def start(config_file: pathlib.Path, log: pathlib.Path, batching: bool) -> Embedded:
    """An embedded server on free ports, still loading."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("", 0))
        other.bind(("", 0))
        port, rest_port = one.getsockname()[1], other.getsockname()[1]
    flags = ["--model_config_file", str(config_file), "--port", str(port), "--rest_api_port", str(rest_port)]
    flags.append("--allow_reload_config")
    command = [sys.executable, "-m", "serving", *flags, *(["--enable_batching"] if batching else [])]
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    return Embedded(process, port, rest_port, log)
