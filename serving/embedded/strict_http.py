"""HTTP of the REST server, strict about where a request ends, because the next bytes are read as another request.

cheroot accepts sizes such as +2 and 0x2, leaves trailers unread, and reports a truncated body as an internal error.
"""

import contextlib
import re
import socket
import threading
import time
from typing import Any

import cheroot.server
import cheroot.wsgi

from serving.embedded import slow_connections, status

MAX_BODY_BYTES = 2**31 - 1  # protobuf's limit; TensorFlow Serving has none
MAX_HEAD_BYTES = 2**16
_PIECE_BYTES = 2**20  # read at a time, so that a false size allocates no memory
_MAX_LINE_BYTES = 8192
_MAX_TRAILERS = 100
MAX_CONNECTIONS = 1000  # without a request in progress
MIN_IDLE_SECONDS = 1.0  # after which a connection without a request is closed for a new one, if there are too many
MAX_REFUSED, LINGER_SECONDS = 4000, 2.0  # connections that may read their refusal, and the time for it
_REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_CHUNK_SIZE = re.compile(rb"0*([0-9A-Fa-f]{1,8})[ \t]*(;[^\r\n]*)?\r\n")
_REQUEST_KEY = "pilah.http_request"  # in the WSGI environment


class Body:
    """The body of the request with this WSGI environment, read once."""

    def __init__(self, environ: dict[str, Any]):
        self._http_request = environ[_REQUEST_KEY]
        self._is_read = False

    def read(self) -> bytes:
        """Return the whole body.

        Raises:
            StatusError: INVALID_ARGUMENT, the framing is invalid, or the body is truncated or slower than cheroot's
                timeout. The connection is then closed after the response.
        """
        self._is_read = True
        try:
            content = self._chunked() if self._http_request.chunked_read else self._of_known_length()
            self._http_request.server.slow.end(self._http_request.conn)
            return content
        except TimeoutError as error:
            fault = f"no more data arrived within {self._http_request.server.timeout} s"
            raise self._invalid(fault) from error
        except OSError as error:
            raise self._invalid(str(error)) from error

    def finish(self) -> None:
        """Read the body if it has not been read yet."""
        if not self._is_read:
            with contextlib.suppress(status.StatusError):  # already refused; the connection will close
                self.read()
        self._http_request.server.slow.begin(self._http_request.conn, is_read=False)

    def _invalid(self, fault: str) -> status.StatusError:
        self._http_request.close_connection = True  # the start of the next request is unknown
        if self._http_request.conn.is_cut:
            fault = "it arrived too slowly, or other requests need its thread"
        return status.invalid_argument(f"The request's body cannot be read: {fault}. Send the request again.")

    def _of_known_length(self) -> bytes:
        length = int(self._http_request.inheaders.get(b"Content-Length", 0))
        body = self._exactly(length)
        self._http_request.rfile.remaining = 0  # otherwise cheroot reads on before it responds
        return body

    def _chunked(self) -> bytes:
        chunks: list[bytes] = []
        total = 0
        while size := self._chunk_size():
            total += size
            if total > MAX_BODY_BYTES:
                raise self._invalid(f"it has more than {MAX_BODY_BYTES} bytes")
            chunks.append(self._exactly(size))
            if (end := self._exactly(2)) != b"\r\n":
                raise self._invalid(f"a chunk of {size} bytes must be followed by CR LF (got {end!r})")
        for _ in range(_MAX_TRAILERS):
            line = self._line()
            if line == b"\r\n":
                return b"".join(chunks)
        raise self._invalid(f"it has more than {_MAX_TRAILERS} trailers")

    def _chunk_size(self) -> int:
        line = self._line()
        match = _CHUNK_SIZE.fullmatch(line)
        if not match:
            raise self._invalid(
                f"the size of a chunk must be a hexadecimal number of 8 digits at most (got {line[:40]!r})"
            )
        return int(match[1], 16)

    def _line(self) -> bytes:
        line: bytes = self._http_request.conn.rfile.readline(_MAX_LINE_BYTES)
        # readline may exceed its limit by one read
        if not line.endswith(b"\r\n") or len(line) > _MAX_LINE_BYTES:
            raise self._invalid(f"a line is truncated, has no CR LF or is too long (got {line[:40]!r})")
        return line

    def _exactly(self, size: int) -> bytes:
        pieces: list[bytes] = []
        left = size
        while left:
            piece = self._http_request.conn.rfile.read1(min(left, _PIECE_BYTES))
            self._http_request.conn.received += len(piece)
            if not piece:
                raise self._invalid(f"it ends after {size - left} of {size} bytes")
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)


class Server(cheroot.wsgi.Server):
    """cheroot's server, with strict requests that `Body` can read, and without patience for slow clients."""

    _connections: Any  # cheroot's stub lacks it
    keep_alive_conn_limit = MAX_CONNECTIONS // 2

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.request_queue_size = MAX_CONNECTIONS
        self.max_request_body_size, self.max_request_header_size = MAX_BODY_BYTES, MAX_HEAD_BYTES
        self.ConnectionClass = _Connection
        self.gateway = _Gateway
        self.slow = slow_connections.SlowConnections()
        self.refused: set[_Connection] = set()
        self._in_threads, self._lock = 0, threading.Lock()

    def process_conn(self, conn: "_Connection") -> None:
        """Wait for the first byte of a new connection without a thread, then give it one or refuse it."""
        is_new = conn.last_used is None
        if conn in self.refused:
            self._linger(conn)
        elif is_new and (self._connections._num_connections - len(self.refused) < MAX_CONNECTIONS or self._cut_idle()):
            self.put_conn(conn)
        elif not is_new and (self._in_threads < self.requests.min or self.slow.cut_oldest()):
            self.count(1)
            super().process_conn(conn)
        else:
            conn.refuse()
            self._linger(conn)

    def _cut_idle(self) -> bool:
        """Cut the connection that is without a request for longest; return False if all are young."""
        with contextlib.closing(self._connections._selector.connections) as connections:  # oldest first
            idle = (conn for _, conn in connections if conn is not self and conn not in self.refused)
            oldest = next(idle, None)
        if oldest is None or time.time() - oldest.last_used < MIN_IDLE_SECONDS:
            return False
        oldest.cut()
        return True

    def count(self, change: int) -> None:
        """Count a connection that is given to a thread, or that its thread has finished with."""
        with self._lock:
            self._in_threads += change

    def _linger(self, conn: "_Connection") -> None:
        """Discard what a refused client sends until it closes, as closing first may take back the refusal."""
        is_kept = conn.discard() and not conn.rfile.has_data() and len(self.refused) < MAX_REFUSED
        if is_kept and time.time() - conn.refused_at < LINGER_SECONDS:
            self.put_conn(conn)
            conn.last_used = conn.refused_at + LINGER_SECONDS - self.timeout  # cheroot closes it then
        else:
            conn.close()


class _Headers(dict[bytes, bytes]):
    """Request headers that accept one Content-Length at most, of digits only, and none beside Transfer-Encoding."""

    def __setitem__(self, name: bytes, value: bytes) -> None:
        if name == b"Content-Length" and (name in self or not value.isdigit()):
            raise ValueError("Malformed Content-Length Header.")
        exclusive = {b"Content-Length": b"Transfer-Encoding", b"Transfer-Encoding": b"Content-Length"}
        if exclusive.get(name) in self:  # a proxy may use the other one
            raise ValueError("Content-Length and Transfer-Encoding exclude each other.")
        super().__setitem__(name, value)


class _HeaderReader(cheroot.server.HeaderReader):
    def __call__(self, *args: Any) -> Any:
        try:
            return super().__call__(*args)
        except UnboundLocalError as error:  # the first line begins with a blank, and continues no header
            raise ValueError("Illegal header line.") from error


class _Request(cheroot.server.HTTPRequest):
    header_reader = _HeaderReader()

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.inheaders = _Headers()

    def read_request_line(self) -> bool:
        try:
            return bool(super().read_request_line())
        except ValueError:  # from urlsplit, for an IPv6 address without its ]
            self.simple_response("400 Bad Request", "Malformed Request-URI")
            return False


class _Connection(cheroot.server.HTTPConnection):
    """A connection.

    Attributes:
        received: bytes of the current request's body.
        is_cut: whether it was cut because it was slow.
        refused_at: when it was answered with 503 without reading its request, in seconds of time.time.
    """

    RequestHandlerClass = _Request
    received, is_cut, refused_at = 0, False, 0.0

    def communicate(self) -> bool:
        self.received = 0
        self.server.slow.begin(self, is_read=True)
        try:
            return bool(super().communicate()) and not self.is_cut
        finally:
            self.server.slow.end(self)
            self.server.count(-1)

    def refuse(self) -> None:
        self.refused_at = time.time()
        self.server.refused.add(self)
        with contextlib.suppress(OSError):
            self.socket.setblocking(False)
            self.socket.send(_REFUSAL)
            self.socket.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """End the connection; the main loop then reads its end, and closes it."""
        self.refused_at = time.time()
        self.server.refused.add(self)
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.server.refused.discard(self)
        super().close()

    def discard(self) -> bool:
        """Discard what was received; return whether more may follow."""
        try:
            return bool(self.socket.recv(_PIECE_BYTES))
        except BlockingIOError:
            return True
        except OSError:
            return False


class _Gateway(cheroot.wsgi.Gateway_10):
    def get_environ(self) -> dict[str, Any]:  # type: ignore[override]  # its type stub says None
        return {**super().get_environ(), _REQUEST_KEY: self.req}
