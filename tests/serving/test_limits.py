"""Requests beyond the number of predictions at once are refused, and other calls are answered meanwhile."""

import concurrent.futures
import contextlib
import http.client
import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving.embedded import flags, grpc_server, limits, rest_server, status, versions

SECONDS = 20
PREDICT = "/v1/models/m:predict"


class BusyModels(versions.Models):
    """Models whose predictions last until `done`, and then fail because there is no model."""

    def __init__(self):
        super().__init__(None)
        self.started, self.done = threading.Semaphore(0), threading.Event()

    @contextlib.contextmanager
    def handle(self, spec):
        self.started.release()
        assert self.done.wait(SECONDS)
        raise status.StatusError(status.Code.NOT_FOUND, "no model")
        yield


@pytest.fixture
def models():
    busy = BusyModels()
    yield busy
    busy.done.set()


def post(port):
    """Return status, Retry-After and body of a prediction over REST."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    with contextlib.closing(connection):
        connection.request("POST", PREDICT, b'{"instances": [1]}')
        response = connection.getresponse()
        return response.status, response.headers["Retry-After"], response.read()


def test_prediction_after_the_end_of_another_is_within_the_limit():
    limit = limits.ConcurrencyLimit(1)
    for _ in range(2):
        with limit.acquire(), pytest.raises(status.StatusError) as refused, limit.acquire():
            pass
        assert refused.value.code is status.Code.RESOURCE_EXHAUSTED


def test_rest_request_beyond_the_limit_is_refused_with_a_time_to_come_back(models):
    server = rest_server.RestServer(models, "127.0.0.1", 0, None, threads=2)
    port = server.start()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = [pool.submit(post, port) for _ in range(2)]
        for _ in running:
            assert models.started.acquire(timeout=SECONDS)
        code, retry_after, body = post(port)
        assert (code, retry_after) == (429, "1") and b"2 predictions are in progress" in body
        models.done.set()
        assert [each.result()[0] for each in running] == [404, 404]
    server.drain(1)


@pytest.fixture
def channel(models, tmp_path):
    server = grpc_server.GrpcServer(models, flags.parse([f"--model_base_path={tmp_path}", "--grpc_max_threads=2"]))
    with grpc.insecure_channel(f"127.0.0.1:{server.start(0)}") as open_channel:
        yield open_channel
        models.done.set()
    server.drain(1)


def test_grpc_call_beyond_the_limit_is_refused_and_health_is_answered(models, channel):
    predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    running = [predict.future(request, timeout=SECONDS) for _ in range(2)]
    for _ in running:
        assert models.started.acquire(timeout=SECONDS)
    refused = [predict.future(request, timeout=SECONDS) for _ in range(500)]
    codes = {call.code() for call in refused}
    assert codes == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    check = health_pb2_grpc.HealthStub(channel).Check
    assert check(health_pb2.HealthCheckRequest(), timeout=SECONDS).status == health_pb2.HealthCheckResponse.SERVING
    models.done.set()
    assert [call.code() for call in running] == [grpc.StatusCode.NOT_FOUND] * 2
