"""Configuration of gunicorn (gunicorn --config web/gunicorn_config.py "web:create_app()")."""

import ctypes
import os
import resource
import socket
import struct
import sys
from typing import Any

from gunicorn import util

from web import gunicorn_connection, readiness, telemetry

M_ARENA_MAX = -8  # from glibc's malloc.h
STALLED_SECONDS = 30  # a connection that sends and receives nothing for this long is closed
OPEN_FILES = 4096  # connections, refused ones, and the files of long requests

bind = "0.0.0.0:8000"
# One process with threads: uploads wait for the model server, not for Python. Rate limits and metrics are in memory, so
# several processes would each count separately.
workers = 1
worker_class = "web.gunicorn_worker.Worker"
threads = 40  # requests handled at once: 32 photos that are decoded or queued (decoding.py), and 8 others
worker_connections = 1000  # read and answered at once
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

soft_limit, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
if soft_limit < OPEN_FILES:
    files = OPEN_FILES if hard_limit == resource.RLIM_INFINITY else min(OPEN_FILES, hard_limit)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard_limit))


def post_worker_init(worker: Any) -> None:
    """Set timeouts for stalled clients, and start retrying waiting uploads before the first request.

    Connections inherit the timeouts of their listener. gunicorn_worker.py limits the time of a whole request.
    """
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
    util.write_nonblock(sock, gunicorn_connection.error_response(f"{status} {reason}"))
