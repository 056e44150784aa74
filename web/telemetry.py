"""A line of JSON in the log and a measurement for each request, both under the request's id."""

import json
import logging
import secrets
import time

import prometheus_client
from flask import Flask, Response, g, request

METHODS = ("GET", "HEAD", "OPTIONS", "POST")
log = logging.getLogger("web.requests")
seconds_taken = prometheus_client.Histogram("pilah_web_seconds", "Time to answer.", ["endpoint", "method"])
requests_answered = prometheus_client.Counter("pilah_web_requests", "Requests.", ["endpoint", "method", "status"])


class JsonFormatter(logging.Formatter):
    """Each record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": self.formatTime(record), "level": record.levelname, "message": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def init_app(app: Flask) -> None:
    root = logging.getLogger("web")
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter())
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        root.propagate = False
    app.logger.handlers = root.handlers  # what goes wrong inside Flask, too

    @app.before_request
    def begin() -> None:
        g.started, g.request_id = time.perf_counter(), secrets.token_hex(8)

    @app.after_request
    def end(response: Response) -> Response:
        taken = time.perf_counter() - g.started
        endpoint = request.endpoint or "(none)"
        method = request.method if request.method in METHODS else "(other)"  # strangers' words must not pile up
        seconds_taken.labels(endpoint, method).observe(taken)
        requests_answered.labels(endpoint, method, response.status_code).inc()
        response.headers["X-Request-Id"] = g.request_id
        fields = {"id": g.request_id, "method": request.method, "path": request.path}
        fields |= {"status": response.status_code, "milliseconds": round(taken * 1e3, 1)}
        log.info("request", extra={"fields": fields})
        return response
