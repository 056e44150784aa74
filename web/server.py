"""Serve the page with waitress: `python -m web.server --bind HOST:PORT`.

waitress reads requests and sends responses in its main loop, so that slow clients hold no thread. It has no deadline
for a request or a response, no limit of all requests together, and drops current requests when it ends: `Server` adds
these. It does not allow pipelining, as a thread would wait until the client has read enough of the earlier responses.
"""

import argparse
import contextlib
import logging
import os
import signal
import sys
import time
from typing import Any

import flask
from waitress import channel, parser, server, task, utilities

import web
from serving import process_limits
from web import readiness, security

THREADS = 40  # requests handled at once: 32 photos that are decoded or queued (decoding.py), and 8 others
MAX_CONNECTIONS = 2000
CROWDED = 0.75  # share of MAX_CONNECTIONS from which slow clients have CROWDED_SECONDS
IDLE_SECONDS = 10.0  # without a request
READ_SECONDS, MIN_BYTES_PER_SECOND = 20.0, 500.0  # a request has 20 s, and a second for each 500 bytes, as in Apache
STALLED_SECONDS = 30  # a client that is this far behind MIN_BYTES_PER_SECOND of its response is disconnected
CROWDED_SECONDS = 5.0  # instead of each of these
QUEUE_SECONDS = 3.0  # time for which a complete request waits for a thread, so that an overload is over soon after
GRACE_SECONDS = 30.0
RETRY_SECONDS = 5
MAX_BODY_BYTES = 64 * 2**20  # more than a phone's photo: the page answers a longer photo with its limit
MAX_RECEIVED_BYTES = 300 * 2**20  # of all requests that are read or handled
SMALL_BYTES = 64 * 2**10  # requests up to this are always read
ACCEPTED_AT_ONCE = 100  # in one turn of the main loop, which looks at every connection
FILES_PER_CONNECTION = 3  # itself, the file that is sent to it, and one in reserve
SETTINGS: dict[str, Any] = {
    "threads": THREADS,
    "connection_limit": MAX_CONNECTIONS,
    "cleanup_interval": 1,
    "channel_timeout": STALLED_SECONDS,
    "inbuf_overflow": 2 * MAX_BODY_BYTES,  # in memory: the main loop could not answer for a full disk
    "max_request_body_size": MAX_BODY_BYTES,
    "max_request_header_size": 32 * 2**10,
    "recv_bytes": 64 * 2**10,
    "asyncore_use_poll": True,  # select() fails with more than 1024 files
    "clear_untrusted_proxy_headers": False,  # the application knows its proxies (TRUSTED_PROXIES)
    "log_socket_errors": False,
    "ident": None,
}
log = logging.getLogger("web.server")


class Unavailable(utilities.Error):
    code, reason = 503, "Service Unavailable"


class TooSlow(utilities.Error):
    code, reason = 408, "Request Timeout"


class ErrorTask(task.ErrorTask):
    """Answers a request that does not reach the application; waitress's answer quotes the request."""

    def execute(self) -> None:
        self.status = f"{self.request.error.code} {self.request.error.reason}"
        log.warning("Refused a request from %s: %s", self.channel.addr[0], self.status)
        headers = {**security.HEADERS, "Cache-Control": "no-store", "Content-Type": "text/plain"}
        if self.status.startswith("503"):
            headers["Retry-After"] = str(RETRY_SECONDS)
        self.response_headers.extend(headers.items())
        self.content_length = len(self.status) + 1
        self.set_close_on_finish()
        self.write(f"{self.status}\n".encode())


class Request(parser.HTTPRequestParser):
    def parse_header(self, header_plus: bytes) -> None:
        """Refuse two lengths of a body, of which a proxy may use the other one (RFC 9112, section 6.1)."""
        super().parse_header(header_plus)
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise parser.ParsingError("Transfer-Encoding and Content-Length")


class Discarded(parser.HTTPRequestParser):
    completed = empty = True

    def received(self, data: bytes) -> int:
        return len(data)


class Connection(channel.HTTPChannel):
    """A connection whose request and response have a deadline.

    Attributes:
        since: when its request began, or its last response ended, in seconds of `time.time`; while a response is sent,
            each byte moves it on by 1 / MIN_BYTES_PER_SECOND.
    """

    request: Any  # that is not complete yet, or None
    requests: list[Any]  # the complete request, until it is answered
    error_task_class = ErrorTask

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.since = self.creation_time

    def parser_class(self, adjustments: Any) -> parser.HTTPRequestParser:
        """Return the parser of the next request. What follows an unanswered one in its packet is discarded."""
        if not self.requests:
            return Request(adjustments)
        self.requests[0].headers["CONNECTION"] = "close"
        return Discarded(adjustments)

    def received(self, data: bytes) -> bool:
        if self.request is None:
            self.since = time.time()
        elif self.size() > SMALL_BYTES and self.server.size() > MAX_RECEIVED_BYTES:
            self.request.body_rcv.error = Unavailable("")  # which ends the request
        is_received: bool = super().received(data)
        return is_received

    def service(self) -> None:
        """Answer a request in a thread."""
        with self.requests_lock:  # waits until `received` has looked at what follows the request
            pass
        if time.time() - self.last_activity > QUEUE_SECONDS:
            self.requests[0].error = Unavailable("")
        self.since = time.time()
        super().service()
        self.since = time.time()

    def send(self, data: bytes, do_close: bool = True) -> int:
        sent: int = super().send(data, do_close)
        self.since = min(time.time(), self.since + sent / MIN_BYTES_PER_SECOND)
        return sent

    def handle_close(self) -> None:
        """Answer a request that stays incomplete, unless earlier responses are not read, and close the connection."""
        request, self.request = self.request, None
        if request and self.connected and not self.is_answered():
            request.error = request.error or utilities.BadRequest("")
            with contextlib.suppress(OSError, channel.ClientDisconnected):
                ErrorTask(self, request).service()
        super().handle_close()

    def size(self) -> int:
        """Return the bytes of bodies that it holds."""
        return sum(request.body_bytes_received for request in [*self.requests, self.request] if request)

    def is_answered(self) -> bool:
        """Return whether a request is handled, or its response is sent."""
        return bool(self.requests or self.total_outbufs_len)

    def is_used(self) -> bool:
        """Return whether a request is read or answered."""
        return bool(self.request) or self.is_answered()

    def is_too_slow(self, now: float, is_crowded: bool) -> bool:
        """Return whether the time is over for what its client does."""
        if self.requests and self.total_outbufs_len <= self.adj.outbuf_high_watermark:
            return False  # its request is complete, and its thread does not wait until the client has read more
        if self.total_outbufs_len:
            return now - self.since > (CROWDED_SECONDS if is_crowded else self.adj.channel_timeout)
        seconds = CROWDED_SECONDS if is_crowded else READ_SECONDS if self.request else IDLE_SECONDS
        return now - self.since > seconds + self.size() / MIN_BYTES_PER_SECOND


class Server(server.TcpWSGIServer):
    """Disconnects slow clients, the sooner the fewer connections are left, and ends when requests are answered."""

    channel_class = Connection
    is_ending = False

    def handle_accept(self) -> None:
        for _ in range(min(ACCEPTED_AT_ONCE, self.adj.connection_limit - len(self._map))):
            super().handle_accept()

    def size(self) -> int:
        """Return the bytes of all requests that are read or handled."""
        return sum(connection.size() for connection in self.active_channels.values())

    def maintenance(self, now: float) -> None:
        """Disconnect slow clients; waitress calls it each second."""
        super().maintenance(now)
        is_crowded = len(self.active_channels) > CROWDED * self.adj.connection_limit
        slow = [connection for connection in self.active_channels.values() if connection.is_too_slow(now, is_crowded)]
        for connection in slow:
            if connection.request:
                connection.request.error = TooSlow("")
            connection.will_close = True
            if connection.total_outbufs_len:  # waitress would wait until it can send, which this client prevents
                connection.handle_close()
        if is_crowded:
            log.warning("%d connections, of which %d slow ones are closed", len(self.active_channels), len(slow))

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then finish current requests; a second signal ends at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        while not self.is_ending:
            self._loop()
        self.del_channel()
        self.socket.close()
        deadline = time.monotonic() + GRACE_SECONDS
        while self.active_channels and time.monotonic() < deadline:
            for connection in self.active_channels.values():
                connection.will_close |= not connection.is_used()
            self.maintenance(time.time())
            self._loop()

    def _loop(self) -> None:
        self.asyncore.loop(1.0, use_poll=True, map=self._map, count=1)

    def _end(self, number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        self.is_ending = True
        self.pull_trigger()


def main() -> None:
    parser = argparse.ArgumentParser("python -m web.server", description="Serve the web page.")
    parser.add_argument("--bind", default="0.0.0.0:8000", help="Address and port of the page.")
    bind = parser.parse_args().bind
    os.umask(0o077)  # only the page's own user may read its files
    process_limits.limit_heaps()
    files = process_limits.allow_open_files(FILES_PER_CONNECTION * MAX_CONNECTIONS)
    connection_limit = min(SETTINGS["connection_limit"], files // FILES_PER_CONNECTION)
    app = web.create_app()
    prefix = app.config["PILAH"].script_name
    server = _bind(app, bind, prefix, connection_limit)
    readiness.log_state(app)
    app.extensions["pilah_uploads"].start_retrying(app)
    log.info("web page at http://%s:%s%s", server.effective_host, server.effective_port, prefix)
    server.run()


def _bind(app: flask.Flask, bind: str, prefix: str, connection_limit: int) -> Server:
    logging.getLogger("waitress").handlers = log.parent.handlers if log.parent else []
    logging.getLogger("waitress").setLevel(logging.WARNING)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a line for each request beyond the threads
    host, _, port = bind.rpartition(":")
    if not (host and port.isdecimal() and int(port) < 2**16):
        sys.exit(f"web: --bind must be HOST:PORT, with a port below 65536 (got {bind}).")
    is_ipv6 = host.startswith("[")
    settings = {**SETTINGS, "connection_limit": connection_limit, "server_name": host, "url_prefix": prefix}
    try:
        return Server(app, listen=bind, ipv4=not is_ipv6, ipv6=is_ipv6, **settings)
    except (OSError, ValueError) as error:  # ValueError: the host is unknown
        reason = getattr(error, "strerror", None) or "the host is unknown"
        sys.exit(f"web: --bind {bind}: {reason}. Choose another address, or stop the program that uses it.")


if __name__ == "__main__":
    main()
