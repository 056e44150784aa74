"""The conformance table over gRPC and REST, for the embedded server with and without batching.

PILAH_TARGET=HOST:GRPC_PORT,HOST:REST_PORT runs it for a TensorFlow Serving that was started with the models and flags
of conformance_models.py. PILAH_TARGET_MODELS is the folder of the models on that server, /models by default.
"""

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import conformance_both
import conformance_calls as calls
import conformance_grpc
import conformance_models
import conformance_rest
import conformance_server
import grpc
import pytest
from tensorflow_serving.apis import model_management_pb2, prediction_service_pb2_grpc

TARGET = os.environ.get("PILAH_TARGET")
SERVERS = ["target"] if TARGET else ["plain", "batching"]
EVENTUALLY_SECONDS = 20
Code, State = calls.Code, calls.State
Server = conformance_server.Server


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """Yield name -> server for each name of SERVERS; embedded servers start in parallel."""
    if TARGET:
        grpc_target, rest = TARGET.split(",")
        base_path = os.environ.get("PILAH_TARGET_MODELS", conformance_models.CONTAINER_BASE_PATH)
        with grpc.insecure_channel(grpc_target) as channel:
            server = Server(channel, rest, base_path, batches=False)
            yield {"target": dataclasses.replace(server, batches=refuses_scalars(server))}
        return
    folder = tmp_path_factory.mktemp("conformance")
    config_file = conformance_models.write(folder, str(folder))
    started = {
        name: conformance_server.start(config_file, folder / f"{name}.log", name == "batching") for name in SERVERS
    }
    try:
        with contextlib.ExitStack() as channels:
            yield {
                name: Server(
                    channels.enter_context(embedded.until_serving()),
                    f"localhost:{embedded.rest_port}",
                    str(folder),
                    batches=name == "batching",
                )
                for name, embedded in started.items()
            }
    finally:
        for embedded in started.values():
            embedded.process.terminate()
        for embedded in started.values():
            embedded.process.wait(60)


def refuses_scalars(server: Server) -> bool:
    """Return whether the server refuses scalars, as it does with batching."""
    try:
        server.call(calls.predict("two_scalars", conformance_both.SCALARS))
    except grpc.RpcError as error:
        return error.code() is Code.INVALID_ARGUMENT
    return False


@pytest.fixture
def server(servers: dict[str, Server], request: pytest.FixtureRequest) -> Server:
    return servers[request.param]


@pytest.fixture
def row(server: Server, request: pytest.FixtureRequest) -> calls.Row:
    """Return the row with what this server is expected to answer."""
    if TARGET and request.param.embedded_only:
        pytest.skip("TensorFlow Serving answers this differently from the embedded server")
    if not TARGET and request.param.not_embedded:
        pytest.skip("the embedded server does not accept this (docs/serving.md)")
    return request.param.for_server(server.batches)


def every_row(rows: list[calls.Row]) -> pytest.MarkDecorator:
    cases = [pytest.param(name, row, id=f"{name}-{row.id}") for name in SERVERS for row in rows]
    return pytest.mark.parametrize(("server", "row"), cases, indirect=True)


@every_row(conformance_grpc.ROWS)
def test_grpc_call_gets_the_answer_of_tensorflow_serving(server, row):
    request = row.request(server.base_path) if callable(row.request) else row.request
    try:
        code, body, message = Code.OK, server.call(request), ""
    except grpc.RpcError as error:
        code, body, message = error.code(), None, error.details()
    finally:
        if isinstance(request, model_management_pb2.ReloadConfigRequest):
            server.reload(conformance_models.config(server.base_path))
    assert (code, message) == (row.status, message)
    assert row.message in message
    if code is Code.OK:
        assert (row.extract(body) if row.extract else body) == row.answer


@every_row(conformance_rest.ROWS)
def test_rest_call_gets_the_answer_of_tensorflow_serving(server, row):
    status, headers, content = server.fetch(row.request)
    assert (status, content) == (row.status, content)
    if row.answer is conformance_rest.ANYTHING:
        return
    assert headers["Content-Type"] == "application/json"
    body = json.loads(content.decode("utf-8", "surrogateescape"))
    if row.answer is None:
        assert list(body) == ["error"]
        assert row.message in body["error"]
    else:  # compared as text, which tells 1 from 1.0 and equates NaN with NaN
        assert sorted_json(row.extract(body) if row.extract else body) == sorted_json(row.answer)


def sorted_json(body: Any) -> str:
    return json.dumps(body, sort_keys=True)


@pytest.fixture
def serve_extra(server: Server) -> Iterator[Callable[..., None]]:
    """Yield serve_extra(versions, **labels), which serves the model "scale" again as "extra" until the test ends."""
    initial = conformance_models.config(server.base_path)

    def serve(versions: list[int], **labels: int) -> None:
        config = calls.Config()
        config.CopyFrom(initial)
        extra = config.model_config_list.config.add(
            name="extra", base_path=f"{server.base_path}/scale", model_platform="tensorflow", version_labels=labels
        )
        extra.model_version_policy.specific.versions.extend(versions)
        server.reload(config)

    yield serve
    server.reload(initial)
    eventually(lambda: server.answering(), Code.NOT_FOUND)


def eventually(observe: Callable[[], Any], expected: Any) -> None:
    """Wait until `observe()` returns `expected`.

    TensorFlow Serving answers a reload before it has loaded or unloaded all versions of a model.
    """
    deadline = time.monotonic() + EVENTUALLY_SECONDS
    while (observed := observe()) != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    assert observed == expected


every_server = pytest.mark.parametrize("server", SERVERS, indirect=True)


@every_server
def test_call_without_a_deadline_is_answered(server):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(server.channel)
    call = stub.Predict.future(calls.predict("scale", conformance_both.X))
    assert call.result(conformance_server.CALL_SECONDS).model_spec.version.value == 3


@every_server
def test_model_added_by_a_reload_answers_when_the_call_returns(server, serve_extra):
    assert server.answering() is Code.NOT_FOUND
    serve_extra([2])
    assert server.answering() == 2


@every_server
def test_model_left_out_of_a_reload_is_unloaded_and_its_versions_end(server, serve_extra):
    serve_extra([1, 2])
    eventually(lambda: server.answering(version=1), 1)
    server.reload(conformance_models.config(server.base_path))
    eventually(lambda: server.answering(), Code.NOT_FOUND)
    eventually(lambda: {server.states("extra")[version] for version in (1, 2)}, {State.END})


@every_server
def test_new_versions_in_a_reload_answer_and_the_previous_ones_end(server, serve_extra):
    serve_extra([3])
    serve_extra([1])
    eventually(lambda: server.answering(), 1)
    eventually(lambda: (server.states("extra")[1], server.states("extra")[3]), (State.AVAILABLE, State.END))


@every_server
def test_label_moved_by_a_reload_selects_its_new_version(server, serve_extra):
    serve_extra([1, 3], stable=1)
    eventually(lambda: (server.answering(version=1), server.answering(version=3)), (1, 3))
    assert server.answering(label="stable") == 1
    serve_extra([1, 3], stable=3)
    assert server.answering(label="stable") == 3


@every_server
def test_label_moved_to_a_missing_version_is_refused_and_unchanged(server, serve_extra):
    serve_extra([1], stable=1)
    with pytest.raises(grpc.RpcError) as refused:
        serve_extra([1], stable=7)
    assert refused.value.code() is Code.FAILED_PRECONDITION
    assert "Request to assign label to version 7 of model extra, which is not currently" in refused.value.details()
    assert server.answering(label="stable") == 1


@every_server
def test_new_label_may_name_a_missing_version(server, serve_extra):
    serve_extra([1])
    serve_extra([1], soon=2)
    assert server.answering(label="soon") is Code.NOT_FOUND
    assert server.answering() == 1
