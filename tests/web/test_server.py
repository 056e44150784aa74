"""The page's server: clients that stall or send invalid HTTP, wrong settings, and the end of the server."""

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
import web_app

from web import security

START = """
from web import server
server.SETTINGS |= {"threads": 2}
server.main()
"""
HEAD = b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
STALLED = {  # what a client sends before it stalls
    "head": HEAD,
    "body": HEAD + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n",
}


@pytest.fixture(scope="module")
def log_file(tmp_path_factory):
    return tmp_path_factory.mktemp("log") / "log"


@contextlib.contextmanager
def page(folder, log_file, target):
    """Yield the port and the process of a page with two threads."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = {"PILAH_ENV": "development", "PILAH_DATA": str(folder), "SERVING_TARGET": target}
    command = [sys.executable, "-c", START, "--bind", f"127.0.0.1:{port}"]
    environment = web_app.environment(**data)
    with (
        log_file.open("wb") as log,
        subprocess.Popen(command, cwd=web_app.ROOT, env=environment, stderr=log) as process,
    ):
        try:
            web_app.wait_until(lambda: is_alive(port))
            yield port, process
        finally:
            process.kill()  # terminating would wait for stalled clients


@pytest.fixture(scope="module")
def port(tmp_path_factory, log_file, model_server):
    """Yield the port of a page for all tests."""
    with page(tmp_path_factory.mktemp("page"), log_file, model_server.target) as (port, _):
        yield port


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def is_alive(port):
    with contextlib.suppress(OSError), connect(port) as client:
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        return client.recv(100).startswith(b"HTTP/1.0 200")


@pytest.mark.parametrize("sent", STALLED.values(), ids=STALLED)
def test_page_responds_while_stalled_clients_hold_all_threads(port, sent):
    with contextlib.ExitStack() as clients:
        for _ in range(2):
            clients.enter_context(connect(port)).sendall(sent)
        assert is_alive(port)


def test_slow_client_is_answered(port):
    with connect(port) as client:
        for part in (b"GET /healthz ", b"HTTP/1.0\r\nHost: local", b"host\r\n", b"\r\n"):
            client.sendall(part)
            time.sleep(0.5)
        assert client.recv(100).startswith(b"HTTP/1.0 200")


def answer_to(port, request):
    with connect(port) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


INVALID_HTTP = {  # request -> status
    b"GET /\x9b31m<b> HTTP/9.9\r\n\r\n": b"400",
    b"G\x9bT / HTTP/1.1\r\nHost: localhost\r\n\r\n": b"400",
    b"GET / HTTP/1.1\r\nA\x85B<b>: c\r\n\r\n": b"400",
    b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n": b"431",
    b"GET / HTTP/1.1\r\nA: " + b"a" * 40_000 + b"\r\n\r\n": b"431",
}
ODD_PATHS = (  # valid HTTP with control characters
    b"GET /%c2%9b31m%0d%0a%e2%80%a8%7f HTTP/1.0\r\n\r\n",
    b"GET /nothing%c2%85 HTTP/1.0\r\nHost: \xc2\x9b\r\n\r\n",
)


def test_control_characters_reach_neither_responses_nor_log(port, log_file):
    length_before = log_file.stat().st_size
    for request, status in INVALID_HTTP.items():
        head, _, body = answer_to(port, request).partition(b"\r\n\r\n")
        assert head[:5] == b"HTTP/" and head[9:12] == status
        for name, value in {**security.HEADERS, "Cache-Control": "no-store", "Content-Type": "text/plain"}.items():
            assert f"\r\n{name}: {value}".encode() in head
        assert b"<" not in body and b"\x9b" not in body and f"Content-Length: {len(body)}".encode() in head
    for request in ODD_PATHS:
        assert b" 404 " in answer_to(port, request)
    log = log_file.read_bytes()[length_before:]
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f-\xff]", log)
    records = [json.loads(line) for line in log.splitlines() if line.startswith(b"{")]
    assert sum("Refused a request" in record["message"] for record in records) == len(INVALID_HTTP)
    assert [record["path"] for record in records if record.get("status") == 404] == [
        "/\x9b31m\r\n\u2028\x7f",
        "/nothing\x85",
    ]


def test_wrong_setting_ends_the_server_with_one_line(tmp_path):
    names = {"PILAH_ENV": "development", "PILAH_DATA": str(tmp_path), "SERVING_TARGET": "http://host:8500"}
    command = [sys.executable, "-m", "web.server", "--bind", "127.0.0.1:0"]
    environment = web_app.environment(**names)
    done = subprocess.run(command, cwd=web_app.ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert [line.split(" must ")[0] for line in done.stderr.splitlines()] == ["web: SERVING_TARGET"]
    assert "Traceback" not in done.stderr


def test_client_cannot_set_script_name(port):
    with connect(port) as client:
        client.sendall(b"GET /operator HTTP/1.0\r\nSCRIPT_NAME: /oper\r\nPATH_INFO: /nothing\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.0 200") and b'href="/history"' in answer


def test_client_that_sends_a_whole_large_photo_gets_the_413(port):
    """Clients such as nginx send everything before they read: closing the connection early would lose the response."""
    for path in ("/api/classify", "/nowhere"):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        client.request("POST", path, bytes(20 * 2**20), headers)
        assert client.getresponse().status == (413 if "api" in path else 404)
        client.close()


def is_refused(port):
    try:
        connect(port).close()
    except ConnectionError:
        return True
    return False


def test_current_requests_are_finished_and_new_ones_refused_after_sigterm(tmp_path, model_server):
    with page(tmp_path, tmp_path / "log", model_server.target) as (port, process):
        with connect(port) as client, connect(port) as idle:
            client.sendall(b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\na")
            assert is_alive(port)
            process.terminate()
            web_app.wait_until(lambda: is_refused(port))
            assert idle.recv(1) == b""
            client.sendall(b"b")
            assert client.recv(12) == b"HTTP/1.1 404"
        assert process.wait(30) == 0


def test_second_signal_does_not_wait_for_current_requests(tmp_path, model_server):
    with page(tmp_path, tmp_path / "log", model_server.target) as (port, process), connect(port) as client:
        client.sendall(HEAD)
        assert is_alive(port)
        process.terminate()
        web_app.wait_until(lambda: is_refused(port))
        process.terminate()
        assert process.wait(15) == -signal.SIGTERM


@pytest.mark.parametrize("bind", ["8000", "127.0.0.1:99999", "host.invalid:8000"])
def test_wrong_address_ends_the_server_with_one_line(tmp_path, bind):
    environment = web_app.environment(PILAH_ENV="development", PILAH_DATA=str(tmp_path))
    command = [sys.executable, "-m", "web.server", "--bind", bind]
    done = subprocess.run(command, cwd=web_app.ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr.startswith("web: --bind ") and done.stderr.count("\n") == 1


def test_prefix_is_of_script_name(tmp_path, model_server, monkeypatch):
    monkeypatch.setenv("SCRIPT_NAME", "/pilah")
    with page(tmp_path, tmp_path / "log", model_server.target) as (port, _):
        answer = answer_to(port, b"GET /pilah/about HTTP/1.0\r\n\r\n")
        assert b" 200 " in answer[:20] and b'href="/pilah/history"' in answer
