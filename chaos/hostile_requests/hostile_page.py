"""Hostile requests to the page: forms, cookies and parameters."""

import json
import random
from collections.abc import Callable

from chaos import probes
from chaos.hostile_requests import hostile_http
from chaos.hostile_requests.hostile_http import Request, request

UPLOAD = "/api/classify"
FORM = probes.form(probes.photo())
FORM_TYPE = b"Content-Type: multipart/form-data; boundary=x\r\n"
SAME_ORIGIN = b"Sec-Fetch-Site: same-origin\r\n"  # such forms need no token
NAMES = (
    *(
        b"",
        b"a" * 5000,
        b"../../etc/passwd",
        b"a\0b.jpg",
        b"\xff\xfe.jpg",
        b"\xe2\x80\xaegpj.exe",
        b"C:\\a.jpg",
        b"nul",
    ),
    *(b"%00", b'a"; name="x', b"=?utf-8?B?YQ==?=", b"a\r\nX: y", b"\xed\xa0\x80"),
)
FORM_PATHS = (
    "/classify",
    "/classify/sample",
    "/language",
    "/operator",
    "/operator/leave",
    f"/result/{'0' * 32}/correction",
)
COOKIES = (b"session=x", b"session=.eJ.x.y", b"=;;=", b"\xff", b"a=b; " * 500, b"pilah_0=" + b"a" * 4000, b"\x01=\x02")
PAGE_PATHS = (
    *(
        "/",
        "/history",
        "/history.csv",
        "/classify",
        "/about",
        "/privacy",
        "/operator",
        "/operator/review",
        "/healthz",
        "/readyz",
        "/metrics",
    ),
    *(
        "/api/docs",
        "/api/openapi.json",
        "/api/results/x",
        f"/result/{'0' * 32}",
        "/picture/x",
        "/heatmap/x",
        "/thumbnail/..",
        "/static/",
    ),
    *("/static/style.css", f"/api/results/{'f' * 32}", f"/result/{'0' * 32}/state"),
)
QUERIES = ("class", "corrected", "unsure", "heatmap", "after", "page", "feedback", "lang", "", "[]", "%00")


def multipart(rng: random.Random) -> Request:
    """Return an upload whose form has an odd name, boundary, header, field or end."""
    name = rng.choice(NAMES)
    part = b'--x\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n%s\r\n' % (
        rng.choice((b"image", b"image", b"other", b"", name)),
        name,
        rng.choice(
            (b"", b"Content-Type: image/jpeg\r\n", b"Content-Transfer-Encoding: base64\r\n", b"X" * 9000 + b"\r\n")
        ),
    )
    content = rng.choice((probes.photo(), b"", b"\0" * 100, rng.randbytes(1000)))
    end = rng.choice((b"\r\n--x--\r\n", b"\r\n--x\r\n", b"", b"\r\n--", b"\n--x--\n", b"\r\n--x--\r\n" + b"a" * 1000))
    boundary = rng.choice((b"x", b"x", b"x", b"y", b"", b'"x', b"x" * 200, b"\xff"))
    body = rng.choice((part + content + end, hostile_http.changed(rng, FORM), part * 3 + content + end))
    return request("POST", UPLOAD, body, b"Content-Type: multipart/form-data; boundary=%s\r\n" % boundary)


def many_fields(rng: random.Random) -> Request:
    count, size = rng.choice(((999, 1), (1001, 1), (5000, 1), (10, 60_000), (1, 600_000)))
    field = b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\n%s\r\n' % (b"a" * size)
    return request(
        "POST", rng.choice((UPLOAD, "/classify", "/language")), field * count + FORM, FORM_TYPE + SAME_ORIGIN
    )


def huge(rng: random.Random) -> Request:
    """Return an upload that is larger than allowed, or that says so."""
    if rng.random() < 0.9:
        return request("POST", UPLOAD, FORM, FORM_TYPE, rng.choice((16_000_000, 2**31, 2**63, 10**25)))
    return request("POST", UPLOAD, probes.form(bytes(17_000_000)), FORM_TYPE)


def forms(rng: random.Random) -> Request:
    """Return a form of the pages with wrong values, encodings or types."""
    fields = rng.choice(
        (b"class_name", b"feedback", b"language", b"token", b"sample", b"history", b"csrf_token", b"\xff")
    )
    value = rng.choice(
        (b"", b"%00", b"%ff", b"a" * 10_000, b"%zz", b"glass", b"withdrawn", b"id", b"%ed%a0%80", b"=&=&")
    )
    kind = rng.choice(
        (b"application/x-www-form-urlencoded", b"text/plain", b"application/json", b"x", b"a/b; charset=utf-7")
    )
    body = b"&".join([fields + b"=" + value] * rng.choice((1, 2, 2000)))
    headers = b"Content-Type: %s\r\n%s" % (kind, rng.choice((SAME_ORIGIN, b"Referer: http://[::1\r\n", b"")))
    return request("POST", rng.choice(FORM_PATHS), body, headers)


def headers(rng: random.Random) -> Request:
    lines = {
        b"Cookie": COOKIES,
        b"Accept-Language": (b"\xff", b"*;q=nan", b"id;q=1e400", b"," * 2000),
        b"Range": (b"bytes=5-1", b"bytes=-0", b"bytes=%s-" % (b"9" * 30), b"bytes=0-1," * 300),
        b"If-None-Match": (b'"' * 99, b"*"),
        b"Authorization": (b"Bearer", b"Bearer \xff", b"Basic !", b"Bearer " + b"a" * 5000),
        b"X-Forwarded-For": (b"\xff", b"," * 500),
        b"Expect": (b"100-continue", b"x"),
        b"Content-Type": (b"multipart/form-data", b"\xff", b"multipart/form-data; boundary="),
    }
    chosen = rng.sample(sorted(lines), rng.randint(1, 4))
    sent = b"".join(b"%s: %s\r\n" % (name, rng.choice(lines[name])) for name in chosen)
    return request(rng.choice(("GET", "GET", "POST", "DELETE")), rng.choice(PAGE_PATHS), headers=sent)


def json_body(rng: random.Random) -> Request:
    return request("POST", UPLOAD, json.dumps({"image": "x" * 100}).encode(), b"Content-Type: application/json\r\n")


PAGE: dict[str, Callable[[random.Random], Request]] = {
    "multipart": multipart,
    "fields": many_fields,
    "huge": huge,
    "forms": forms,
    "headers": headers,
    "json": json_body,
    "paths": hostile_http.paths(PAGE_PATHS, QUERIES),
    "chunks": hostile_http.chunks("POST", UPLOAD, FORM, FORM_TYPE),
    "lengths": hostile_http.lengths("POST", UPLOAD, FORM, FORM_TYPE),
    "smuggled": hostile_http.smuggled("POST", UPLOAD, FORM),
    "floods": hostile_http.floods,
    "head": hostile_http.head(request("POST", UPLOAD, FORM, FORM_TYPE)),
    "truncated": hostile_http.truncated(request("POST", UPLOAD, FORM, FORM_TYPE)),
    "random bytes": hostile_http.random_bytes,
}
