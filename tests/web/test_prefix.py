"""The site under a path prefix (SCRIPT_NAME=/pilah): all its addresses have the prefix."""

import re

import pytest
import web_app
from web_app import Browser, photo

pytestmark = pytest.mark.databases("sqlite")  # no test depends on the database
PREFIX = "/pilah"
ADDRESS = re.compile(r'(?:href|src|action|data-state|data-description)="([^"#]+)')


@pytest.fixture
def browser(app):
    return Browser(app, base_url=f"http://localhost{PREFIX}")


def addresses(page):
    return [address.replace("&amp;", "&") for address in ADDRESS.findall(page.text)]


def without_prefix(location):
    """Return the path for the test client, which adds the prefix itself."""
    assert location.startswith(f"{PREFIX}/")
    return location.removeprefix(PREFIX)


def test_every_address_on_the_pages_has_the_prefix_and_answers(app, browser):
    result = without_prefix(browser.upload().location)
    operator = Browser(app, base_url=f"http://localhost{PREFIX}")
    assert operator.post("/operator", {"token": web_app.SETTINGS["admin_token"]}).location == f"{PREFIX}/history"
    links = set()  # browser, and address on one of its pages
    for path in (
        "/",
        "/classify",
        "/history",
        "/history?corrected=1",
        "/operator",
        "/operator/review",
        "/about",
        "/api/docs",
        "/nothing",
        result,
    ):
        links |= {(visitor, address) for visitor in (browser, operator) for address in addresses(visitor.get(path))}
    paths = {address.partition("?v=")[0] for _, address in links}
    own = ("static/style.css", "history.csv", "api/openapi.json", "operator/review")
    assert {f"{PREFIX}/{path}" for path in own} <= paths
    for visitor, address in links:
        path = without_prefix(address.replace(f"http://localhost{PREFIX}", PREFIX))
        assert visitor.get(path).status_code in (200, 405), path


def test_waiting_page_polls_under_the_prefix(make_app, model):
    model.stop()
    browser = Browser(make_app(), base_url=f"http://localhost{PREFIX}")
    result = browser.upload().location
    page = browser.get(without_prefix(result))
    assert f'data-state="{result}/state"' in page.text and f'href="{result}"' in page.text
    assert browser.get(without_prefix(f"{result}/state")).json == {"state": "waiting"}


def test_deletion_redirects_to_the_same_filter_and_page(app, browser):
    for seed in range(21):
        browser.uploaded(photo("glass", seed=seed))
    first = browser.get("/history?class=glass")
    [older] = [address for address in addresses(first) if "after=" in address]
    page = browser.get(without_prefix(older))
    [deletion] = [address for address in addresses(page) if address.endswith("/deletion")]
    [query] = [text.replace("&amp;", "&") for text in re.findall(r'name="history" value="([^"]+)"', page.text)]
    back = browser.post(without_prefix(deletion), {"history": query}).location
    assert back.startswith(f"{PREFIX}/history?") and "class=glass" in back and "after=" in back
    assert browser.get(without_prefix(back)).location == f"{PREFIX}/history?class=glass"


@pytest.mark.parametrize(
    ("referrer", "location"),
    [
        ("http://localhost/pilah/history?class=glass", "/pilah/history?class=glass"),
        ("http://localhost/pilah/", "/pilah/"),
        ("http://localhost/other/history", "/pilah/"),
        ("http://localhost/pilahistory", "/pilah/"),
        ("http://localhost/", "/pilah/"),
        ("http://localhost/pilah/operator/leave", "/pilah/history"),
        ("http://evil.example/pilah/history", "/pilah/"),
        (None, "/pilah/"),
    ],
)
def test_language_switch_stays_under_the_prefix(browser, referrer, location):
    headers = {"Referer": referrer} if referrer else {}
    assert browser.post("/language", {"language": "id"}, headers=headers).location == location


def test_api_description_names_the_prefix(app, browser):
    assert browser.get("/api/openapi.json").json["servers"] == [{"url": PREFIX}]
    assert Browser(app).get("/api/openapi.json").json["servers"] == [{"url": "/"}]
