"""The command line, with the names and defaults of tensorflow_model_server; --host is our own."""

import argparse
import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import TypeVar

from google.protobuf import message, text_format
from tensorflow_serving.config import model_server_config_pb2

from serving.protos import server_config_pb2

DEFAULT_HOST = "127.0.0.1"  # whoever reaches a port may name other models to serve: nobody but this machine
DEFAULT_METRICS_PATH = "/monitoring/prometheus/metrics"
Proto = TypeVar("Proto", bound=message.Message)


@dataclasses.dataclass(frozen=True)
class Flags:
    """What a server is started with.

    `batching` is None where it is off, `metrics_path` where nothing is monitored, `rest_api_port` 0 where REST is off.
    """

    models: model_server_config_pb2.ModelServerConfig
    port: int
    rest_api_port: int
    batching: server_config_pb2.BatchingParameters | None
    metrics_path: str | None
    file_system_poll_wait_seconds: float
    grpc_max_threads: int
    host: str = DEFAULT_HOST


def parse(arguments: Sequence[str]) -> Flags:
    """The flags in `arguments`; exits with code 2 and a line of usage where they make no sense."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if bool(given.model_base_path) == bool(given.model_config_file):
        parser.error("one of --model_base_path and --model_config_file is needed, and not both")
    if given.rest_api_port and given.port == given.rest_api_port:
        parser.error(f"--rest_api_port must differ from --port. Received: {given.port} for both")
    if given.batching_parameters_file and not given.enable_batching:
        parser.error("--batching_parameters_file takes effect with --enable_batching. Add it")
    try:
        if given.model_config_file:
            models = _read(given.model_config_file, model_server_config_pb2.ModelServerConfig())
        else:
            models = model_server_config_pb2.ModelServerConfig()
            models.model_config_list.config.add(
                name=given.model_name, base_path=str(given.model_base_path), model_platform="tensorflow"
            )
        batching = server_config_pb2.BatchingParameters() if given.enable_batching else None
        if batching is not None and given.batching_parameters_file:
            _read(given.batching_parameters_file, batching)
        monitoring = server_config_pb2.MonitoringConfig()
        if given.monitoring_config_file:
            _read(given.monitoring_config_file, monitoring)
        _check_batching(batching)
    except ValueError as error:
        parser.error(str(error))
    prometheus = monitoring.prometheus_config
    return Flags(
        models=models,
        port=given.port,
        rest_api_port=given.rest_api_port,
        batching=batching,
        metrics_path=(prometheus.path or DEFAULT_METRICS_PATH) if prometheus.enable else None,
        file_system_poll_wait_seconds=given.file_system_poll_wait_seconds,
        grpc_max_threads=given.grpc_max_threads,
        host=given.host,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m serving", description=__doc__, allow_abbrev=False)
    flag = parser.add_argument
    flag("--model_name", default="default", help="name to serve --model_base_path under")
    flag("--model_base_path", type=_folder, help="folder of the model's numbered versions")
    flag("--model_config_file", type=pathlib.Path, help="ModelServerConfig as text, for several models")
    flag("--host", default=DEFAULT_HOST, help="address to listen at; 0.0.0.0: every one of this machine")
    flag("--port", type=int, default=8500, help="of gRPC")
    flag("--rest_api_port", type=int, default=0, help="of REST; 0: none")
    flag("--enable_batching", type=_boolean, nargs="?", const=True, default=False)
    flag("--batching_parameters_file", type=pathlib.Path, help="BatchingParameters as text")
    flag("--file_system_poll_wait_seconds", type=float, default=1, help="between looks for versions; 0: look once")
    flag("--monitoring_config_file", type=pathlib.Path, help="MonitoringConfig as text")
    # TensorFlow Serving has 4 a core. A thread here only waits for the session, and a batch needs one a request.
    flag("--grpc_max_threads", type=int, default=max(64, 4 * (os.cpu_count() or 1)), help="calls answered at once")
    return parser


def _folder(text: str) -> pathlib.Path:
    path = pathlib.Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"must be a folder. Received: {text}. A run of the pipeline makes it")
    return path.resolve()


def _boolean(text: str) -> bool:
    words = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"takes true or false. Received: {text}")
    return words[text.lower()]


def _read(path: pathlib.Path, proto: Proto) -> Proto:
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), proto)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise ValueError(f"a configuration file cannot be read: {path}: {error}") from error


def _check_batching(batching: server_config_pb2.BatchingParameters | None) -> None:
    for field, value in batching.ListFields() if batching else ():
        least = 0 if field.name == "batch_timeout_micros" else 1
        if value.value < least:
            raise ValueError(f"{field.name} must be at least {least}. Received: {value.value}")
