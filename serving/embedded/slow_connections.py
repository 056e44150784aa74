"""Cut the connections of slow clients, so that they do not keep the threads of the REST server."""

import contextlib
import socket
import threading
import time
from typing import Any

READ_SECONDS, MIN_BYTES_PER_SECOND = 20.0, 500.0  # a request has 20 s, and a second for each 500 bytes, as in Apache
MIN_AGE_SECONDS = 5.0  # a younger request or response is not cut to make room
CHECK_SECONDS = 1.0


class SlowConnections:
    """The connections whose requests are read or whose responses are sent, each in one of the server's threads."""

    def __init__(self) -> None:
        self._since: dict[Any, tuple[float, bool]] = {}  # connection -> when it began, and whether a request is read
        self._lock = threading.Lock()
        self._ending = threading.Event()

    def start(self) -> None:
        """Cut the requests that take too long, in a thread, until `stop`."""
        threading.Thread(target=self._run, name="slow-connections", daemon=True).start()

    def stop(self) -> None:
        self._ending.set()

    def begin(self, connection: Any, is_read: bool) -> None:
        """Begin to read a request, or to send its response."""
        with self._lock:
            if not connection.is_cut:  # its thread is free soon, so that cutting it again makes no room
                self._since[connection] = (time.monotonic(), is_read)

    def end(self, connection: Any) -> None:
        """Keep the connection, as its request is handled or its response was sent."""
        with self._lock:
            self._since.pop(connection, None)

    def cut_oldest(self) -> bool:
        """Cut the connection that takes longest; return False if all are young."""
        newest = time.monotonic() - MIN_AGE_SECONDS
        with self._lock:
            oldest = min(self._since, key=self._since.__getitem__, default=None)
            if oldest is None or self._since[oldest][0] > newest:
                return False
            self._cut(oldest)
            return True

    def _run(self) -> None:
        while not self._ending.wait(CHECK_SECONDS):
            now = time.monotonic()
            with self._lock:
                for connection, (since, is_read) in list(self._since.items()):
                    allowed = READ_SECONDS + connection.received / MIN_BYTES_PER_SECOND
                    if is_read and now - since > allowed:
                        self._cut(connection)

    def _cut(self, connection: Any) -> None:
        """End the thread's call: a request can still be answered, a response cannot."""
        _, is_read = self._since.pop(connection)
        connection.is_cut = True
        with contextlib.suppress(OSError):
            connection.socket.shutdown(socket.SHUT_RD if is_read else socket.SHUT_RDWR)
