"""Hashed addresses and caching of static files, and gzip."""

import gzip
import re

import pytest
from web_app import Browser, photo

from web import delivery

pytestmark = pytest.mark.databases("sqlite")  # no test depends on the database
GZIP = {"Accept-Encoding": "gzip, br"}
STATIC = re.compile(r'(?:href|src)="(/static/[^"#]+)')
TEXTS = ("/", "/static/style.css", "/static/classify.js", "/static/classes.svg", "/api/openapi.json", "/nothing")


@pytest.fixture
def browser(app):
    return Browser(app)


def test_static_files_of_a_page_are_cached_for_a_year(browser):
    addresses = STATIC.findall(browser.get("/").text)
    assert len(addresses) >= 4
    for address in addresses:
        assert re.search(r"\?v=[0-9a-f]{12}$", address)
        assert browser.get(address).headers["Cache-Control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("query", ["", "?v=", "?v=0123456789ab"])
def test_file_under_another_hash_is_revalidated(browser, query):
    assert browser.get(f"/static/style.css{query}").headers["Cache-Control"] == "no-cache"


def test_missing_file_is_not_cached(browser):
    answer = browser.get("/static/nothing.css", headers=GZIP)
    assert answer.status_code == 404 and "max-age" not in answer.headers.get("Cache-Control", "")


def test_hash_follows_the_content(tmp_path):
    path = tmp_path / "style.css"
    assert delivery.content_hash(path) is None
    path.write_text("a {}")
    first = delivery.content_hash(path)
    path.write_text("b { }")
    assert delivery.content_hash(path) not in (None, first)


@pytest.mark.parametrize("path", TEXTS)
def test_text_is_compressed_for_browsers_that_accept_it(browser, path):
    plain, compressed = browser.get(path), browser.get(path, headers=GZIP)
    assert "Content-Encoding" not in plain.headers and compressed.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in plain.headers["Vary"] and "Accept-Encoding" in compressed.headers["Vary"]
    content = gzip.decompress(compressed.data)
    assert abs(len(content) - len(plain.data)) < 100  # a page's tokens differ
    assert path == "/" or path == "/nothing" or content == plain.data
    assert int(compressed.headers["Content-Length"]) == len(compressed.data) < len(plain.data) / 1.5


@pytest.mark.parametrize("encodings", ["identity", "br", "gzip;q=0"])
def test_text_is_plain_for_other_browsers(browser, encodings):
    for path in ("/", "/static/style.css"):
        assert "Content-Encoding" not in browser.get(path, headers={"Accept-Encoding": encodings}).headers


def test_pictures_downloads_and_parts_of_files_are_not_compressed(browser):
    row_id = browser.uploaded(photo(size=(200, 150)))
    for path, headers in {
        f"/picture/{row_id}": {},
        "/static/samples/glass.jpg": {},
        "/history.csv": {},
        "/static/style.css": {"Range": "bytes=0-9"},
    }.items():
        answer = browser.get(path, headers={**GZIP, **headers})
        assert answer.status_code in (200, 206) and "Content-Encoding" not in answer.headers, path
    assert answer.status_code == 206 and len(answer.data) == 10


def test_compressed_file_is_found_unchanged(browser):
    first = browser.get("/static/style.css", headers=GZIP)
    again = browser.get("/static/style.css", headers={**GZIP, "If-None-Match": first.headers["ETag"]})
    assert first.headers["ETag"].startswith("W/") and again.status_code == 304 and again.data == b""
    assert "Accept-Encoding" in first.vary and "Accept-Encoding" in again.vary


def test_head_has_the_length_of_the_compressed_file(app):
    client = app.test_client()
    head, whole = (send("/static/style.css", headers=GZIP) for send in (client.head, client.get))
    assert head.headers["Content-Length"] == whole.headers["Content-Length"] and head.data == b""


def test_shared_links_have_a_picture_where_the_address_is_known(make_app):
    tag = re.compile(r'<meta property="og:image" content="([^"]+)">')
    assert tag.findall(Browser(make_app()).get("/").text) == []
    app = make_app(pilah_env="production", secret_key="k" * 32)
    page = app.test_client().get("/", base_url="https://pilah.example").text
    [address] = tag.findall(page)
    assert address.startswith("https://pilah.example/static/shared.jpg?v=")
    assert app.test_client().get(address).mimetype == "image/jpeg"
    assert '<meta property="og:title" content="Sort waste with a photo">' in page
