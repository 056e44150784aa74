"""Addresses of a model server: which are valid, and which ports speak HTTP instead of gRPC."""

import http.server
import socket
import threading

import pytest

from serving import channel


class NotImplementedHandler(http.server.BaseHTTPRequestHandler):
    """A handler without methods, which answers every request with 501."""

    def log_message(self, *_):
        pass


@pytest.fixture
def rest_address():
    """Yield the address of a server that speaks only HTTP, like the model server's REST port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), NotImplementedHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("address", ["localhost:8500", "serving:1", "10.0.0.1:65535", "[::1]:8500", "a.b-c_d:8500"])
def test_host_and_port_are_accepted(address):
    channel.check_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost",
        ":8500",
        "localhost:",
        "localhost:0",
        "localhost:65536",
        "localhost:http",
        "http://localhost:8500",
        "dns:///localhost:8500",
        "localhost:8500/",
        "me@localhost:8500",
        "::1:8500",
        "local host:8500",
        "localhost:8500\n",
    ],
)
def test_invalid_address_is_refused_with_the_rule(address):
    with pytest.raises(ValueError, match=r"must be HOST:PORT .* such as localhost:8500 \(got "):
        channel.check_address(address)


def test_http_server_is_recognized(rest_address):
    assert f"{rest_address} speaks HTTP, not gRPC" in channel.http_error(rest_address)


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH\r\n", b""])
def test_other_server_is_not_mistaken_for_http(greeting):
    def answer():
        connection, _ = listener.accept()
        connection.sendall(greeting)
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        assert not channel.http_error(f"127.0.0.1:{listener.getsockname()[1]}")
        thread.join()


def test_unreachable_address_is_not_mistaken_for_http():
    with socket.socket() as bound_socket:  # bound, but not listening
        bound_socket.bind(("127.0.0.1", 0))
        assert not channel.http_error(f"127.0.0.1:{bound_socket.getsockname()[1]}")
    assert not channel.http_error("host.invalid:1")
    assert not channel.http_error("a..b:1")  # an invalid host name
