"""HTTP of the REST server, strict about where a request ends, because the next bytes are read as another request.

cheroot accepts sizes such as +2 and 0x2, leaves trailers unread, and reports a truncated body as an internal error.
"""

import contextlib
import re
from typing import Any

import cheroot.server
import cheroot.wsgi

from serving.embedded import status

MAX_BODY_BYTES = 2**31 - 1  # protobuf's limit; TensorFlow Serving has none
_PIECE_BYTES = 2**20  # read at a time, so that a false size allocates no memory
_MAX_LINE_BYTES = 8192
_MAX_TRAILERS = 100
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
            return self._chunked() if self._http_request.chunked_read else self._of_known_length()
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

    def _invalid(self, fault: str) -> status.StatusError:
        self._http_request.close_connection = True  # the start of the next request is unknown
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
            piece = self._http_request.conn.rfile.read(min(left, _PIECE_BYTES))
            if not piece:
                raise self._invalid(f"it ends after {size - left} of {size} bytes")
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)


class Server(cheroot.wsgi.Server):
    """cheroot's server, with strict requests that `Body` can read."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.max_request_body_size = MAX_BODY_BYTES
        self.ConnectionClass = _Connection
        self.gateway = _Gateway


class _Headers(dict[bytes, bytes]):
    """Request headers that accept one Content-Length at most, of digits only, and none beside Transfer-Encoding."""

    def __setitem__(self, name: bytes, value: bytes) -> None:
        if name == b"Content-Length" and (name in self or not value.isdigit()):
            raise ValueError("Malformed Content-Length Header.")
        if {b"Content-Length", b"Transfer-Encoding"} <= {name, *self}:  # a proxy may use the other one
            raise ValueError("Content-Length and Transfer-Encoding exclude each other.")
        super().__setitem__(name, value)


class _Request(cheroot.server.HTTPRequest):
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
    RequestHandlerClass = _Request


class _Gateway(cheroot.wsgi.Gateway_10):
    def get_environ(self) -> dict[str, Any]:  # type: ignore[override]  # its type stub says None
        return {**super().get_environ(), _REQUEST_KEY: self.req}
