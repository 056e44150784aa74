"""Connections to a server on this machine, for requests that no HTTP library sends."""

import contextlib
import socket


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def answer(connection: socket.socket) -> bytes:
    """Return all that the server sends until it closes the connection; nothing if it resets it."""
    with contextlib.suppress(ConnectionResetError):
        return b"".join(iter(lambda: connection.recv(65536), b""))
    return b""
