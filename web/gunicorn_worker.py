"""gunicorn's threaded worker, in which slow clients take no place from others.

gthread reads each request in one of its few threads, so that as many clients that send a byte every few seconds block
it, and its main loop waits up to 2 s for each client that does not close its side. Here a connection waits for its
first byte without a thread, and has one of its own while its request is read and its response is sent. It takes one of
the `threads` of the configuration only while the application handles the request. Slow connections are cut after a
time, and sooner when there is no room for others.
"""

import collections
import contextlib
import errno
import functools
import selectors
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent import futures
from typing import Any

from gunicorn.http.errors import NoMoreData
from gunicorn.workers import gthread

from web import failures
from web.gunicorn_connection import Connection, Phase, error_headers, error_response

SILENT_SECONDS = 10.0  # for the first byte
READ_SECONDS, MIN_BYTES_PER_SECOND = 20.0, 500.0  # a request has 20 s, and a second for each 500 bytes, as in Apache
MIN_AGE_SECONDS = 5.0  # a younger request or response is not cut to make room
MAX_BODY_BYTES = 64 * 2**20  # more than a phone's photo; the rest of a longer body is not read
MAX_RECEIVED_BYTES = 300 * 2**20  # of all requests that are read or handled
IN_MEMORY_BYTES = 64 * 2**10  # longer bodies are read into a temporary file
PIECE_BYTES = 64 * 2**10
PLACE_SECONDS = 20.0  # time for which a complete request waits for its place
LINGER_SECONDS = 2.0  # for a refused client to read its refusal
TOO_SLOW = "408 Request Timeout"
BUSY = "503 Service Unavailable"


class Worker(gthread.ThreadWorker):
    """Reads and answers up to `worker_connections` requests, and lets the application handle `threads` of them."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.worker_connections = float("inf")  # gthread would stop accepting; here `accept` makes room or refuses
        self._open: set[Connection] = set()
        self._refused: collections.deque[Connection] = collections.deque()  # the oldest first
        self._received = 0
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(self.cfg.threads)
        self._thread = threading.local()  # its `connection`
        self._next_check = 0.0
        self._counts = {"cut": 0, "refused": 0}  # since the last line in the log

    def get_thread_pool(self) -> futures.Executor:
        return futures.ThreadPoolExecutor(self.cfg.worker_connections)

    def run(self) -> None:
        self.wsgi: Any = functools.partial(self._in_place, self.wsgi)
        super().run()

    def accept(self, listener: socket.socket) -> None:
        try:
            sock, address = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):  # no more files: gthread would end
                self._make_room()
                time.sleep(0.1)
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        connection = Connection(self.cfg, sock, address, listener.getsockname(), self)
        if self.nr_conns >= self.cfg.worker_connections and not self._make_room():
            self._refuse(connection)
            return
        self.nr_conns += 1
        self._open.add(connection)
        connection.timeout = time.monotonic() + SILENT_SECONDS
        self.pending_conns.append(connection)
        self._call_when_readable(connection, self.on_pending_socket_readable)

    def handle(self, conn: Connection) -> Any:
        conn.begin()
        self._thread.connection = conn
        is_kept = super().handle(conn)
        self.release(conn)
        if conn.enter(Phase.IDLE if is_kept else Phase.WRITTEN) and is_kept:
            return True
        conn.close(graceful=True)  # here, because it can take 2 s
        return False

    def handle_request(self, req: Any, conn: Connection) -> Any:
        """Read the body, then let the application handle the request."""
        received = req.body
        with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as body:
            content = self._read(req, conn, body)
            if content is None or not conn.enter(Phase.HANDLED):
                return False
            req.body = content
            try:
                return super().handle_request(req, conn)
            finally:
                req.body = received  # gthread checks that it was read to its end

    def count(self, conn: Connection, size: int) -> None:
        """Count received bytes, and cut a long request if all requests together are too large."""
        with self._lock:
            conn.received += size
            self._received += size
            is_too_much = self._received > MAX_RECEIVED_BYTES and conn.received > IN_MEMORY_BYTES
        if is_too_much and not self._make_room(IN_MEMORY_BYTES):
            self._cut(conn, BUSY)

    def release(self, conn: Connection) -> None:
        """Forget the bytes of a connection whose request is answered."""
        with self._lock:
            self._received -= conn.received
            conn.received = 0

    def closed(self, conn: Connection) -> None:
        self._open.discard(conn)
        self.release(conn)

    def murder_pending(self) -> None:
        """Close the connections whose time is over; gthread calls it after each event and each second."""
        super().murder_pending()
        now = time.monotonic()
        while self._refused and self._refused[0].timeout <= now:
            self._forget(self._refused[0])
        if now >= self._next_check:
            self._next_check = now + 1.0
            for connection in list(self._open):
                allowed = READ_SECONDS + connection.received / MIN_BYTES_PER_SECOND
                if connection.phase is Phase.READ and connection.received and now - connection.since > allowed:
                    self._cut(connection, TOO_SLOW)
            self._log_counts()

    def _read(self, req: Any, conn: Connection, body: Any) -> Any:
        """Read the request's body into `body` and return it; None if it does not arrive."""
        try:
            if req._expected_100_continue:
                req._expected_100_continue = False
                conn.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            while body.tell() < MAX_BODY_BYTES and (piece := req.body.read(PIECE_BYTES)):
                body.write(piece)
        except BlockingIOError:  # SO_RCVTIMEO
            self._cut(conn, TOO_SLOW)
        except NoMoreData:  # the client has closed its side in the middle of a chunk
            self._cut(conn, "400 Bad Request")
        except OSError as error:
            if not failures.is_disk(error):
                raise
            return _Unreadable(error)
        body.seek(0)
        return None if conn.is_cut else body

    def _in_place(self, app: Callable[..., Any], environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Let the application handle the request as one of `threads`."""
        if not self._places.acquire(timeout=PLACE_SECONDS):
            self._thread.connection.enter(Phase.WRITTEN)
            start_response(BUSY, list(error_headers(BUSY).items()))
            return [f"{BUSY}\n".encode()]
        try:
            return app(environ, start_response)
        finally:
            self._places.release()
            self._thread.connection.enter(Phase.WRITTEN)

    def _make_room(self, min_received: int = 0) -> bool:
        """Cut an idle connection, else the oldest that the application does not handle; return whether there is one."""
        newest = time.monotonic() - MIN_AGE_SECONDS
        candidates = [
            connection
            for connection in list(self._open)
            if connection.received >= min_received and (connection.phase is Phase.IDLE or connection.since <= newest)
        ]
        candidates.sort(key=lambda connection: (connection.phase is not Phase.IDLE, connection.since))
        return any(self._cut(connection, BUSY) for connection in candidates)

    def _cut(self, conn: Connection, status: str) -> bool:
        if not conn.cut(error_response(status)):
            return False
        self._counts["cut"] += 1
        self.release(conn)
        return True

    def _log_counts(self) -> None:
        if any(self._counts.values()):
            self.log.warning("Connections: %(cut)s slow or idle ones cut, %(refused)s refused with 503", self._counts)
            self._counts = dict.fromkeys(self._counts, 0)

    def _refuse(self, conn: Connection) -> None:
        """Send 503, and close the connection when the client has read it."""
        self._counts["refused"] += 1
        with contextlib.suppress(OSError):
            conn.sock.send(error_response(BUSY))
            conn.sock.shutdown(socket.SHUT_WR)
        if len(self._refused) >= self.cfg.worker_connections:
            conn.close()
            return
        conn.timeout = time.monotonic() + LINGER_SECONDS
        self._refused.append(conn)
        self._call_when_readable(conn, self._discard)

    def _discard(self, conn: Connection, sock: socket.socket) -> None:
        try:
            if sock.recv(PIECE_BYTES):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._forget(conn)

    def _forget(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        self._refused.remove(conn)
        conn.close()

    def _call_when_readable(self, conn: Connection, callback: Callable[[Connection, socket.socket], None]) -> None:
        self.poller.register(conn.sock, selectors.EVENT_READ, functools.partial(callback, conn))


class _Unreadable:
    """A body that could not be stored: reading it raises the disk's error, which the application answers."""

    def __init__(self, error: OSError):
        self._error = error

    def read(self, size: int = -1) -> bytes:
        raise self._error

    readline = read
