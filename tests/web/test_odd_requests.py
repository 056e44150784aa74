"""Requests that no browser sends are answered below 500, with the usual headers.

The application raises an exception instead of answering 500, so that a test fails with its traceback.
"""

import urllib.parse
from typing import Any

import pytest
import web_app
from web_app import Browser, photo
from werkzeug.test import EnvironBuilder, run_wsgi_app

from web import security

pytestmark = pytest.mark.databases("sqlite")  # both for tests whose input reaches a query
METHODS = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "PATCH", "POST", "CONNECT", "BREW")
CURSOR = "2026-01-01T00:00:00"
QUERIES = [
    *(
        "unknown=1",
        "class=a&class=b",
        "class=%00",
        "class=%ff",
        "class=%ed%a0%80",
        "class[]=1",
        "corrected=1&corrected=0",
    ),
    *("&&&===", "%", "%zz", "class=" + "x" * 20_000, "a=b&" * 2_000, "after=%00", "after=1~2~3"),
    f"after={'9' * 30}~{CURSOR}~{{id}}",
    f"after=-5~{CURSOR}%2B23:59~{{id}}",
    "after=1~0001-01-01T00:00:00%2B23:59~{id}",
    "after=1~9999-12-31T23:59:59.999999-23:59~{id}",
    "after=%F0%9D%9F%99~2026-W01-1~{id}",
    "after=1~2026-01-01~{id}&after=2",
]
PATHS = [
    *(
        "//",
        "///history",
        "/history/",
        "/../etc/passwd",
        "/static/..%2f..%2fetc/passwd",
        "/static/",
        "/static/%2e%2e/x",
    ),
    *("/static/%00", "/static/" + "a" * 5_000, "/result/%0d%0aX:1", "/result/{id}%20", "/result/{id}/", "/result/%00"),
    *("/picture/..", "/thumbnail/%ff", "/api", "/api/", "/api/results/%ff%fe", "/api/results/{id}", "/%", "/é", "/;x"),
    *("/history;x=1", "/favicon.ico", "/robots.txt", "/static/style.css/", "/" + "a/" * 2_000),
]
PAGES = ["/", "/history", "/picture/{id}", "/static/style.css", "/nothing"]
HEADERS = {
    "Host": ["", "a b", "localhost:99999", "[::1", "..", "a" * 70, "xn--", "<script>", "user@host", "é"],
    "Cookie": ["session=x", "session=.eJ.x.y", "session=" + "a" * 5_000, "\x01", "=;;=", "a=b; " * 500],
    "Range": ["bytes=5-1", "bytes=-0", "bytes=a-b", "x=1-2", f"bytes={'9' * 30}-", "bytes=0-1," * 500, "bytes=0-0"],
    "If-None-Match": ["*", '"x"', 'W/"x"', '"' * 99],
    "If-Modified-Since": ["x", "Sun, 99 Nov 99999 08:49:37 GMT", "Thu, 01 Jan 1970 00:00:00 +9999"],
    "Accept-Language": ["\xff", "*;q=0", "en;q=nan", "en;q=1e400", "," * 2_000, '"', "id;q=0.5;q=1"],
    "Referer": ["http://[::1", "javascript:x", "//", "x" * 8_000, "http://localhost/%00%0d%0a"],
    "X-Forwarded-For": ["", "x", "\xff", "," * 500, "1" * 5_000],
    "X-Forwarded-Proto": ["", "x", "\xff", "a b"],
    "Content-Type": ["\xff", "multipart/form-data; boundary=", "multipart/form-data; boundary=\xff"],
}
HEADER_LINES = [(name, value) for name, values in HEADERS.items() for value in values]
VALUES: list[Any] = [
    "",
    "\0",
    "\r\nX: 1",
    "\u202e",
    "x" * 100_000,
    "<script>",
    "%(x)s",
    "{{1}}",
    "\uffff",
    "\U0001f600",
    b"\xff\xfe",
]
VALUES += [b"\xed\xa0\x80"]
FIELDS = {
    "/language": "language",
    "/operator": "token",
    "/result/{id}/correction": "class_name",
    "/classify": "image",
    "/operator/leave": "x",
}


@pytest.fixture
def browser(app):
    return Browser(app)


@pytest.fixture
def row_id(browser):
    return browser.uploaded()


def check(answer, request):
    """Check the status and the headers of a response, and return it."""
    assert answer.status_code < 500, request
    assert {*security.HEADERS, "X-Request-Id"} <= {*answer.headers.keys()}, request
    assert answer.status_code != 405 or answer.headers["Allow"], request
    return answer


def test_every_method_on_every_route_is_below_500(app, browser, row_id):
    for rule in app.url_map.iter_rules():
        path = rule.rule.replace("<row_id>", row_id).replace("<path:filename>", "style.css")
        for method in METHODS:
            answer = check(browser.client.open(path, method=method), (method, path))
            assert method != "HEAD" or not answer.data


@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize("signed_in", [False, True], ids=["visitor", "operator"])
def test_unusual_query_is_answered(browser, row_id, signed_in):
    if signed_in:
        browser.post("/operator", {"token": web_app.SETTINGS["admin_token"]})
    for path in ("/history", "/history.csv", "/", "/result/{id}"):
        for query in QUERIES:
            address = f"{path}?{query}".replace("{id}", row_id)
            answer = check(browser.get(address), address[:200])
            assert answer.status_code in (200, 303)


@pytest.mark.databases("sqlite", "postgresql")
def test_unusual_path_is_answered(browser, row_id):
    for path in PATHS:
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            answer = check(browser.client.open(path.replace("{id}", row_id), method=method), (method, path[:200]))
            assert answer.status_code in (200, 308, 400, 404, 405)


def test_unusual_header_is_answered(make_app):
    app = make_app(trusted_proxies=1)
    row_id = Browser(app).uploaded()
    requests = [("GET", page.replace("{id}", row_id)) for page in PAGES]
    requests += [("POST", "/language"), ("POST", "/api/classify")]
    for name, value in HEADER_LINES:
        variable = name.upper().replace("-", "_")
        variable = variable if variable == "CONTENT_TYPE" else f"HTTP_{variable}"
        for method, path in requests:
            environment = EnvironBuilder(path=path, method=method).get_environ() | {variable: value}
            _, status, headers = run_wsgi_app(app, environment, buffered=True)
            assert int(status[:3]) < 500, (method, path, name, value[:200])
            assert {*security.HEADERS, "X-Request-Id"} <= {*headers.keys()}, (method, path, name, value[:200])


@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize("path", FIELDS)
def test_unusual_field_value_is_answered(browser, row_id, path):
    token, address = browser.csrf_token(), path.replace("{id}", row_id)
    for value in VALUES:
        content = value if isinstance(value, bytes) else value.encode()
        for fields in (f"csrf_token={token}&{FIELDS[path]}=", "csrf_token="):
            body = fields + urllib.parse.quote_from_bytes(content)
            answer = browser.client.post(address, data=body, content_type="application/x-www-form-urlencoded")
            check(answer, (path, value[:20]))


@pytest.mark.parametrize("name", ["\0", "\xff", "x" * 5_000, "..", "/", '"', "a\r\nb"])
def test_unusual_file_name_is_answered(app, name):
    check(web_app.classify(app, photo(), name), name[:20])


def test_unusual_referrer_or_host_over_https_is_answered(app):
    browser = Browser(app, base_url="https://localhost")
    fields = {"csrf_token": browser.csrf_token(), "language": "id"}
    cookie_name = app.session_interface.get_cookie_name(app)
    cookie = {"HTTP_COOKIE": f"{cookie_name}={browser.client.get_cookie(cookie_name).value}"}
    for name, value in HEADER_LINES:
        if name not in ("Host", "Referer") or not value:
            continue
        environment = EnvironBuilder("/language", "https://localhost", method="POST", data=fields).get_environ()
        environment |= {**cookie, "HTTP_REFERER": "https://localhost/", f"HTTP_{name.upper()}": value}
        _, status, _ = run_wsgi_app(app, environment, buffered=True)
        assert status[:3] in ("303", "400"), (name, value)
