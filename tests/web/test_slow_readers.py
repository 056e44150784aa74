"""The page's server: clients that do not read their responses."""

import contextlib
import http.client
import socket
import struct
import threading
import time

import pytest
import raw_http
import web_app

from web import server

LENGTHS = {"/large": 20_000_000, "/medium": 900_000}  # path -> bytes: more than sockets hold, less than a buffer
REQUEST = b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"
PIPELINED = REQUEST.replace(b"large", b"medium") * 3
BUFFER_BYTES = 4096  # of sockets, so that the server can send about as much as its client reads
SETTINGS = {"threads": 1, "channel_timeout": 1, "outbuf_high_watermark": 1_000_000}


def application(environ, start_response):
    length = LENGTHS.get(environ["PATH_INFO"], 1)
    start_response("200 OK", [("Content-Length", str(length))])
    return [bytes(length)]


@pytest.fixture
def running():
    """Return a server with one thread, which disconnects clients that are a second behind the rate."""
    running = server.Server(application, listen="127.0.0.1:0", **{**server.SETTINGS, **SETTINGS})
    running.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    ending = threading.Event()

    def loop():
        while not ending.is_set():
            running._loop()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    yield running
    ending.set()
    thread.join(5)
    running.task_dispatcher.shutdown()
    for connection in [*running.active_channels.values()]:
        connection.close()
    running.close()


def connect(running, sent):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    client.connect(("127.0.0.1", int(running.effective_port)))
    client.sendall(sent)
    web_app.wait_until(lambda: any(connection.total_outbufs_len for connection in running.active_channels.values()))
    return client


def status(running):
    connection = http.client.HTTPConnection("127.0.0.1", int(running.effective_port), timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        return connection.getresponse().status


def read_slowly(client):
    """Read 40 kB a second, and return what was read until the server disconnects."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(2000):
            received += piece
            time.sleep(0.05)
    return received


@pytest.mark.parametrize("sent", [REQUEST, REQUEST * 3], ids=["one request", "several requests"])
def test_client_that_reads_nothing_is_disconnected_and_holds_no_thread(running, sent):
    with connect(running, sent):
        assert status(running) == 200
        web_app.wait_until(lambda: not running.active_channels, 10)


def test_client_that_resets_a_connection_with_an_incomplete_request_stops_no_other(running):
    client = connect(running, REQUEST + b"GET / HT")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # lets close() send a reset
    client.close()
    assert status(running) == 200


@pytest.mark.parametrize("keep_alive", [b"HTTP/1.1", b"HTTP/1.0\r\nConnection: keep-alive"], ids=["1.1", "1.0"])
def test_first_of_pipelined_requests_is_answered_and_the_connection_closed(running, keep_alive):
    with raw_http.connect(int(running.effective_port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".replace(b"HTTP/1.1", keep_alive) * 3 + b"GET / HT")
        answer = raw_http.answer(client)
    assert answer.count(b"HTTP/1.") == 1 and b" 200 OK\r\n" in answer and b"\r\nConnection: close\r\n" in answer


def test_client_that_pipelines_and_reads_slowly_holds_no_thread(running):
    with connect(running, PIPELINED) as client:
        reader = threading.Thread(target=read_slowly, args=(client,))
        reader.start()
        assert status(running) == 200
        assert reader.is_alive()
        client.shutdown(socket.SHUT_RDWR)
        reader.join()


@pytest.mark.parametrize("rate", [10_000, 200_000])
def test_only_a_client_below_the_rate_is_disconnected_though_it_keeps_reading(running, monkeypatch, rate):
    monkeypatch.setattr(server, "MIN_BYTES_PER_SECOND", rate)
    monkeypatch.setitem(LENGTHS, "/large", 200_000)
    with connect(running, REQUEST.replace(b"Host", b"Connection: close\r\nHost")) as client:
        _, _, body = read_slowly(client).partition(b"\r\n\r\n")
    assert (len(body) == LENGTHS["/large"]) == (rate == 10_000)
