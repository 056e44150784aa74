"""A server under test of the conformance table, and the start of an embedded one."""

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
START_SECONDS = 120  # importing TensorFlow takes 20 s if its modules are not compiled yet
CALL_SECONDS = 20


@dataclasses.dataclass(frozen=True)
class Server:
    """A server under test, embedded or not.

    Args:
        rest: HOST:PORT of its REST server.
        base_path: folder of the models on its machine.
        batches: whether it was started with batching.
    """

    channel: grpc.Channel
    rest: str
    base_path: str
    batches: bool

    def call(self, request: Any) -> Any:
        """Return the response to `request`, from the method for its type of message."""
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
        """Return the HTTP status, headers and body."""
        url = f"http://{self.rest}{request.path}"
        headers = {"Content-Encoding": request.encoding} if request.encoding else {}
        http_request = urllib.request.Request(url, request.body, headers, method=request.method)
        try:
            with urllib.request.urlopen(http_request, timeout=CALL_SECONDS) as response:
                return response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()

    def reload(self, config: calls.Config) -> None:
        self.call(model_management_pb2.ReloadConfigRequest(config=config))

    def states(self, model: str) -> dict[int, int]:
        """Return version -> state of every version of a model since the server's start."""
        response = self.call(calls.model_status(model))
        return {status.version: status.state for status in response.model_version_status}

    def answering(self, **spec: Any) -> int | grpc.StatusCode:
        """Return the version of the model "extra" that answers, or the status code of the error."""
        try:
            return self.call(calls.predict("extra", {"x": [1.0]}, **spec)).model_spec.version.value
        except grpc.RpcError as error:
            return error.code()


@dataclasses.dataclass(frozen=True)
class Embedded:
    """`python -m serving` in a separate process."""

    process: subprocess.Popen[bytes]
    port: int
    rest_port: int
    log: pathlib.Path

    def until_serving(self) -> grpc.Channel:
        """Wait for the health service to report SERVING; return a channel, or fail the test with the log."""
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
    """Start an embedded server on free ports; return it while it still loads."""
    with socket.socket() as grpc_socket, socket.socket() as rest_socket:
        grpc_socket.bind(("", 0))
        rest_socket.bind(("", 0))
        port, rest_port = grpc_socket.getsockname()[1], rest_socket.getsockname()[1]
    flags = ["--model_config_file", str(config_file), "--port", str(port), "--rest_api_port", str(rest_port)]
    flags.append("--allow_reload_config")
    command = [sys.executable, "-m", "serving", *flags, *(["--enable_batching"] if batching else [])]
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    return Embedded(process, port, rest_port, log)
