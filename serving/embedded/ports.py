"""Check that the server's ports are free before it imports TensorFlow and loads models."""

import socket


def check(host: str, *ports: int) -> None:
    """Raise OSError if the server could not listen on one of `ports` at any address of `host`."""
    for port in ports:
        try:
            _bind(host, port)
        except OSError as error:
            raise OSError(f"Failed to bind to address {host}:{port}: {error}") from error


def _bind(host: str, port: int) -> None:
    """Bind to `port` with the servers' socket options, and release it."""
    errors = []
    for family, kind, _, _, address in socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM):
        try:
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed connections still hold the port
                return probe.bind(address)
        except OSError as error:
            errors.append(error)
    raise errors[0]
