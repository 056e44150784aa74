"""Slow clients of the REST server: they are cut, and leave threads for others."""

import contextlib
import time

import pytest
import raw_http

from serving.embedded import rest_server, slow_connections, strict_http, versions

HEAD = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: a\r\n"
STARTS = {"silent": b"", "head": HEAD, "body": HEAD + b"Content-Length: 50\r\n\r\n{"}
NEXT = b"GET /v1/models/next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture
def port(monkeypatch):
    """Yield the port of a server with four threads and without a model, so that it answers 404."""
    monkeypatch.setattr(rest_server, "READERS", 2)
    monkeypatch.setattr(slow_connections, "CHECK_SECONDS", 0.05)
    running = rest_server.RestServer(versions.Models(None), "127.0.0.1", 0, None, threads=2)
    yield running.start()
    running.drain(0.1)


def status(port):
    with raw_http.connect(port) as client:
        client.sendall(NEXT)
        return raw_http.answer(client)[9:12]


@contextlib.contextmanager
def slow_clients(port, start, count):
    with contextlib.ExitStack() as clients:
        connections = [clients.enter_context(raw_http.connect(port)) for _ in range(count)]
        for connection in connections:
            connection.sendall(STARTS[start])
        time.sleep(0.2)  # the server reads what was sent
        yield connections


@pytest.mark.parametrize("start", STARTS)
def test_oldest_slow_clients_make_room_for_others(port, monkeypatch, start):
    monkeypatch.setattr(slow_connections, "MIN_AGE_SECONDS", 0.0)
    with slow_clients(port, start, 20):
        assert [status(port) for _ in range(6)] == [b"404"] * 6


@pytest.mark.parametrize("start", ["head", "body"])
def test_others_are_refused_while_slow_clients_are_young(port, start):
    with slow_clients(port, start, 4), raw_http.connect(port) as client:
        client.sendall(NEXT)
        refusal = raw_http.answer(client)
    assert refusal.startswith(b"HTTP/1.1 503 ") and b"\r\nRetry-After: " in refusal


def test_connections_beyond_the_limit_are_refused_while_others_are_young(port, monkeypatch):
    monkeypatch.setattr(strict_http, "MAX_CONNECTIONS", 3)
    monkeypatch.setattr(strict_http, "MIN_IDLE_SECONDS", 1000.0)
    with slow_clients(port, "silent", 3):
        assert status(port) == b"503"


def test_oldest_silent_client_beyond_the_limit_makes_room(port, monkeypatch):
    monkeypatch.setattr(strict_http, "MAX_CONNECTIONS", 3)
    monkeypatch.setattr(strict_http, "MIN_IDLE_SECONDS", 0.0)
    with slow_clients(port, "silent", 3) as clients:
        assert status(port) == b"404"
        assert raw_http.answer(clients[0]) == b""
        clients[2].sendall(NEXT)
        assert raw_http.answer(clients[2])[9:12] == b"404"


def test_refused_client_that_keeps_sending_is_disconnected(port, monkeypatch):
    monkeypatch.setattr(strict_http, "LINGER_SECONDS", 0.1)
    with slow_clients(port, "body", 4), raw_http.connect(port) as client:
        client.sendall(NEXT)
        with pytest.raises(ConnectionError):
            while True:
                client.sendall(b"a")
                time.sleep(0.05)


@pytest.mark.parametrize("start", ["head", "body"])
def test_client_below_the_rate_is_cut_though_it_keeps_sending(port, monkeypatch, start):
    monkeypatch.setattr(slow_connections, "READ_SECONDS", 0.5)
    with raw_http.connect(port) as client:
        client.sendall(STARTS[start] + (b"X-A: " if start == "head" else b""))
        with pytest.raises(ConnectionError):
            while True:
                client.sendall(b" ")
                time.sleep(0.05)


def test_cut_body_is_answered_with_the_reason(port, monkeypatch):
    monkeypatch.setattr(slow_connections, "READ_SECONDS", 0.2)
    with raw_http.connect(port) as client:
        client.sendall(STARTS["body"])
        received = raw_http.answer(client)
    assert received.startswith(b"HTTP/1.1 400 ") and b"it arrived too slowly" in received


def test_pipelined_requests_of_a_refused_client_end_with_its_connection(port):
    with slow_clients(port, "body", 3), raw_http.connect(port) as client:
        client.sendall(NEXT.replace(b"Connection: close\r\n", b"") * 20)
        with slow_clients(port, "body", 1):
            assert b"HTTP/1.1 " in client.recv(65536)
    deadline = time.monotonic() + 20
    while status(port) != b"404":  # the server still works
        assert time.monotonic() < deadline
