"""The page's server: clients that do not read their responses."""

import contextlib
import http.client
import socket
import struct
import threading

import pytest
import web_app

from web import server

LARGE_BYTES = 20_000_000  # more than sockets hold
REQUEST = b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"
SETTINGS = {"threads": 1, "channel_timeout": 1, "outbuf_high_watermark": 1_000_000}


def application(environ, start_response):
    length = LARGE_BYTES if environ["PATH_INFO"] == "/large" else 1
    start_response("200 OK", [("Content-Length", str(length))])
    return [bytes(length)]


@pytest.fixture
def running():
    """Return a server with one thread, which disconnects clients that read nothing for a second."""
    running = server.Server(application, listen="127.0.0.1:0", **{**server.SETTINGS, **SETTINGS})
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
    client = socket.create_connection(("127.0.0.1", int(running.effective_port)))
    client.sendall(sent)
    web_app.wait_until(lambda: any(connection.total_outbufs_len for connection in running.active_channels.values()))
    return client


def status(running):
    connection = http.client.HTTPConnection("127.0.0.1", int(running.effective_port), timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        return connection.getresponse().status


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
