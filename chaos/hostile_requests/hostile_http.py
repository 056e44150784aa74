"""Hostile HTTP: seeded mutations of requests to the page and to the model server's REST, and how each may end."""

import base64
import gzip
import json
import random
import re
import select
import socket
from collections.abc import Callable

from chaos import probes, servers

Request = bytes
PREDICT = "/v1/models/pilah:predict"
BODY = json.dumps({"instances": [{"b64": base64.b64encode(probes.photo()).decode()}]}).encode()
MAY_END_SILENTLY = {"random bytes", "truncated", "head"}  # what is no request, or not a whole one
ALLOWED_5XX = (501, 503, 505)
MAX_REFUSED = 0.05  # share of requests that end in 503: one at a time, they do not overload a server
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n"
SMUGGLED_SECONDS = 0.2  # between the two parts of a smuggled request


def request(
    method: str, path: str | bytes, body: bytes = b"", headers: bytes = b"", length: int | None = None
) -> Request:
    path = path.encode("latin-1") if isinstance(path, str) else path
    head = b"%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" % (method.encode(), path)
    return head + headers + b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body


def changed(rng: random.Random, content: bytes, most: int = 10) -> bytes:
    """Return `content` with some bytes replaced, removed or repeated."""
    result = bytearray(content)
    for _ in range(rng.randint(1, most)):
        start = rng.randrange(len(result) + 1)
        kind = rng.randrange(3)
        if kind == 0:
            result[start : start + 1] = rng.randbytes(1)
        elif kind == 1:
            del result[start : start + rng.randint(1, 20)]
        else:
            result[start:start] = result[start : start + rng.randint(1, 50)]
    return bytes(result)


def random_bytes(rng: random.Random) -> Request:
    return rng.randbytes(rng.choice((1, 20, 1000, 100_000)))


def truncated(whole: Request) -> Callable[[random.Random], Request]:
    return lambda rng: whole[: rng.randrange(len(whole))]


def head(whole: Request) -> Callable[[random.Random], Request]:
    """Return a mutation of the request line and the headers."""
    start, _, body = whole.partition(b"\r\n\r\n")
    return lambda rng: changed(rng, start, 4) + b"\r\n\r\n" + body


def chunks(method: str, path: str, body: bytes, headers: bytes = b"") -> Callable[[random.Random], Request]:
    def mutation(rng: random.Random) -> Request:
        start = request(method, path, b"", headers).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        size = rng.choice((b"%x" % len(body), b"%X;a=b" % len(body), b"-1", b"+5", b"0x5", b"zz", b"f" * 20, b""))
        size = rng.choice((size, b"%x" % (len(body) + rng.choice((-1, 1, 1000, 2**33)))))
        end = rng.choice((b"\r\n0\r\n\r\n", b"\r\n0\r\n", b"", b"\n0\n\n", b"\r\n0\r\nA: b\r\n\r\n", b"\r\n5\r\nab"))
        return start + size + b"\r\n" + body + end

    return mutation


def lengths(method: str, path: str, body: bytes, headers: bytes = b"") -> Callable[[random.Random], Request]:
    def mutation(rng: random.Random) -> Request:
        length = len(body) + rng.choice((-len(body), -1, 1, 100, 2**31, 2**40))
        whole = request(method, path, body, headers, length)
        wrong = rng.choice((b"-1", b"+5", b"0x10", b"1e3", b"9" * 30, b"5, 6", b"", b"\xd9\xa3"))
        return whole if rng.random() < 0.5 else whole.replace(b"%d" % length, wrong, 1)

    return mutation


def smuggled(method: str, path: str, body: bytes) -> Callable[[random.Random], Request]:
    """Return a mutation whose body ends in another request, which a server must not answer."""
    second = SMUGGLED + b"Host: localhost\r\n\r\n"
    forms = (
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: %d\r\n" % len(body),
        b"Content-Length: 0\r\n",
        b" Content-Length: 3\r\n",
        b"X: y\n\nGET / HTTP/1.1\n",
        b"A: b\r\n folded\r\n",
        b"Host: other\r\n",
    )

    def mutation(rng: random.Random) -> Request:
        content = rng.choice((body, b"0\r\n\r\n", b"")) + second
        return request(method, path, content, rng.choice(forms)).replace(b"Connection: close\r\n", b"", 1)

    return mutation


def floods(rng: random.Random) -> Request:
    count, size = rng.choice(((50, 10), (101, 10), (2000, 10), (5, 8000), (5, 9000), (1, 100_000), (20_000, 1)))
    headers = b"".join(b"X-%d: %s\r\n" % (number, b"a" * size) for number in range(count))
    return request("GET", "/", headers=headers)


def paths(starts: tuple[str, ...], queries: tuple[str, ...]) -> Callable[[random.Random], Request]:
    odd = ("%00", "%ff", "%0d%0aX:1", "..", "%2e%2e%2f", "//", "%", "%zz", "\xff", "?", "#", ";", "a" * 3000, "[", "\\")

    def mutation(rng: random.Random) -> Request:
        path = rng.choice(starts) + "".join(rng.choices(odd, k=rng.randrange(3)))
        if queries and rng.random() < 0.7:
            path += "?" + "&".join(f"{rng.choice(queries)}={_value(rng)}" for _ in range(rng.choice((1, 2, 5, 500))))
        method = rng.choice(
            ("GET", "GET", "POST", "HEAD", "DELETE", "PUT", "OPTIONS", "TRACE", "CONNECT", "get", "\x01")
        )
        return request(method, path)

    return mutation


def _value(rng: random.Random) -> str:
    number = rng.choice(
        ("1", "-1", "9" * 40, "1e400", "nan", "0x1", "%00", "%ff%fe", "%ed%a0%80", "", "a" * 500, "'--")
    )
    return rng.choice((number, f"{number}~2026-01-01T00:00:00~{'f' * 32}", f"1~{number}~{number}"))


def rest_json(rng: random.Random) -> Request:
    """Return a request whose JSON is wrong, deep, or has odd numbers or base64."""
    depth = rng.choice((10, 63, 65, 1000, 100_000))
    bodies: tuple[bytes, ...] = (
        changed(rng, BODY),
        b'{"instances":' + b"[" * depth + b"1" + b"]" * rng.choice((depth, depth - 1)) + b"}",
        b'{"a":' * depth + b"1" + b"}" * depth,
        b'{"signature_name":"double","instances":[[%s,1,2]]}'
        % rng.choice(
            (b"NaN", b"Infinity", b"1e999", b"9" * 5000, b"-0", b"1e-400", b"null", b"true", b'"1"', b"[]", b"{}")
        ),
        b'{"instances":[{"b64":"%s"}]}' % rng.choice((b"!", b"a", b"====", b"a" * 1001, b"\\ud800", b"\xff", b"/9j/")),
        b'{"signature_name":%s,"inputs":1}'
        % rng.choice((b"1", b"null", b'"\\u0000"', b'"%s"' % (b"x" * 10_000), b"[]")),
        b'{"signature_name":"double","instances":[%s]}' % b",".join([b"[1,2,3]"] * rng.choice((17, 1000, 100_000))),
        rng.choice((b"", b"null", b"[]", b'""', b"{", b'{"instances":[]}', b"\xef\xbb\xbf{}", b"\0", b"{}" * 1000)),
    )
    return request("POST", PREDICT, rng.choice(bodies))


def rest_gzip(rng: random.Random) -> Request:
    bomb = gzip.compress(bytes(150_000_000), 1) if rng.random() < 0.02 else b""
    body = rng.choice(
        (changed(rng, gzip.compress(BODY)), gzip.compress(BODY)[:-5], b"\x1f\x8b", gzip.compress(BODY) * 2)
    )
    return request("POST", PREDICT, bomb or body, b"Content-Encoding: gzip\r\n")


REST_PATHS = (
    "/",
    PREDICT,
    "/v1/models/",
    "/v1/models/pilah",
    "/v1/models/pilah/versions/1",
    "/v1/models/pilah/metadata",
)
REST: dict[str, Callable[[random.Random], Request]] = {
    "json": rest_json,
    "gzip": rest_gzip,
    "chunks": chunks("POST", PREDICT, BODY),
    "lengths": lengths("POST", PREDICT, BODY),
    "smuggled": smuggled("POST", PREDICT, BODY),
    "floods": floods,
    "paths": paths((*REST_PATHS, "/v1/models/pilah/versions/" + "9" * 5000, "/v1/models/pilah/labels/x"), ()),
    "head": head(request("POST", PREDICT, BODY)),
    "truncated": truncated(request("POST", PREDICT, BODY)),
    "random bytes": random_bytes,
}


def send(port: int, content: Request) -> bytes | None:
    """Send a request and no more, and return all that is answered; None if the connection is not closed in time.

    A smuggled request is sent a little later, so that the server reads it as one if it answers the first part.
    """
    start, mark, rest = content.partition(SMUGGLED)
    received = b""
    try:
        with socket.create_connection((servers.HOST, port), probes.GIVE_UP_SECONDS) as connection:
            try:
                connection.sendall(start)
                if mark:
                    select.select([connection], [], [], SMUGGLED_SECONDS)
                    connection.sendall(mark + rest)
                connection.shutdown(socket.SHUT_WR)
            except TimeoutError:
                return None
            except OSError:
                pass  # refused before its end: the answer may still be there
            while piece := connection.recv(65536):
                received += piece
    except TimeoutError:
        return None
    except OSError:
        pass
    return received


def failure(name: str, sent: Request, answer: bytes | None) -> str:
    """Return what is wrong with an answer, or ""."""
    if answer is None:
        return f"{name} was not answered: {sent[:100]!r}"
    statuses = _statuses(answer)
    if name == "smuggled" and len(statuses) > 1:
        return f"{name}: one request was answered with {statuses}: {sent[:200]!r}"
    if any(status >= 500 and status not in ALLOWED_5XX for status in statuses) or b"Traceback" in answer:
        return f"{name} was answered with {statuses}: {sent[:200]!r} {answer[-200:]!r}"
    is_whole = len(sent) < 60_000  # an answer to a longer request may be lost with the connection
    if not statuses and is_whole and name not in MAY_END_SILENTLY:
        return f"{name} got no status: {sent[:200]!r} {answer[:100]!r}"
    return ""


def _statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"(?:^|\r\n|\n|\})HTTP/1\.[01] (\d{3})", answer)]


def attack(port: int, mutations: dict[str, Callable[[random.Random], Request]], seed: int, count: int) -> list[str]:
    """Send `count` hostile requests, one after the other; return what was wrong."""
    rng = random.Random(seed)
    failures, refused = [], 0
    for number in range(count):
        name = list(mutations)[number % len(mutations)]
        sent = mutations[name](rng)
        answer = send(port, sent)
        refused += 503 in _statuses(answer or b"")
        if wrong := failure(name, sent, answer):
            failures.append(wrong)
    if refused > MAX_REFUSED * count:
        failures.append(f"{refused} of {count} requests were answered with 503")
    return failures
