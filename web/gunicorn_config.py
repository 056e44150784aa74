"""For gunicorn --config web/gunicorn_config.py "web:create_app()"."""

import ctypes
import socket
import struct
from typing import Any

M_ARENA_MAX = -8  # of glibc's malloc.h
STALLED_SECONDS = 30  # that a client may neither send nor take anything in the middle of a request

bind = "0.0.0.0:8000"
# One process with threads: an upload waits for the model server, not for Python, and rate limits and metrics are kept
# in memory. More processes would each count for themselves.
workers = 1
worker_class = "gthread"
threads = 32
timeout = 60
graceful_timeout = 30
keepalive = 5
control_socket_disable = True  # nobody asks it, and its place is a home folder, which the container's user lacks
accesslog = None  # web.telemetry writes a line of JSON a request

# glibc gives threads up to eight heaps a core, and what pictures leave free in one helps no other: two are enough.
libc = ctypes.CDLL(None)
if hasattr(libc, "mallopt"):
    libc.mallopt(M_ARENA_MAX, 2)


def post_worker_init(worker: Any) -> None:
    """Hang up on clients that stall, and ask at once, not at the first request, about uploads that already wait.

    gunicorn waits for a request's bytes for ever, in one of its threads. A connection has the times of its listener.
    """
    for listener in worker.sockets:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            listener.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", STALLED_SECONDS, 0))
    app = worker.wsgi
    app.extensions["pilah_uploads"].start_retrying(app)
