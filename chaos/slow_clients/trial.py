"""Thousands of slow clients at the page and the model server, while a well-behaved client asks for answers.

A slow client opens a connection, sends what its kind says, then a byte every few seconds, and connects again when it
is disconnected. Its receive buffer is small, so that the server cannot send what it does not read. The well-behaved
client must be answered, or in a part of the cases refused with 503, within probes.GIVE_UP_SECONDS.
"""

import asyncio
import collections
import contextlib
import dataclasses
import pathlib
import resource
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable

from chaos import arguments, outcomes, probes, servers
from serving.embedded import strict_http
from web import server as page_server

CLIENTS, SHORT_CLIENTS = 3_000, 200
SECONDS, SHORT_SECONDS = 60.0, 2.0
BYTE_SECONDS = 2.0  # between two bytes of a slow client
BUFFER_BYTES, SEGMENT_BYTES = 4096, 536  # small segments also keep the server's send buffer small
CONNECT_SECONDS = 30.0  # for all of them
MIN_ANSWERED = 0.5  # share of the well-behaved client's requests; others may be refused
UPLOAD_HEAD = (
    b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
)
PREDICT_HEAD = b"POST /v1/models/pilah:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
HTTP2_START = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"  # preface, empty SETTINGS
LARGE_FILE = b"GET /static/vendor/swagger-ui/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
METADATA = b"GET /v1/models/pilah/metadata HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of slow client: what it sends at once, and the byte that it sends every few seconds ("" for none)."""

    name: str
    start: bytes
    byte: bytes = b""
    reads_slowly: bool = False


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
PAGE_KINDS = (
    Kind("silent", b""),
    Kind("slow head", b"GET / HTTP/1.1\r\nX-Slow: ", b"a"),
    Kind("slow body", UPLOAD_HEAD, b"-"),
    Kind("slow reader", LARGE_FILE, reads_slowly=True),
    Kind("pipelining without reading", (LARGE_FILE + HEALTH) * 50),
    Kind("request that never closes", b"GET /healthz HTTP/1.0\r\n\r\n", reads_slowly=True),
)
REST_KINDS = (
    Kind("silent", b""),
    Kind("slow head", b"GET / HTTP/1.1\r\nX-Slow: ", b"a"),
    Kind("slow body", PREDICT_HEAD, b" "),
    Kind("slow reader", METADATA * 50, reads_slowly=True),
    Kind("pipelining without reading", METADATA * 500),
)
GRPC_KINDS = (Kind("silent", b""), Kind("slow frame", HTTP2_START + b"\x00\x00", b"\x00"))


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    connection = socket.socket()
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        await asyncio.get_running_loop().sock_connect(connection, (servers.HOST, port))
        return await asyncio.open_connection(sock=connection, limit=16)  # reads little ahead
    except OSError:
        connection.close()
        raise


class SlowClients:
    """`count` slow clients in a thread, from the start of the block to its end.

    Attributes:
        peak: most connections that were open at the same time.
    """

    def __init__(self, port: int, kind: Kind, count: int):
        self._port, self._kind, self._count = port, kind, count
        self._open = self.peak = 0
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()))

    async def _run(self) -> None:
        await asyncio.gather(*(self._connect_repeatedly() for _ in range(self._count)))

    async def _connect_repeatedly(self) -> None:
        """Be slow until `_stopping`, and connect again, a second later, after each disconnection."""
        while not self._stopping.is_set():
            with contextlib.suppress(OSError):  # `peak` shows whether most attempts fail
                await self._be_slow(*await connect(self._port))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1.0)

    async def _be_slow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        self.peak = max(self.peak, self._open)
        try:
            writer.write(self._kind.start)
            while not self._stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), BYTE_SECONDS)
                if writer.transport.is_closing():
                    break
                writer.write(self._kind.byte)
                if reader.at_eof() or (self._kind.reads_slowly and not await reader.read(1)):
                    break
        finally:
            self._open -= 1
            writer.transport.abort()

    def wait_for(self, connections: int, seconds: float) -> None:
        """Return when as many connections were open, or after `seconds`."""
        end = time.monotonic() + seconds
        while self.peak < connections and time.monotonic() < end:
            time.sleep(0.05)

    def __enter__(self) -> "SlowClients":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._loop.close()


GOOD = ("200", "503", "RESOURCE_EXHAUSTED", "UNAVAILABLE")


def trial(
    name: str, port: int, kind: Kind, ask: Callable[[int], str], clients: int, seconds: float, limit: int
) -> outcomes.Outcome:
    """Ask for answers every 0.2 s while `clients` slow clients are connected, then until an answer as before.

    Args:
        limit: connections that the server accepts at the same time.
    """
    answers: collections.Counter[str] = collections.Counter()
    slowest = 0.0
    with SlowClients(port, kind, clients) as slow_clients:
        slow_clients.wait_for(expected := min(clients, limit), CONNECT_SECONDS)
        end = time.monotonic() + seconds
        while (start := time.monotonic()) < end:
            answers[ask(port)] += 1
            slowest = max(slowest, time.monotonic() - start)
            time.sleep(0.2)
    last, recovery = probes.recover(ask, port)
    failures = [f"{count} requests ended with {answer}" for answer, count in answers.items() if answer not in GOOD]
    if slow_clients.peak < expected:
        failures.append(f"only {slow_clients.peak:,} of {expected:,} slow clients were connected at the same time")
    if answers["200"] < MIN_ANSWERED * answers.total():
        failures.append(f"only {answers['200']} of {answers.total()} requests were answered")
    if last != "200" or recovery > probes.RECOVERY_SECONDS:
        failures.append(
            f"no answer within {probes.RECOVERY_SECONDS:g} s after the slow clients had left (took {recovery:.1f} s)"
        )
    counts = ", ".join(f"{answer}: {count}" for answer, count in sorted(answers.items()))
    print(
        f"{name}, {kind.name}, {slow_clients.peak:,} at the same time: {counts}; slowest {slowest:.2f} s, "
        f"recovery {recovery:.2f} s",
        flush=True,
    )
    return outcomes.Outcome(f"{name}, {clients:,} slow clients, {kind.name}", answers.total(), failures=tuple(failures))


def trials_of_page(page: servers.Process, clients: int, seconds: float) -> list[outcomes.Outcome]:
    limit = page_server.MAX_CONNECTIONS
    return [trial("page", page.port, kind, probes.upload, clients, seconds, limit) for kind in PAGE_KINDS]


def trials_of_model_server(model: servers.Process, clients: int, seconds: float) -> list[outcomes.Outcome]:
    limit = strict_http.MAX_CONNECTIONS
    return [trial("REST", model.rest_port, kind, probes.rest, clients, seconds, limit) for kind in REST_KINDS] + [
        trial("gRPC", model.port, kind, probes.call, clients, seconds, clients) for kind in GRPC_KINDS
    ]


def main() -> int:
    args = arguments.parser(__doc__, f"{SHORT_CLIENTS} clients for {SHORT_SECONDS:g} s each.").parse_args()
    clients, seconds = (SHORT_CLIENTS, SHORT_SECONDS) if args.short else (CLIENTS, SECONDS)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    from chaos import small_model  # loads TensorFlow

    with (
        tempfile.TemporaryDirectory() as folder,
        servers.model_server(small_model.write(pathlib.Path(folder))) as model,
    ):
        results = trials_of_model_server(model, clients, seconds)
        with servers.page(model.port) as page:
            results += trials_of_page(page, clients, seconds)
    return outcomes.report(results)


if __name__ == "__main__":
    sys.exit(main())
