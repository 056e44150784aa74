"""The running site, and browsers to visit it: the fixtures of the tests of its pages.

Every page that a test opens is watched: a script that fails, a rule of the content security policy that is broken and a
request to another host each fail the test.
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
    """make_site(**settings): the site with an empty database, and a model with a card."""
    made: list[website.Website] = []

    def make(**settings: Any) -> website.Website:
        made.append(_start_site(tmp_path / f"site{len(made)}", model, **settings))
        return made[-1]

    yield make
    for site in made:
        site.stop()


@pytest.fixture(scope="module")
def lasting_site(tmp_path_factory: pytest.TempPathFactory, model_server: Any) -> Iterator[website.Website]:
    site = _start_site(tmp_path_factory.mktemp("site"), model_server, serving_timeout_seconds=10.0)
    yield site
    site.stop()


@pytest.fixture
def site(lasting_site: website.Website, model: web_app.ModelServer) -> website.Website:
    """A site without a row, patient with serving, which the tests of a file share."""
    web_app.empty(lasting_site.app)
    web_app.wait_until(lasting_site.app.extensions["pilah_uploads"].caller.is_ready)
    return lasting_site


def _start_site(folder: pathlib.Path, model: web_app.ModelServer, **settings: Any) -> website.Website:
    own = {
        "pilah_data": str(folder / "data"),
        "serving_target": model.target,
        "database_url": "",
        "model_folder": str(website.write_card(folder / "served")),
    }
    app = web.create_app({**web_app.SETTINGS, **own, **settings})
    limits.limiter.reset()
    with app.app_context():
        db.create_all()
    return website.Website(app, model)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless browser."""
    program = shutil.which("chromium")
    if not program:
        pytest.skip("no Chromium here: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright here: make test installs it")
    with sync_api.sync_playwright() as playwright:
        try:
            # without a process for the GPU, which would only draw in software
            args = ["--no-sandbox", "--disable-gpu", "--in-process-gpu"]
            browser = playwright.chromium.launch(executable_path=program, args=args)
        except sync_api.Error as error:
            pytest.skip(f"Chromium does not start: apt-get install chromium. {error}")
        yield browser
        browser.close()


class _Windows:
    """Pages that the tests of a file open one after the other: a new one costs a second of CPU time.

    Attributes:
        faults: what went wrong on any of them.
    """

    def __init__(self, chromium: Any):
        self._chromium = chromium
        self._pages: dict[str, Any] = {}  # site and options -> page
        self.faults: list[str] = []

    def page(self, host: str, options: dict[str, Any]) -> Any:
        """An empty page of a browser without cookies."""
        key = f"{host} {sorted(options.items())}"
        if key not in self._pages:
            context = self._chromium.new_context(base_url=host, **options)
            context.set_default_timeout(website.TIMEOUT_MS)
            self._pages[key] = context.new_page()
            self._watch(self._pages[key], host)
        return self._pages[key]

    def leave(self) -> None:
        """Leave the pages of a test, so that nothing of it is there in the next one."""
        for page in self._pages.values():
            if page.url != "about:blank":
                page.goto("about:blank")
                page.unroute_all()
                page.context.clear_cookies()

    def _watch(self, page: Any, host: str) -> None:
        page.on("pageerror", lambda error: self.faults.append(f"script failed: {error}"))
        page.on("console", lambda message: self.faults.append(message.text) if _is_fault(message) else None)
        page.on("request", lambda request: self.faults.append(request.url) if _is_foreign(request.url, host) else None)


@pytest.fixture(scope="module")
def windows(chromium: Any) -> _Windows:
    return _Windows(chromium)


@pytest.fixture
def open_page(windows: _Windows, site: website.Website) -> Iterator[Callable[..., Any]]:
    """open_page(path, visitor=True, of=site, **options): a page in a browser of its own, English unless told otherwise.

    One page for each site and options. visitor: as the one whose rows `website.Website.add_rows` adds; options:
    Playwright's for a new context.
    """

    def open_one(path: str = "/", visitor: bool = False, of: website.Website = site, **options: Any) -> Any:
        page = windows.page(of.address, {"locale": "en-GB", **options})
        if visitor:
            page.context.add_cookies([of.visitor_cookie()])
        page.goto(path)
        return page

    yield open_one
    windows.leave()
    faults, windows.faults = windows.faults, []
    assert not faults


def _is_fault(message: Any) -> bool:
    return message.type == "error" and "server responded with a status of 4" not in message.text


def _is_foreign(url: str, host: str) -> bool:
    return not url.startswith((f"{host}/", "blob:", "data:"))
