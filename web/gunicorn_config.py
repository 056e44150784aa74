"""Configuration of gunicorn (gunicorn --config web/gunicorn_config.py "web:create_app()")."""

import ctypes
import os
import socket
import struct
import sys
from typing import Any

from gunicorn import util

M_ARENA_MAX = -8  # from glibc's malloc.h
STALLED_SECONDS = 30  # a connection that sends and receives nothing for this long is closed

bind = "0.0.0.0:8000"
# One process with threads: uploads wait for the model server, not for Python. Rate limits and metrics are in memory, so
# several processes would each count separately.
workers = 1
worker_class = "gthread"
threads = 40  # 32 for photos that are decoded or queued (decoding.py), 8 for other requests
timeout = 60
graceful_timeout = 30
keepalive = 5
control_socket_disable = True  # unused, and it needs a home folder, which the container's user does not have
forwarder_headers = ""  # otherwise clients could set SCRIPT_NAME and PATH_INFO through a proxy
accesslog = None  # web.telemetry logs each request

# glibc uses up to eight heaps per core, and one cannot reuse memory that was freed in another: two are enough.
libc = ctypes.CDLL(None)
if hasattr(libc, "mallopt"):
    libc.mallopt(M_ARENA_MAX, 2)


def post_worker_init(worker: Any) -> None:
    """Set timeouts for stalled clients, and start retrying waiting uploads before the first request.

    gunicorn has no timeout for reading a request in a thread. Connections inherit the timeouts of their listener.
    """
    from web import readiness, telemetry  # imported here, because gunicorn's main process needs no Flask

    os.umask(0o077)  # only the page's own user may read its files
    util.write_error = _write_error
    for handler in worker.log.error_log.handlers:  # its lines quote what clients sent
        handler.setFormatter(telemetry.JsonFormatter())
    for listener in worker.sockets:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            listener.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", STALLED_SECONDS, 0))
    app = worker.wsgi
    readiness.log_state(app)
    app.extensions["pilah_uploads"].start_retrying(app)


def worker_exit(server: Any, worker: Any) -> None:
    """End gunicorn if the page cannot start, as with a wrong setting; otherwise it would restart the worker forever."""
    error = sys.exc_info()[1]
    if not worker.booted and isinstance(error, SystemExit) and isinstance(error.code, str):
        print(error.code, file=sys.stderr, flush=True)
        sys.exit(server.APP_LOAD_ERROR)


def _write_error(sock: socket.socket, status: int, reason: str, message: str) -> None:
    """Answer invalid HTTP; gunicorn's own answer has no security headers and quotes the request."""
    from web import security

    body = f"{status} {reason}\n"
    headers = {**security.HEADERS, "Connection": "close", "Cache-Control": "no-store"}
    headers |= {"Content-Type": "text/plain", "Content-Length": str(len(body))}
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers.items()), "", body]
    util.write_nonblock(sock, "\r\n".join(lines).encode("latin-1"))
