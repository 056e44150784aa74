"""The flags and the log of the gRPC server, run in this process without a model."""

import contextlib
import logging

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2, model_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2

from serving.embedded import flags, grpc_server, versions

CALL_SECONDS = 5


@contextlib.contextmanager
def started(tmp_path, *arguments):
    """Yield a channel to a server that was started with `arguments`."""
    models = versions.Models(None)
    server = grpc_server.GrpcServer(models, flags.parse([f"--model_base_path={tmp_path}", *arguments]))
    port = server.start(0)
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        server.drain(0)


@pytest.mark.parametrize("config", ["models", "none"])
def test_reload_request_is_refused_by_default(tmp_path, config):
    request = model_management_pb2.ReloadConfigRequest()
    if config == "models":
        request.config.model_config_list.config.add(name="m", base_path="/", model_platform="tensorflow")
    else:
        request.config.model_config_list.CopyFrom(model_server_config_pb2.ModelConfigList())
    with started(tmp_path) as channel, pytest.raises(grpc.RpcError) as refused:
        model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=CALL_SECONDS)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "--allow_reload_config" in refused.value.details()


def test_reload_request_is_applied_with_allow_reload_config(tmp_path):
    request = model_management_pb2.ReloadConfigRequest()
    request.config.model_config_list.CopyFrom(model_server_config_pb2.ModelConfigList())
    with started(tmp_path, "--allow_reload_config") as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        assert not stub.HandleReloadConfigRequest(request, timeout=CALL_SECONDS).status.error_code


def test_health_service_answers_unless_it_is_disabled(tmp_path):
    with started(tmp_path) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        assert check(health_pb2.HealthCheckRequest(), timeout=CALL_SECONDS).status == 1
    with started(tmp_path, "--enable_grpc_healthcheck_service=false") as channel:
        with pytest.raises(grpc.RpcError) as refused:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=CALL_SECONDS)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_channel_arguments_reach_grpc(tmp_path):
    with (
        started(tmp_path, "--grpc_channel_arguments=grpc.max_receive_message_length=10") as channel,
        pytest.raises(grpc.RpcError) as refused,
    ):
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="x" * 20), timeout=CALL_SECONDS)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_message_that_cannot_be_parsed_is_logged_in_one_line(tmp_path, caplog):
    with started(tmp_path) as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/tensorflow.serving.PredictionService/Predict")(b"\xff" * 3, timeout=CALL_SECONDS)
    assert refused.value.code() is grpc.StatusCode.INTERNAL
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "deserializing" in record.getMessage() and not record.exc_info


@pytest.mark.parametrize("name", ["\x1b[31m", "\x9b31m", "\u202e"])
def test_control_characters_of_a_caller_are_escaped_in_the_log(tmp_path, caplog, name):
    request = get_model_status_pb2.GetModelStatusRequest(model_spec={"name": f"Müll {name}"})
    with (
        started(tmp_path) as channel,
        caplog.at_level(logging.INFO),
        pytest.raises(grpc.RpcError),
    ):
        model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request, timeout=CALL_SECONDS)
    (line,) = caplog.messages
    assert "Could not find any versions of model Müll" in line and line.isprintable()
