"""The API documentation at /api/docs without a browser; test_pages_browser.py opens it in one."""

import re

import pytest
from web_app import Browser

pytestmark = pytest.mark.databases("sqlite")  # no test depends on the database
FILES = re.compile(r'(?:href|src)="(/static/vendor/[^"]+)"')


def test_only_the_documentation_page_loads_swagger_ui(app):
    browser = Browser(app)
    files = FILES.findall(browser.get("/api/docs").text)
    assert {path.partition("?")[0].rpartition(".")[2] for path in files} == {"css", "js"}
    for path in files:
        answer = browser.get(path)
        assert answer.status_code == 200 and "immutable" in answer.headers["Cache-Control"]
    for path in ("/", "/classify", "/history", "/operator", "/about", "/privacy", "/nothing"):
        page = browser.get(path).text
        assert FILES.findall(page) == [] and 'href="/api/docs"' in page


def test_page_uses_the_chosen_language_and_the_api_the_accepted_one(app):
    browser = Browser(app)
    assert "<h1>API documentation</h1>" in browser.get("/api/docs").text
    switched = browser.post("/language", {"language": "id"}, headers={"Referer": "http://localhost/api/docs"})
    assert switched.location == "/api/docs"
    assert "<h1>Dokumentasi API</h1>" in browser.get("/api/docs").text
    assert browser.client.post("/api/classify").json["detail"].startswith("Send ")


def test_page_shows_the_introduction_without_javascript(app):
    page = Browser(app).get("/api/docs").text
    assert "The API needs no key and uses no cookies." in page and '<a href="/api/openapi.json">' in page
