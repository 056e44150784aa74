"""Flags of the embedded server: those of tensorflow_model_server, plus --host and --allow_reload_config."""

import argparse
import dataclasses
import os
import pathlib
import re
import threading
from collections.abc import Mapping, Sequence
from typing import TypeVar

from google.protobuf import message, text_format
from tensorflow_serving.config import model_server_config_pb2

from components.base import version
from serving.protos import server_config_pb2

DEFAULT_HOST = "127.0.0.1"  # the server has no authentication, so only this machine may connect
MAX_INT32 = 2**31 - 1  # largest number that gRPC accepts
MAX_THREADS = 10_000  # all of them are started with the server
DEFAULT_METRICS_PATH = "/monitoring/prometheus/metrics"
Proto = TypeVar("Proto", bound=message.Message)


@dataclasses.dataclass(frozen=True)
class Flags:
    """The options of a server.

    `batching` is None without batching, `metrics_path` None without metrics, `rest_api_port` 0 without REST, and
    `model_config_file` None if `models` comes from --model_base_path.
    """

    models: model_server_config_pb2.ModelServerConfig
    port: int
    rest_api_port: int
    batching: server_config_pb2.BatchingParameters | None
    metrics_path: str | None
    file_system_poll_wait_seconds: float
    grpc_max_threads: int
    host: str = DEFAULT_HOST
    model_config_file: pathlib.Path | None = None
    model_config_file_poll_wait_seconds: float = 0.0
    allow_version_labels_for_unavailable_models: bool = True
    enable_grpc_healthcheck_service: bool = True
    grpc_channel_arguments: Mapping[str, int | str] = dataclasses.field(default_factory=dict)
    allow_reload_config: bool = False


def parse(arguments: Sequence[str]) -> Flags:
    """Parse `arguments`; exit with code 2, the usage and an error if they are invalid."""
    parser = _parser()
    args = parser.parse_args(arguments)
    if bool(args.model_base_path) == bool(args.model_config_file):
        parser.error("exactly one of --model_base_path and --model_config_file is required")
    if args.rest_api_port and args.port == args.rest_api_port:
        parser.error(f"--rest_api_port must differ from --port (got {args.port} for both)")
    if args.batching_parameters_file and not args.enable_batching:
        parser.error("--batching_parameters_file requires --enable_batching")
    try:
        if args.model_config_file:
            models = read_models(args.model_config_file)
        else:
            models = model_server_config_pb2.ModelServerConfig()
            models.model_config_list.config.add(
                name=args.model_name, base_path=str(args.model_base_path), model_platform="tensorflow"
            )
        batching = server_config_pb2.BatchingParameters() if args.enable_batching else None
        if batching is not None and args.batching_parameters_file:
            _read(args.batching_parameters_file, batching)
        monitoring = server_config_pb2.MonitoringConfig()
        if args.monitoring_config_file:
            _read(args.monitoring_config_file, monitoring)
        _check_batching(batching)
    except ValueError as error:
        parser.error(str(error))
    prometheus = monitoring.prometheus_config
    return Flags(
        models=models,
        port=args.port,
        rest_api_port=args.rest_api_port,
        batching=batching,
        metrics_path=(prometheus.path or DEFAULT_METRICS_PATH) if prometheus.enable else None,
        file_system_poll_wait_seconds=args.file_system_poll_wait_seconds,
        grpc_max_threads=args.grpc_max_threads,
        host=args.host,
        model_config_file=args.model_config_file,
        model_config_file_poll_wait_seconds=args.model_config_file_poll_wait_seconds,
        allow_version_labels_for_unavailable_models=args.allow_version_labels_for_unavailable_models,
        enable_grpc_healthcheck_service=args.enable_grpc_healthcheck_service,
        grpc_channel_arguments=args.grpc_channel_arguments,
        allow_reload_config=args.allow_reload_config,
    )


def read_models(path: pathlib.Path) -> model_server_config_pb2.ModelServerConfig:
    """Return the configuration in `path`.

    Raises:
        ValueError: the file cannot be read or is not a ModelServerConfig.
    """
    return _read(path, model_server_config_pb2.ModelServerConfig())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m serving", description=__doc__, allow_abbrev=False)
    flag = parser.add_argument

    def switch(name: str, default: bool, text: str) -> None:
        flag(name, type=_boolean, nargs="?", const=True, default=default, metavar="true|false", help=text)

    flag("--version", action="version", version=f"pilah {version.VERSION}")
    flag("--model_name", default="default", help="Name of the model in --model_base_path.")
    flag("--model_base_path", type=_folder, help="Folder of the model's numbered versions.")
    flag("--model_config_file", type=pathlib.Path, help="ModelServerConfig text file, for several models.")
    config_help = "Seconds between reads of --model_config_file; 0 to read it only at the start."
    flag("--model_config_file_poll_wait_seconds", type=_seconds, default=0, help=config_help)
    label_help = "Whether a label may name a version that is not loaded yet; true by default."
    switch("--allow_version_labels_for_unavailable_models", True, label_help)
    reload_help = "Whether any client may change the served models (HandleReloadConfigRequest)."
    switch("--allow_reload_config", False, reload_help)
    flag("--host", default=DEFAULT_HOST, help="Address to listen on; 0.0.0.0 for all interfaces.")
    flag("--port", type=_port, default=8500, help="gRPC port.")
    flag("--rest_api_port", type=_port, default=0, help="REST port; 0 for no REST.")
    switch("--enable_batching", False, "Whether to batch requests.")
    flag("--batching_parameters_file", type=pathlib.Path, help="BatchingParameters text file.")
    poll_help = "Seconds between checks for new versions; 0 to check only at the start."
    flag("--file_system_poll_wait_seconds", type=_seconds, default=1, help=poll_help)
    flag("--monitoring_config_file", type=pathlib.Path, help="MonitoringConfig text file.")
    # TensorFlow Serving has 4 per core. Here each request of a batch needs a thread, which only waits for the session.
    threads = max(64, 4 * (os.cpu_count() or 1))
    threads_help = "Maximum number of concurrent predictions; more are refused with RESOURCE_EXHAUSTED."
    flag("--grpc_max_threads", type=_count, default=threads, help=threads_help)
    switch("--enable_grpc_healthcheck_service", True, "Whether the standard gRPC health service runs; true by default.")
    arguments_help = "Options of the gRPC server, separated by commas."
    flag("--grpc_channel_arguments", type=_channel_arguments, default={}, metavar="NAME=VALUE,...", help=arguments_help)
    return parser


def _folder(text: str) -> pathlib.Path:
    path = pathlib.Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"must be an existing folder (got {text}). Create it with make run")
    return path.resolve()


def _boolean(text: str) -> bool:
    values = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"must be true or false (got {text!r})")
    return values[text.lower()]


def _seconds(text: str) -> float:
    value = float(text)
    if not value <= threading.TIMEOUT_MAX:  # false for NaN
        raise argparse.ArgumentTypeError(f"must be a number of seconds (got {text})")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"must be from 0 to 65535 (got {text})")
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= MAX_THREADS:
        raise argparse.ArgumentTypeError(f"must be from 1 to {MAX_THREADS} (got {text})")
    return value


def _channel_arguments(text: str) -> dict[str, int | str]:
    """Return name -> value; whole numbers become int, as in TensorFlow Serving."""
    arguments: dict[str, int | str] = {}
    for argument in text.split(",") if text else ():
        name, equals, value = argument.partition("=")
        if not name or not equals:
            raise argparse.ArgumentTypeError(f"must be NAME=VALUE, separated by commas (got {argument!r})")
        is_number = re.fullmatch(r"-?[0-9]{1,19}", value)
        if is_number and abs(int(value)) > MAX_INT32:
            raise argparse.ArgumentTypeError(f"{name} must be from -{MAX_INT32} to {MAX_INT32} (got {value})")
        arguments[name] = int(value) if is_number else value
    return arguments


def _read(path: pathlib.Path, proto: Proto) -> Proto:
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), proto)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise ValueError(f"configuration file {path} cannot be read: {error}") from error


def _check_batching(batching: server_config_pb2.BatchingParameters | None) -> None:
    for field, value in batching.ListFields() if batching else ():
        minimum = 0 if field.name == "batch_timeout_micros" else 1
        maximum = MAX_THREADS if field.name == "num_batch_threads" else MAX_INT32
        if not minimum <= value.value <= maximum:
            raise ValueError(f"{field.name} must be from {minimum} to {maximum} (got {value.value})")
