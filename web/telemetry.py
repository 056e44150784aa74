"""Write a JSON log line and metrics for each request."""

import json
import logging
import secrets
import time

import prometheus_client
from flask import Flask, Response, g, request

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "POST")
log = logging.getLogger("web.requests")
seconds_taken = prometheus_client.Histogram("pilah_web_seconds", "Time to answer.", ["endpoint", "method"])
requests_answered = prometheus_client.Counter("pilah_web_requests", "Requests.", ["endpoint", "method", "status"])


class JsonFormatter(logging.Formatter):
    """Formats each record as a line of JSON in ASCII, so that clients cannot write control characters to the log."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": self.formatTime(record), "level": record.levelname, "message": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def set_up_log() -> None:
    root = logging.getLogger("web")
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter())
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        root.propagate = False


def init_app(app: Flask) -> None:
    app.logger.handlers = logging.getLogger("web").handlers  # for Flask's own errors

    @app.before_request
    def start_timer() -> None:
        g.started, g.request_id = time.perf_counter(), secrets.token_hex(8)

    @app.after_request
    def record(response: Response) -> Response:
        seconds = time.perf_counter() - g.started
        endpoint = request.endpoint or "(none)"
        # one label for all unknown methods, so that clients cannot create time series
        method = request.method if request.method in METHODS else "(other)"
        seconds_taken.labels(endpoint, method).observe(seconds)
        requests_answered.labels(endpoint, method, response.status_code).inc()
        response.headers["X-Request-Id"] = g.request_id
        fields = {"id": g.request_id, "method": request.method, "path": request.path}
        fields |= {"status": response.status_code, "milliseconds": round(seconds * 1e3, 1)}
        log.info("request", extra={"fields": fields})
        return response
