"""A small model server for tests of the client."""

import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import fake_serving
import pytest


@pytest.fixture
def serve() -> Iterator[Callable[..., fake_serving.Server]]:
    """Yield serve(answer, states=..., health_status=..., credentials=...), whose servers stop after the test."""
    servers = []

    def start(
        answer: fake_serving.Answer = lambda *_: fake_serving.prediction(fake_serving.SCORES),
        states: Mapping[int, str] = fake_serving.AVAILABLE,
        health_status: str = "SERVING",
        credentials: Any = None,
    ) -> fake_serving.Server:
        servers.append(fake_serving.Server(answer, states, health_status, credentials))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def nowhere() -> Iterator[str]:
    """Yield the HOST:PORT of a port on which no program listens."""
    with socket.socket() as bound_socket:
        bound_socket.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound_socket.getsockname()[1]}"
