"""Fixtures of browser tests: the running site, and pages in a browser.

A test fails if a page that it opens has a script error, violates its content security policy or sends a request to
another host.
"""

import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import web_app
import website

import web
from web import limits
from web.database import db


@pytest.fixture
def make_site(tmp_path: pathlib.Path, model: web_app.ModelServer) -> Iterator[Callable[..., website.Website]]:
    """Yield make_site(**settings), whose sites have an empty database and a model with a card."""
    sites: list[website.Website] = []

    def make(**settings: Any) -> website.Website:
        sites.append(_start_site(tmp_path / f"site{len(sites)}", model, **settings))
        return sites[-1]

    yield make
    for site in sites:
        site.stop()


@pytest.fixture(scope="module")
def lasting_site(tmp_path_factory: pytest.TempPathFactory, model_server: Any) -> Iterator[website.Website]:
    site = _start_site(tmp_path_factory.mktemp("site"), model_server, serving_timeout_seconds=10.0)
    yield site
    site.stop()


@pytest.fixture
def site(lasting_site: website.Website, model: web_app.ModelServer) -> website.Website:
    """Return the site that the tests of a file share, without rows and with a long serving timeout."""
    web_app.empty(lasting_site.app)
    web_app.wait_until(lasting_site.app.extensions["pilah_uploads"].caller.is_ready)
    return lasting_site


def _start_site(folder: pathlib.Path, model: web_app.ModelServer, **settings: Any) -> website.Website:
    locations = {
        "pilah_data": str(folder / "data"),
        "serving_target": model.target,
        "database_url": "",
        "model_folder": str(website.write_card(folder / "served")),
    }
    app = web.create_app({**web_app.SETTINGS, **locations, **settings})
    limits.limiter.reset()
    with app.app_context():
        db.create_all()
    return website.Website(app, model)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Yield a headless browser."""
    program = shutil.which("chromium")
    if not program:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make test installs it")
    with sync_api.sync_playwright() as playwright:
        try:
            # without a GPU process, which would render in software
            args = ["--no-sandbox", "--disable-gpu", "--in-process-gpu"]
            browser = playwright.chromium.launch(executable_path=program, args=args)
        except sync_api.Error as error:
            pytest.skip(f"Chromium does not start: apt-get install chromium. {error}")
        yield browser
        browser.close()


class _Pages:
    """Pages that the tests of a file reuse, because a new page costs a second of CPU time.

    Attributes:
        errors: the errors on all pages.
    """

    def __init__(self, chromium: Any):
        self._chromium = chromium
        self._pages: dict[str, Any] = {}  # site and options -> page
        self.errors: list[str] = []

    def page(self, host: str, options: dict[str, Any]) -> Any:
        """Return a blank page of a browser without cookies."""
        key = f"{host} {sorted(options.items())}"
        if key not in self._pages:
            context = self._chromium.new_context(base_url=host, **options)
            context.set_default_timeout(website.TIMEOUT_MS)
            self._pages[key] = context.new_page()
            self._watch(self._pages[key], host)
        return self._pages[key]

    def reset(self) -> None:
        """Reset all pages, so that the next test starts without cookies, routes and content."""
        for page in self._pages.values():
            if page.url != "about:blank":
                page.goto("about:blank")
                page.unroute_all()
                page.context.clear_cookies()

    def _watch(self, page: Any, host: str) -> None:
        page.on("pageerror", lambda error: self.errors.append(f"script failed: {error}"))
        page.on("console", lambda message: self.errors.append(message.text) if _is_error(message) else None)
        page.on("request", lambda request: self.errors.append(request.url) if _is_foreign(request.url, host) else None)


@pytest.fixture(scope="module")
def browser_pages(chromium: Any) -> _Pages:
    return _Pages(chromium)


@pytest.fixture
def open_page(browser_pages: _Pages, site: website.Website) -> Iterator[Callable[..., Any]]:
    """Yield open_page(path, visitor=False, of=site, **options), which opens a page in English.

    Each site and each set of options has its own page. With `visitor`, the browser has the cookie of the visitor whose
    rows `website.Website.add_rows` adds. Options are those of Playwright's new_context.
    """

    def open_one(path: str = "/", visitor: bool = False, of: website.Website = site, **options: Any) -> Any:
        page = browser_pages.page(of.address, {"locale": "en-GB", **options})
        if visitor:
            page.context.add_cookies([of.visitor_cookie()])
        page.goto(path)
        return page

    yield open_one
    browser_pages.reset()
    errors, browser_pages.errors = browser_pages.errors, []
    assert not errors


def _is_error(message: Any) -> bool:
    return message.type == "error" and "server responded with a status of 4" not in message.text


def _is_foreign(url: str, host: str) -> bool:
    return not url.startswith((f"{host}/", "blob:", "data:"))
