"""For gunicorn --config web/gunicorn_config.py "web:create_app()"."""

import ctypes
from typing import Any

M_ARENA_MAX = -8  # of glibc's malloc.h

bind = "0.0.0.0:8000"
# One process with threads: an upload waits for the model server, not for Python, and rate limits and metrics are kept
# in memory. More processes would each count for themselves.
workers = 1
worker_class = "gthread"
threads = 32
timeout = 60
graceful_timeout = 30
keepalive = 5
accesslog = None  # web.observing writes a line of JSON a request

# glibc gives threads up to eight heaps a core, and what pictures leave free in one helps no other: two are enough.
libc = ctypes.CDLL(None)
if hasattr(libc, "mallopt"):
    libc.mallopt(M_ARENA_MAX, 2)


def post_worker_init(worker: Any) -> None:
    """Ask about waiting uploads in the process that serves, also for those of the process before."""
    app = worker.wsgi
    app.extensions["pilah_uploads"].start_retrying(app)
