"""The page's server: slow clients are cut, and leave room for others."""

import concurrent.futures
import contextlib
import functools
import http.client
import shutil
import socket
import subprocess
import sys
import time

import pytest
import raw_http
import web_app

START = """
from web import server
server.SETTINGS |= {{"threads": 2, "connection_limit": 20}}
server.READ_SECONDS = {read_seconds}
server.CROWDED_SECONDS = {crowded_seconds}
server.QUEUE_SECONDS = 0.1
server.MAX_RECEIVED_BYTES = 1_000_000
server.main()
"""
HEAD = b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n"
FORM = HEAD + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
NEVER = 1000.0
STARTS = {"silent": b"", "head": HEAD, "body": FORM}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def page(folder, make_tables, model_server):
    """Return page(read_seconds, crowded_seconds), the port of a page of 20 connections, which its tests share."""
    shutil.copyfile(tables := make_tables("sqlite"), folder / tables.name)
    with contextlib.ExitStack() as stack:

        @functools.cache
        def start(read_seconds=NEVER, crowded_seconds=NEVER):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            start = START.format(read_seconds=read_seconds, crowded_seconds=crowded_seconds)
            data = {"PILAH_ENV": "development", "PILAH_DATA": str(folder), "SERVING_TARGET": model_server.target}
            data |= {"UPLOAD_RATE": "100000 per minute"}
            command = [sys.executable, "-c", start, "--bind", f"127.0.0.1:{port}"]
            process = subprocess.Popen(
                command,
                cwd=web_app.ROOT,
                env=web_app.environment(**data),
                stderr=stack.enter_context((folder / "log").open("ab")),
            )
            stack.enter_context(process)
            stack.callback(process.kill)  # terminating would wait for slow clients
            web_app.wait_until(lambda: status(port) == b"200")
            return port

        yield start


def status(port):
    """Return the status of a request on a new connection, or b"" without an answer."""
    with contextlib.suppress(OSError), raw_http.connect(port) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return raw_http.answer(client)[9:12]
    return b""


@pytest.mark.parametrize("start", STARTS)
def test_page_answers_while_more_slow_clients_than_threads_are_connected(page, start):
    port = page()
    with contextlib.ExitStack() as clients:
        for _ in range(15):
            clients.enter_context(raw_http.connect(port)).sendall(STARTS[start])
        assert [status(port) for _ in range(4)] == [b"200"] * 4


def test_page_answers_while_clients_do_not_close_their_side(page):
    port = page(crowded_seconds=0)
    with contextlib.ExitStack() as clients:
        for _ in range(15):
            client = clients.enter_context(raw_http.connect(port))
            client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.0 200 ")
        assert status(port) == b"200"


@pytest.mark.parametrize("start", STARTS)
def test_slow_clients_make_room_when_no_connections_are_left(page, start):
    port = page(crowded_seconds=0)
    with contextlib.ExitStack() as clients:
        slow = [clients.enter_context(raw_http.connect(port)) for _ in range(20)]
        for client in slow:
            client.sendall(STARTS[start])
        assert status(port) == b"200"
        assert raw_http.answer(slow[0])[9:12] == (b"408" if STARTS[start] else b"")


@pytest.mark.parametrize("start", ["head", "body"])
def test_client_below_the_rate_is_disconnected_though_it_keeps_sending(page, start):
    with raw_http.connect(page(read_seconds=1)) as client:
        client.sendall(STARTS[start] + (b"X-A: " if start == "head" else b""))
        with contextlib.suppress(ConnectionError):
            while True:
                client.sendall(b"a")
                time.sleep(0.1)
                client.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    received = client.recv(65536)
                    break
                client.settimeout(20)
    assert b" 408 " in received[:20]


def test_requests_that_are_too_large_together_are_refused(page, folder):
    port = page()
    with contextlib.ExitStack() as clients:
        for _ in range(4):
            clients.enter_context(raw_http.connect(port)).sendall(FORM + bytes(200_000))
        with raw_http.connect(port) as client:
            with contextlib.suppress(ConnectionError):
                client.sendall(FORM + bytes(2_000_000))
            assert raw_http.answer(client)[:12] in (b"HTTP/1.1 503", b"")  # a reset may overtake the refusal
        assert status(port) == b"200"
    web_app.wait_until(lambda: b"Refused a request" in (folder / "log").read_bytes())


def test_requests_that_wait_too_long_for_a_thread_are_refused(page, model):
    port = page()
    model.before_answer = lambda picture: time.sleep(1)
    body = (
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
        + web_app.photo()
        + b"\r\n--x--"
    )
    request = FORM.replace(b"10000000", str(len(body)).encode())[: -len(b"--x\r\n")] + body

    def upload(_):
        with raw_http.connect(port) as client:
            client.sendall(request.replace(b"Host", b"Connection: close\r\nHost"))
            return raw_http.answer(client)[9:12]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(upload, range(4)))
    assert statuses[0] in (b"200", b"202") and statuses[-1] == b"503"


def test_chunked_upload_is_answered(page):
    with raw_http.connect(page()) as client:
        head = FORM.replace(b"Content-Length: 10000000", b"Transfer-Encoding: chunked")[: -len(b"--x\r\n")]
        part = (
            b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
            + web_app.photo()
            + b"\r\n--x--"
        )
        client.sendall(head.replace(b"Host", b"Connection: close\r\nHost"))
        for piece in (part[:100], part[100:]):
            client.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        client.sendall(b"0\r\n\r\n")
        assert raw_http.answer(client).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("rest", [b"zz\r\n", b"5\r\nabcdefgh", b"5\r\nab"])
def test_wrong_chunk_is_a_bad_request_without_a_traceback(page, folder, rest):
    with raw_http.connect(page()) as client:
        client.sendall(
            FORM.replace(b"Content-Length: 10000000", b"Transfer-Encoding: chunked")[: -len(b"--x\r\n")] + rest
        )
        client.shutdown(socket.SHUT_WR)
        assert raw_http.answer(client).startswith(b"HTTP/1.1 400 ")
    assert b"Traceback" not in (folder / "log").read_bytes()


def test_request_with_two_lengths_of_its_body_is_refused_and_the_connection_closed(page):
    with raw_http.connect(page()) as connection:
        connection.sendall(b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n")
        connection.sendall(b"Content-Length: 48\r\n\r\n0\r\n\r\n")
        response = raw_http.answer(connection)
    assert response.startswith(b"HTTP/1.1 400 ") and b"Connection: close" in response


def test_expect_100_continue_is_answered_once(page):
    with raw_http.connect(page()) as client:
        client.sendall(
            b"POST /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"ab")
        assert raw_http.answer(client).count(b"HTTP/1.1 ") == 1


def test_requests_on_one_connection_are_answered_one_after_another(page):
    connection = http.client.HTTPConnection("127.0.0.1", page(), timeout=20)
    with contextlib.closing(connection):
        connection.connect()
        first_socket = connection.sock
        for _ in range(2):
            connection.request("POST", "/nothing", b"ab")
            response = connection.getresponse()
            response.read()
            assert response.status == 404 and connection.sock is first_socket
