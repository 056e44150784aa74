"""The page's worker: slow clients are cut, and leave room for others."""

import concurrent.futures
import contextlib
import functools
import shutil
import socket
import subprocess
import sys
import time

import pytest
import web_app

CONFIG = """
from web import gunicorn_worker
from web.gunicorn_config import *

threads = 2
worker_connections = 20
gunicorn_worker.READ_SECONDS = {read_seconds}
gunicorn_worker.MIN_AGE_SECONDS = {min_age_seconds}
gunicorn_worker.PLACE_SECONDS = 0.1
gunicorn_worker.MAX_RECEIVED_BYTES = 1_000_000
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
    """Return page(read_seconds, min_age_seconds), the port of a page of 20 connections, which its tests share."""
    shutil.copyfile(tables := make_tables("sqlite"), folder / tables.name)
    with contextlib.ExitStack() as stack:

        @functools.cache
        def start(read_seconds=NEVER, min_age_seconds=NEVER):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            config = folder / f"{port}.py"
            config.write_text(CONFIG.format(read_seconds=read_seconds, min_age_seconds=min_age_seconds))
            data = {"PILAH_ENV": "development", "PILAH_DATA": str(folder), "SERVING_TARGET": model_server.target}
            data |= {"UPLOAD_RATE": "100000 per minute"}
            command = [sys.executable, "-m", "gunicorn", "--config", str(config), "--bind", f"127.0.0.1:{port}"]
            process = subprocess.Popen(
                [*command, "web:create_app()"],
                cwd=web_app.ROOT,
                env=web_app.environment(**data),
                stderr=stack.enter_context((folder / "log").open("ab")),
            )
            stack.enter_context(process)
            stack.callback(process.kill)  # terminating would wait for slow clients
            web_app.wait_until(lambda: status(port) == b"200")
            return port

        yield start


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def answer(connection):
    with contextlib.suppress(ConnectionResetError):
        return b"".join(iter(lambda: connection.recv(65536), b""))
    return b""


def status(port):
    """Return the status of a request on a new connection, or b"" without an answer."""
    with contextlib.suppress(OSError), connect(port) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return answer(client)[9:12]
    return b""


@pytest.mark.parametrize("start", STARTS)
def test_page_answers_while_more_slow_clients_than_threads_are_connected(page, start):
    port = page()
    with contextlib.ExitStack() as clients:
        for _ in range(15):
            clients.enter_context(connect(port)).sendall(STARTS[start])
        assert [status(port) for _ in range(4)] == [b"200"] * 4


def test_page_answers_while_clients_do_not_close_their_side(page):
    port = page(min_age_seconds=0)
    with contextlib.ExitStack() as clients:
        for _ in range(15):
            client = clients.enter_context(connect(port))
            client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert status(port) == b"200"  # gthread's main loop waits for 2 s for each


def test_clients_beyond_the_connections_are_refused_with_a_time_to_come_back(page):
    port = page()
    with contextlib.ExitStack() as clients:
        for _ in range(20):
            clients.enter_context(connect(port)).sendall(FORM)
        with connect(port) as client:
            client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            refusal = answer(client)
    assert refusal.startswith(b"HTTP/1.1 503 ") and b"\r\nRetry-After: 5\r\n" in refusal
    assert b"\r\nContent-Security-Policy: " in refusal
    web_app.wait_until(lambda: status(port) == b"200")


@pytest.mark.parametrize("start", STARTS)
def test_oldest_slow_client_makes_room_for_a_new_one(page, start):
    port = page(min_age_seconds=0)
    with contextlib.ExitStack() as clients:
        slow = [clients.enter_context(connect(port)) for _ in range(20)]
        for client in slow:
            client.sendall(STARTS[start])
        assert status(port) == b"200"
        assert answer(slow[0])[:12] == b"HTTP/1.1 503"
        slow[-1].setblocking(False)
        with pytest.raises(BlockingIOError):
            slow[-1].recv(1)


@pytest.mark.parametrize("start", ["head", "body"])
def test_client_below_the_rate_is_cut_though_it_keeps_sending(page, start):
    with connect(page(read_seconds=1)) as client:
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
    assert received.startswith(b"HTTP/1.1 408 ")


def test_requests_that_are_too_large_together_are_refused(page, folder):
    port = page()
    with contextlib.ExitStack() as clients:
        for _ in range(4):
            clients.enter_context(connect(port)).sendall(FORM + bytes(200_000))
        with connect(port) as client:
            with contextlib.suppress(ConnectionError):
                client.sendall(FORM + bytes(2_000_000))
            assert answer(client)[:12] in (b"HTTP/1.1 503", b"")  # a reset may overtake the refusal
        assert status(port) == b"200"
    web_app.wait_until(lambda: b"ones cut" in (folder / "log").read_bytes())


def test_requests_that_wait_too_long_for_a_place_are_refused(page, model):
    port = page()
    model.before_answer = lambda picture: time.sleep(1)
    body = (
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
        + web_app.photo()
        + b"\r\n--x--"
    )
    request = FORM.replace(b"10000000", str(len(body)).encode())[: -len(b"--x\r\n")] + body

    def upload(_):
        with connect(port) as client:
            client.sendall(request.replace(b"Host", b"Connection: close\r\nHost"))
            return answer(client)[9:12]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(upload, range(4)))
    assert statuses[0] in (b"200", b"202") and statuses[-1] == b"503"


def test_chunked_upload_is_answered(page):
    with connect(page()) as client:
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
        assert answer(client).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("rest", [b"zz\r\n", b"5\r\nabcdefgh", b"5\r\nab"])
def test_wrong_chunk_is_a_bad_request_without_a_traceback(page, folder, rest):
    with connect(page()) as client:
        client.sendall(
            FORM.replace(b"Content-Length: 10000000", b"Transfer-Encoding: chunked")[: -len(b"--x\r\n")] + rest
        )
        client.shutdown(socket.SHUT_WR)
        assert answer(client).startswith(b"HTTP/1.1 400 ")
    assert b"Traceback" not in (folder / "log").read_bytes()


def test_expect_100_continue_is_answered_once(page):
    with connect(page()) as client:
        client.sendall(
            b"POST /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"ab")
        assert answer(client).count(b"HTTP/1.1 ") == 1


def test_two_requests_on_one_connection_are_answered(page):
    with connect(page()) as client:
        client.sendall(b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab" * 2)
        received = b""
        while received.count(b"HTTP/1.1 404") < 2:
            received += client.recv(65536)
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b"HTTP/1.1 200 " in received + answer(client)
