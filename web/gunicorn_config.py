"""Configuration of gunicorn (gunicorn --config web/gunicorn_config.py "web:create_app()")."""

import ctypes
import socket
import struct
from typing import Any

M_ARENA_MAX = -8  # from glibc's malloc.h
STALLED_SECONDS = 30  # without data sent or received, after which a connection is closed

bind = "0.0.0.0:8000"
# One process with threads: uploads wait for the model server, not for Python. Rate limits and metrics are in memory, so
# several processes would each count separately.
workers = 1
worker_class = "gthread"
threads = 32
timeout = 60
graceful_timeout = 30
keepalive = 5
control_socket_disable = True  # unused, and it needs a home folder, which the container's user lacks
accesslog = None  # web.telemetry logs each request

# glibc uses up to eight heaps per core, and cannot reuse memory freed in one for another: two are enough.
libc = ctypes.CDLL(None)
if hasattr(libc, "mallopt"):
    libc.mallopt(M_ARENA_MAX, 2)


def post_worker_init(worker: Any) -> None:
    """Set timeouts for stalled clients, and start to retry waiting uploads before the first request.

    gunicorn has no timeout for reading a request in a thread. Connections inherit the timeouts of their listener.
    """
    for listener in worker.sockets:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            listener.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", STALLED_SECONDS, 0))
    app = worker.wsgi
    app.extensions["pilah_uploads"].start_retrying(app)
