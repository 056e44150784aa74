"""The REST server and truncated, slow or wrongly framed bodies, over real sockets."""

import logging
import re
import socket
import struct

import pytest

from serving.embedded import metrics, rest_server, strict_http, versions

PREDICT = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: a\r\n"
CHUNKED = PREDICT + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /v1/models/next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
TRUNCATED = {
    "no last chunk": CHUNKED + b"2\r\n{}\r\n",
    "half a chunk": CHUNKED + b"5\r\n{}",
    "half a trailer": CHUNKED + b"2\r\n{}\r\n0\r\nX-A: b",
    "less than Content-Length": PREDICT + b"Content-Length: 50\r\n\r\n{}",
}
INVALID = {
    "no number": CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n",
    "negative": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "sign": CHUNKED + b"+2\r\n{}\r\n0\r\n\r\n",
    "prefix": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",
    "underscore": CHUNKED + b"0_2\r\n{}\r\n0\r\n\r\n",
    "no size": CHUNKED + b"\r\n{}\r\n0\r\n\r\n",
    "beyond 64 bits": CHUNKED + b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "1 TB": CHUNKED + b"ffffffffff\r\n{}\r\n0\r\n\r\n",
    "3 GB": CHUNKED + b"c0000000\r\n{}\r\n0\r\n\r\n",
    "size of 9,000 digits": CHUNKED + b"0" * 9000 + b"2\r\n{}\r\n0\r\n\r\n",
    "longer than its size": CHUNKED + b"2\r\n{}X\r\n0\r\n\r\n",
    "no CR": CHUNKED + b"2\n{}\r\n0\r\n\r\n",
    "trailers without end": CHUNKED + b"2\r\n{}\r\n0\r\n" + b"A: b\r\n" * 200,
    "chunks for another path": CHUNKED.replace(b"predict", b"nope") + b"zz\r\n{}\r\n0\r\n\r\n",
}
INVALID_HEADERS = {
    "two lengths": (b"2\r\nContent-Length: 3", 400),
    "negative length": (b"-2", 400),
    "signed length": (b"+2", 400),
    "length with underscore": (b"0_2", 400),
    "length beyond 64 bits": (b"99999999999999999999", 413),
    "length of 4 TB": (b"4000000000000", 413),
}
VALID = {
    "extension": CHUNKED + b"2;a=b\r\n{}\r\n0\r\n\r\n",
    "trailer": CHUNKED + b"2\r\n{}\r\n0\r\nX-A: b\r\n\r\n",
    "two chunks": CHUNKED + b"1\r\n{\r\n01\r\n}\r\n0\r\n\r\n",
    "Content-Length": PREDICT + b"Content-Length: 2\r\n\r\n{}",
    "Expect": PREDICT + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n{}",
    "another path": CHUNKED.replace(b"predict", b"nope") + b"2\r\n{}\r\n0\r\n\r\n",
    "another call": CHUNKED.replace(b"predict", b"classify") + b"2\r\n{}\r\n0\r\n\r\n",
}


@pytest.fixture(scope="module")
def server():
    """Yield a server and its port. It has no model, so that a body that was read is answered with 404."""
    running = rest_server.RestServer(versions.Models(None), "127.0.0.1", 0, None, threads=2)
    yield running, running.start()
    running.drain(1)


@pytest.fixture
def sent(server):
    """Return sent(data, ends), which returns the status codes of the responses; `ends` closes the client's side."""

    def send(data, ends=True):
        with socket.create_connection(("127.0.0.1", server[1]), timeout=5) as connection:
            connection.sendall(data)
            if ends:
                connection.shutdown(socket.SHUT_WR)
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        return [int(code) for code in re.findall(rb"HTTP/1.1 (\d+)", received)]

    return send


def request_counts():
    """Return code -> number of requests so far."""
    (family,) = [family for family in metrics.registry.collect() if family.name.endswith("request_count")]
    return {sample.labels["status"]: sample.value for sample in family.samples}


@pytest.mark.parametrize("name", [*TRUNCATED, *INVALID])
def test_invalid_body_is_logged_in_one_line_and_closes_the_connection(sent, caplog, name):
    before = request_counts()
    with caplog.at_level(logging.INFO):
        data = TRUNCATED[name] if name in TRUNCATED else INVALID[name] + NEXT
        assert sent(data) == [400]
    assert not [record for record in caplog.records if record.exc_info]
    assert len(caplog.messages) <= 1 and all("INVALID_ARGUMENT" in message for message in caplog.messages)
    assert request_counts().get("INTERNAL", 0) == before.get("INTERNAL", 0)


@pytest.mark.parametrize("name", INVALID_HEADERS)
def test_ambiguous_or_excessive_length_is_refused_and_closes_the_connection(sent, name):
    value, code = INVALID_HEADERS[name]
    assert sent(PREDICT + b"Content-Length: " + value + b"\r\n\r\n{}" + NEXT) == [code]


@pytest.mark.parametrize("order", [1, -1])
def test_length_beside_an_encoding_is_refused_and_closes_the_connection(sent, order):
    headers = [b"Content-Length: 12\r\n", b"Transfer-Encoding: chunked\r\n"][::order]
    assert sent(PREDICT + b"".join(headers) + b"\r\n2\r\n{}\r\n0\r\n\r\n" + NEXT) == [400]


@pytest.mark.parametrize("name", VALID)
def test_valid_body_is_read_to_its_end_and_the_next_request_is_answered(sent, name):
    codes = {"Expect": [100, 404, 404], "another path": [400, 404], "another call": [501, 404]}
    assert sent(VALID[name] + NEXT) == codes.get(name, [404, 404])


@pytest.mark.parametrize("start", [CHUNKED + b"2\r\n{", PREDICT + b"Content-Length: 5\r\n\r\n{"])
def test_stalled_body_is_refused_after_the_timeout(server, sent, monkeypatch, caplog, start):
    monkeypatch.setattr(server[0]._server, "timeout", 0.1)
    with caplog.at_level(logging.INFO):
        assert sent(start, ends=False) == [400]
    (message,) = caplog.messages
    assert "no more data arrived within 0.1 s" in message


def test_client_that_resets_the_connection_leaves_no_traceback(server, caplog, capfd):
    with socket.create_connection(("127.0.0.1", server[1])) as connection:
        connection.sendall(CHUNKED + b"5\r\n{}")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with socket.create_connection(("127.0.0.1", server[1]), timeout=5) as connection:  # the server still answers
        connection.sendall(NEXT)
        assert b" 404 " in connection.recv(65536)
    assert not [record for record in caplog.records if record.exc_info]
    assert "Traceback" not in capfd.readouterr().err


def test_invalid_url_is_a_bad_request(sent):
    assert sent(b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n") == [400]


@pytest.mark.parametrize("blank", [b" ", b"\t"])
def test_first_header_that_begins_with_a_blank_is_a_bad_request(sent, blank):
    assert sent(b"GET /v1/models/m HTTP/1.1\r\n" + blank + b"Host: a\r\n\r\n") == [400]


def test_body_beyond_the_limit_is_refused(sent, monkeypatch):
    monkeypatch.setattr(strict_http, "MAX_BODY_BYTES", 3)
    assert sent(CHUNKED + b"2\r\n{}\r\n2\r\n  \r\n0\r\n\r\n") == [400]


def test_flood_of_headers_is_refused(sent):
    headers = b"".join(b"X-%d: a\r\n" % number for number in range(20_000))
    assert sent(b"GET /v1/models/m HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n" + NEXT)[:1] in ([413], [])  # or a reset
    assert sent(NEXT) == [404]
