"""Prometheus metrics and a log line for each request."""

import contextlib
import logging
import time
from collections.abc import Iterator

import prometheus_client

from serving.embedded import status, versions

log = logging.getLogger("serving")
registry = prometheus_client.CollectorRegistry()
prometheus_client.disable_created_metrics()
LATENCY_BUCKETS_MICROSECONDS = [10 * 1.8**power for power in range(33)]  # as TensorFlow Serving's

# A gauge used as a counter: prometheus_client adds _total to a counter's name, which TensorFlow Serving does not.
_requests = prometheus_client.Gauge(
    ":tensorflow:serving:request_count", "The total number of requests.", ["model_name", "status"], registry=registry
)
_latency = prometheus_client.Histogram(
    ":tensorflow:serving:request_latency",
    "Distribution of wall time (in microseconds) of requests.",
    ["model_name", "API", "entrypoint"],
    buckets=LATENCY_BUCKETS_MICROSECONDS,
    registry=registry,
)


@contextlib.contextmanager
def observe_request(api: str, entrypoint: str, models: versions.Models, model_name: str) -> Iterator[None]:
    """Count, time and log the request handled in the block; convert its exceptions to StatusError.

    Args:
        api: name of the call, such as "Predict".
        entrypoint: "GRPC" or "REST".
        model_name: name in the request; "" if it has none.
    """
    start = time.perf_counter()
    code, message = status.Code.OK, ""
    try:
        yield
    except status.StatusError as error:
        code, message = error.code, error.message
        raise
    except Exception as error:
        failure = status.from_exception(error)
        code, message = failure.code, failure.message
        if code is status.Code.INTERNAL:
            log.exception("%s failed unexpectedly", api)
        try:
            raise failure from error
        finally:
            del failure  # it and its traceback form a cycle, which would keep the request's tensors in memory
    finally:
        seconds = time.perf_counter() - start
        # one label for all unknown names, so that clients cannot create an unlimited number of time series
        label = model_name if not model_name or models.is_configured(model_name) else "(unknown)"
        _requests.labels(label, code.name).inc()
        _latency.labels(label, api, entrypoint).observe(seconds * 1e6)
        reason = f": {_printable(' '.join(message.split())[:300])}" if message else ""
        log.info("%s %s %r %s %.1f ms%s", entrypoint, api, model_name, code.name, seconds * 1e3, reason)


def _printable(text: str) -> str:
    """Escape control characters, which could forge log lines or change the terminal's colours."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def page() -> bytes:
    """Return the metrics in Prometheus's text format."""
    return prometheus_client.generate_latest(registry)
