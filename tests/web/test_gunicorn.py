"""The page under gunicorn, as it is deployed, with clients that stall."""

import contextlib
import socket
import subprocess
import sys
import time

import pytest
import web_app

CONFIG = """
from web import gunicorn_config
from web.gunicorn_config import *

gunicorn_config.STALLED_SECONDS = 1
threads = 2
"""
HEAD = b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
STALLED = {  # what a client sends before it says nothing more
    "head": HEAD,
    "body": HEAD + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n",
}


@pytest.fixture
def port(tmp_path, model):
    """The port of a page with two threads that waits a second for clients that stall."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = tmp_path / "config.py"
    config.write_text(CONFIG)
    data = {"PILAH_ENV": "development", "PILAH_DATA": str(tmp_path), "SERVING_TARGET": model.target}
    command = [sys.executable, "-m", "gunicorn", "--config", str(config), "--bind", f"127.0.0.1:{port}"]
    with subprocess.Popen(
        [*command, "web:create_app()"], cwd=web_app.ROOT, env=web_app.environment(**data), stderr=subprocess.DEVNULL
    ) as process:
        try:
            web_app.wait_until(lambda: is_alive(port))
            yield port
        finally:
            process.kill()  # not terminate: it would wait for those that stall


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def is_alive(port):
    with contextlib.suppress(OSError), connect(port) as client:
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        return client.recv(100).startswith(b"HTTP/1.0 200")


@pytest.mark.parametrize("sent", STALLED.values(), ids=STALLED)
def test_page_answers_though_as_many_clients_stall_as_it_has_threads(port, sent):
    with contextlib.ExitStack() as clients:
        for _ in range(2):
            clients.enter_context(connect(port)).sendall(sent)
        assert is_alive(port)


def test_client_that_takes_its_time_is_answered(port):
    with connect(port) as client:
        for part in (b"GET /healthz ", b"HTTP/1.0\r\nHost: local", b"host\r\n", b"\r\n"):
            client.sendall(part)
            time.sleep(0.5)
        assert client.recv(100).startswith(b"HTTP/1.0 200")
