"""A connection of `gunicorn_worker`, which can be cut while its request is read or its response is sent."""

import contextlib
import enum
import socket
import threading
import time
from typing import Any

from gunicorn.workers import gthread

from web import security

RETRY_SECONDS = 5


class Phase(enum.Enum):
    """What a connection is used for."""

    READ = "its request is awaited or read"
    HANDLED = "the application handles its request, which is complete"
    WRITTEN = "its response is sent"
    IDLE = "it is kept open for the next request"


class Connection(gthread.TConn):
    """A connection, which tells its worker of the bytes that it receives, and that it is closed.

    Attributes:
        phase: its Phase.
        since: when the phase began, in monotonic seconds.
        received: bytes of its request so far.
        is_cut: whether `cut` ended it.
    """

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any, worker: Any):
        super().__init__(cfg, sock, client, server)
        self._worker = worker
        self.phase, self.since, self.received = Phase.READ, time.monotonic(), 0
        self.is_cut = self._is_closed = False
        self._lock = threading.Lock()

    def init(self) -> None:
        super().init()
        self.parser.unreader.sock = self  # for `recv`

    def recv(self, size: int) -> bytes:
        data = self.sock.recv(size)
        self._worker.count(self, len(data))
        return data

    def begin(self) -> None:
        """Begin to read a request in a thread."""
        self.data_ready = True  # gthread would wait for data, with another open file
        if self.phase is not Phase.READ:
            self.enter(Phase.READ)

    def enter(self, phase: Phase) -> bool:
        """Begin a phase; return False if the connection was cut."""
        with self._lock:
            self.phase, self.since = phase, time.monotonic()
            return not self.is_cut

    def cut(self, response: bytes) -> bool:
        """End the connection, with `response` if no other was begun; return False if that is not possible."""
        with self._lock:
            if self.is_cut or self.phase is Phase.HANDLED:
                return False
            self.is_cut = True
            with contextlib.suppress(OSError):
                if self.phase is Phase.READ:
                    self.sock.send(response, socket.MSG_DONTWAIT)
                self.sock.shutdown(socket.SHUT_RDWR)  # which ends the thread's call
            return True

    def close(self, graceful: bool = False) -> None:
        """Close the connection once: its thread does it before gthread's main loop."""
        if not self._is_closed:
            self._is_closed = True
            self._worker.closed(self)
            super().close(graceful)


def error_headers(status: str) -> dict[str, str]:
    """Return the headers of a response whose body is its status line, such as "400 Bad Request"."""
    headers = {**security.HEADERS, "Connection": "close", "Cache-Control": "no-store"}
    if status.startswith("503"):
        headers["Retry-After"] = str(RETRY_SECONDS)
    return headers | {"Content-Type": "text/plain", "Content-Length": str(len(status) + 1)}


def error_response(status: str) -> bytes:
    """Return the whole response, for requests that do not reach the application."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in error_headers(status).items())]
    return "\r\n".join([*lines, "", f"{status}\n"]).encode("latin-1")
