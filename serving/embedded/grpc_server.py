"""The gRPC server: PredictionService, ModelService and the standard health service."""

import concurrent.futures
import logging
import threading
from collections.abc import Callable
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.embedded import flags, handlers, limits, metrics, status, versions

OPTIONS: dict[str, int | str] = {
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
    "grpc.so_reuseport": 0,  # a second server on the same port fails instead of sharing it
    "grpc.keepalive_permit_without_calls": 1,  # our client pings an idle connection once a minute
    "grpc.http2.min_ping_interval_without_data_ms": 30_000,
}
SPARE_THREADS = 8  # for other calls than predictions, and for refusing predictions
MAX_WAITING = 64  # calls without a thread; gRPC refuses more of them, also with RESOURCE_EXHAUSTED
MAX_MESSAGE_CHARACTERS = 1024  # an error message is sent in a header (grpc_status_util.cc)


class GrpcServer:
    """A gRPC server for `models`; `start` makes it listen."""

    def __init__(self, models: versions.Models, options: flags.Flags):
        self._host = options.host
        threads = options.grpc_max_threads + SPARE_THREADS
        pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="grpc")
        channel_options = {**OPTIONS, **options.grpc_channel_arguments}
        max_calls = threads + MAX_WAITING
        self._server = grpc.server(pool, options=list(channel_options.items()), maximum_concurrent_rpcs=max_calls)
        self._health = health.HealthServicer()
        logging.getLogger("grpc").getChild("_common").addFilter(_without_traceback)
        prediction = _Prediction(models, limits.ConcurrencyLimit(options.grpc_max_threads))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, self._server)
        model_service = _Model(models, options.allow_reload_config)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(model_service, self._server)
        if options.enable_grpc_healthcheck_service:
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    def start(self, port: int) -> int:
        """Start to listen on `port`, 0 for any free port, and return the port.

        Raises:
            RuntimeError: the port is in use.
        """
        bound = self._server.add_insecure_port(f"{self._host}:{port}")
        self._health.set("", health_pb2.HealthCheckResponse.SERVING)  # "" is the whole server, as in gRPC for C++
        self._server.start()
        return bound

    def drain(self, grace_seconds: float) -> None:
        """Refuse new calls; return when the current ones have finished, or were aborted after `grace_seconds`."""
        self._health.enter_graceful_shutdown()
        self._server.stop(grace_seconds).wait()


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, models: versions.Models, limit: limits.ConcurrencyLimit):
        self._models, self._limit = models, limit

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        def handler(models: versions.Models, request: Any) -> Any:
            with self._limit.acquire():
                return handlers.predict(models, request, timeout_seconds=_seconds_left(context))

        return _handle("Predict", self._models, request, context, handler)

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return _handle("GetModelMetadata", self._models, request, context, handlers.metadata)

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return _unimplemented("Classify", context)

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return _unimplemented("Regress", context)

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return _unimplemented("MultiInference", context)


class _Model(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, models: versions.Models, allow_reload: bool):
        self._models, self._reload = models, handlers.reload if allow_reload else handlers.refuse_reload

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return _handle("GetModelStatus", self._models, request, context, handlers.model_status)

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return _handle("ReloadConfig", self._models, request, context, self._reload)


def _without_traceback(record: logging.LogRecord) -> bool:
    """Drop the traceback from gRPC's log record of a message that cannot be parsed: that is the caller's error."""
    if "deserializing" in record.getMessage():
        record.exc_info = None
    return True


def _seconds_left(context: grpc.ServicerContext) -> float | None:
    """Return the time until the caller's deadline; None without a deadline, which gRPC reports as 9.2e18 s."""
    seconds = context.time_remaining()
    return seconds if seconds is not None and seconds <= threading.TIMEOUT_MAX else None


def _handle(
    call: str,
    models: versions.Models,
    request: Any,
    context: grpc.ServicerContext,
    handler: Callable[[versions.Models, Any], Any],
) -> Any:
    spec = getattr(request, "model_spec", None)  # a ReloadConfigRequest has none
    try:
        with metrics.observe_request(call, "GRPC", models, spec.name if spec else ""):
            return handler(models, request)
    except status.StatusError as error:
        is_too_long = len(error.message) > MAX_MESSAGE_CHARACTERS
        context.abort(error.code, error.message[:MAX_MESSAGE_CHARACTERS] + ("...TRUNCATED" if is_too_long else ""))


def _unimplemented(call: str, context: grpc.ServicerContext) -> Any:
    context.abort(
        status.Code.UNIMPLEMENTED,
        f"The embedded server does not support {call}. Use Predict, or run TensorFlow Serving.",
    )
