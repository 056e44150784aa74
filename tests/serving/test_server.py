import concurrent.futures
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import grpc
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_service_pb2_grpc

pytest_plugins = ["forked_commands"]
REPOSITORY = pathlib.Path(__file__).parents[2]
GIVE_UP_SECONDS = 120.0  # so that a defect fails a test instead of blocking it
METRICS_PATH = "/metrics/of/the/test"
SLOW_ROUNDS = 100_000  # takes 1 to 2 seconds; the matrices are too small to use more cores


class Rounds(tf.Module):
    """A model that multiplies two matrices in each round, and returns its version."""

    def __init__(self, version):
        super().__init__()
        self._version = version

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "rounds"), tf.TensorSpec([None], tf.string, "begun")])
    def serve(self, rounds, begun):
        """Write the file `begun`, compute the rounds, and return the version."""
        with tf.control_dependencies([tf.io.write_file(begun[0], "")]):
            start = tf.eye(48) * tf.cast(rounds[0] > 0, tf.float32)
        _, product = tf.while_loop(
            lambda done, _: done < rounds[0],
            lambda done, product: (done + 1, tf.linalg.matmul(product, start)),
            (0, start),
        )
        # the product has only ones and zeros; the version depends on it, so TensorFlow must compute it
        return {"version": tf.fill(tf.shape(rounds), tf.cast(self._version * product[0, 0], tf.int64))}


def save(path, version=1):
    tf.saved_model.save(module := Rounds(version), str(path), signatures=module.serve)
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Return the folder of a model with one version."""
    folder = tmp_path_factory.mktemp("served") / "m"
    save(folder / "1")
    return folder


@pytest.fixture(scope="module")
def changing(tmp_path_factory):
    """Return the folder of a model with one version, to which a test pushes new ones."""
    folder = tmp_path_factory.mktemp("changing") / "changing"
    save(folder / "1")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory, servers, base, changing):
    """Return a server that the tests share, with two models and metrics."""
    configs = tmp_path_factory.mktemp("config")
    (configs / "models").write_text(
        "model_config_list {"
        f'config {{ name: "m" base_path: "{base}" model_platform: "tensorflow" }}'
        f'config {{ name: "changing" base_path: "{changing}" model_platform: "tensorflow" }}'
        "}"
    )
    (configs / "monitoring").write_text(f'prometheus_config {{ enable: true path: "{METRICS_PATH}" }}')
    flags = [f"--model_config_file={configs / 'models'}", f"--monitoring_config_file={configs / 'monitoring'}"]
    shared = Server(*flags, "--file_system_poll_wait_seconds=0.1")
    shared.start(servers)
    return shared


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server in a fork of the process `servers`, with free ports.

    Attributes:
        command: its process.
    """

    def __init__(self, *flags):
        self.port, self.rest_api_port = free_port(), free_port()
        self._flags = [f"--port={self.port}", f"--rest_api_port={self.rest_api_port}", *flags]

    def start(self, servers):
        """Start the server, also after it was killed, and wait until it listens."""
        self.command = servers.start(*self._flags, program="serving")
        wait_until_listening(self.rest_api_port, lambda: self.command.is_running, self.command.log)


def wait_until_listening(rest_api_port, is_running, log_path):
    """Wait until a server listens on its REST port, which it opens last."""
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while not can_connect(rest_api_port):
        assert is_running() and time.monotonic() < give_up, log_path.read_text()
        time.sleep(0.05)


class Process:
    """`python -m serving` in a separate process, with free ports."""

    def __init__(self, log_path, *flags):
        self.log_path, self.port, self.rest_api_port = log_path, free_port(), free_port()
        ports = [f"--port={self.port}", f"--rest_api_port={self.rest_api_port}"]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "serving", *ports, *flags], cwd=REPOSITORY, stdout=log, stderr=log
            )

    def wait(self):
        """Wait until the process ends; return its exit code and the lines of its log."""
        return self.process.wait(GIVE_UP_SECONDS), self.log_path.read_text().splitlines()


@contextlib.contextmanager
def started(log_path, *flags):
    running = Process(log_path, *flags)
    try:
        wait_until_listening(running.rest_api_port, lambda: running.process.poll() is None, log_path)
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def model_flags(base):
    return "--model_name=m", f"--model_base_path={base}"


def can_connect(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.1):
        return True
    return False


@contextlib.contextmanager
def connected(server):
    """Yield a channel that does not share its connection with other channels of this process."""
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield channel


def predict(channel, rounds=1, begun=os.devnull, name="m"):
    """Return the version that answered, according to the response and to the model's output."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.inputs["rounds"].CopyFrom(tf.make_tensor_proto([rounds], tf.int32))
    request.inputs["begun"].CopyFrom(tf.make_tensor_proto([str(begun)]))
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    response = stub.Predict(request, timeout=GIVE_UP_SECONDS)
    return response.model_spec.version.value, int(tf.make_ndarray(response.outputs["version"])[0])


def predict_by_rest(server, rounds=1, begun=os.devnull):
    url = f"http://127.0.0.1:{server.rest_api_port}/v1/models/m:predict"
    body = json.dumps({"instances": [{"rounds": rounds, "begun": str(begun)}]}).encode()
    with urllib.request.urlopen(url, body, timeout=GIVE_UP_SECONDS) as response:
        return json.load(response)["predictions"]


def wait_until(condition):
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while not condition():
        assert time.monotonic() < give_up, "the condition was not met in time"
        time.sleep(0.01)


def fetch(server, path=METRICS_PATH):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.rest_api_port}{path}", timeout=GIVE_UP_SECONDS) as response:
        return response.read().decode()


def metric_values(server, name):
    """Return labels -> value of each line of a metric."""
    lines = [line for line in fetch(server).splitlines() if line.startswith(name + "{")]
    return {labels: float(value) for labels, _, value in (line[len(name) :].rpartition(" ") for line in lines)}


def test_server_answers_over_grpc_and_rest(server):
    with connected(server) as channel:
        assert predict(channel) == (1, 1)
    assert predict_by_rest(server) == [1]


def test_health_service_reports_serving(server):
    with connected(server) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=GIVE_UP_SECONDS)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_metrics_page_counts_requests_by_model_and_status(server):
    before = metric_values(server, ":tensorflow:serving:request_count")
    with connected(server) as channel:
        for _ in range(3):
            predict(channel)
    predict_by_rest(server)
    with pytest.raises(urllib.error.HTTPError):
        predict_by_rest(server, rounds="many")
    after = metric_values(server, ":tensorflow:serving:request_count")
    ok, refused = '{model_name="m",status="OK"}', '{model_name="m",status="INVALID_ARGUMENT"}'
    assert after[ok] - before.get(ok, 0) == 4
    assert after[refused] - before.get(refused, 0) == 1
    times = metric_values(server, ":tensorflow:serving:request_latency_count")
    assert times['{API="Predict",entrypoint="REST",model_name="m"}'] >= 2


def test_unknown_model_names_share_one_metric_label_and_cannot_forge_log_lines(server):
    bad_label, forged = model_pb2.ModelSpec(name="unlisted1", version_label="x"), "unlisted2\nGRPC Predict m OK"
    with connected(server) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for spec in (bad_label, model_pb2.ModelSpec(name=forged)):
            with pytest.raises(grpc.RpcError):
                stub.Predict(predict_pb2.PredictRequest(model_spec=spec), timeout=GIVE_UP_SECONDS)
    for call in ("predict", "classify"):  # refused for the body, and as not implemented
        url = f"http://127.0.0.1:{server.rest_api_port}/v1/models/unlisted3:{call}"
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(url, b"no JSON", timeout=GIVE_UP_SECONDS)
    assert "unlisted" not in fetch(server)
    counts = metric_values(server, ":tensorflow:serving:request_count")
    assert '{model_name="(unknown)",status="INVALID_ARGUMENT"}' in counts
    assert "\nGRPC Predict m OK" not in server.command.printed


def test_server_listens_on_localhost_by_default(server):
    for port in (server.port, server.rest_api_port):
        with socket.socket() as other_address:
            other_address.bind(("127.0.0.2", port))  # fails if the server listens on all addresses


def test_metrics_page_is_served_only_at_its_path(server):
    for path in ("/monitoring/prometheus/metrics", METRICS_PATH + "/more", "/"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            fetch(server, path)
        assert caught.value.code == 404


@pytest.mark.parametrize("flag", ["port", "rest_api_port"])
def test_port_in_use_prints_one_line_before_tensorflow_is_imported(base, flag):
    code = "import sys, atexit; atexit.register(lambda: print('tensorflow' in sys.modules)); "
    code += "from serving.__main__ import main; main()"
    with socket.socket() as used_port:
        used_port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as TensorFlow Serving opens its ports
        used_port.bind(("0.0.0.0", 0))
        used_port.listen()
        port = used_port.getsockname()[1]
        flags = [*model_flags(base), f"--port={free_port()}", f"--{flag}={port}"]
        command = [sys.executable, "-c", code, *flags]
        completed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=GIVE_UP_SECONDS)
    error = f"serving: Failed to bind to address 127.0.0.1:{port}: [Errno 98] Address already in use\n"
    assert (completed.returncode, completed.stderr, completed.stdout) == (1, error, "False\n")


def test_folder_without_versions_prints_one_line_and_exits_with_1(servers, tmp_path):
    (tmp_path / "not-a-version").mkdir()
    exit_code, command = servers.run(*model_flags(tmp_path), f"--port={free_port()}", program="serving")
    assert exit_code == 1
    (line,) = command.printed.splitlines()
    assert line.startswith("serving: ") and str(tmp_path) in line


def test_restarted_server_answers_at_the_same_ports(server, servers):
    with connected(server) as channel:
        assert predict(channel) == (1, 1)
        server.command.kill()
        try:
            with pytest.raises(grpc.RpcError) as failed:
                predict(channel)
        finally:  # other tests share the server
            server.start(servers)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        assert predict_by_rest(server) == [1]
        assert retry(lambda: predict(channel)) == (1, 1), "the old channel reconnects"


def retry(call):
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while True:
        try:
            return call()
        except grpc.RpcError:
            assert time.monotonic() < give_up
            time.sleep(0.05)


def test_sigterm_finishes_current_calls_refuses_new_ones_and_exits_with_0(base, tmp_path):
    with started(tmp_path / "log", *model_flags(base), "--enable_batching") as server, connected(server) as channel:
        predict(channel)
        predict_by_rest(server)
        with pytest.raises(urllib.error.HTTPError) as caught:
            fetch(server, "/monitoring/prometheus/metrics")  # started without a monitoring configuration
        assert caught.value.code == 404
        with concurrent.futures.ThreadPoolExecutor(2) as callers:
            slow = [callers.submit(predict, channel, SLOW_ROUNDS, tmp_path / "by-grpc")]
            wait_until((tmp_path / "by-grpc").exists)
            slow += [callers.submit(predict_by_rest, server, 2 * SLOW_ROUNDS, tmp_path / "by-rest")]
            wait_until((tmp_path / "by-rest").exists)
            server.process.send_signal(signal.SIGINT)  # as from Ctrl-C; its parent process then sends SIGTERM
            server.process.terminate()
            while can_connect(server.port) or can_connect(server.rest_api_port):
                assert not any(call.done() for call in slow), "the server accepts calls while it drains"
            with pytest.raises(grpc.RpcError) as refused:
                predict(channel)  # over a connection that was open before
            still_running = not any(call.done() for call in slow)
            answers = [call.result() for call in slow]
        while server.process.poll() is None:  # further signals during the exit have no effect
            server.process.terminate()
            time.sleep(0.01)
        exit_status, lines = server.wait()
    assert answers == [(1, 1), [1]]
    assert still_running
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert exit_status == 0
    assert "Traceback" not in "\n".join(lines)


def test_new_versions_under_load_all_answer_and_no_request_fails(server, changing, tmp_path):
    newest, callers = 4, 4
    for version in range(2, newest + 1):
        save(tmp_path / str(version), version)
    ended, seen = threading.Event(), set()

    def call_without_pause():
        """Return the number of answered requests; raise the first error."""
        answered = 0
        with connected(server) as channel:
            while not ended.is_set():
                reported, computed = predict(channel, name="changing")
                assert reported == computed
                seen.add(reported)
                answered += 1
        return answered

    with concurrent.futures.ThreadPoolExecutor(callers) as pool:
        calls = [pool.submit(call_without_pause) for _ in range(callers)]
        try:
            for version in range(1, newest + 1):
                if version > 1:
                    (tmp_path / str(version)).rename(changing / str(version))
                give_up = time.monotonic() + GIVE_UP_SECONDS
                while version not in seen and not any(call.done() for call in calls) and time.monotonic() < give_up:
                    time.sleep(0.01)
        finally:
            ended.set()
        assert min(call.result() for call in calls) > newest
    assert seen == set(range(1, newest + 1))
