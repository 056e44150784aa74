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
    card = str(website.write_card(tmp_path / "served"))

    def make(**settings: Any) -> website.Website:
        data = tmp_path / f"site{len(made)}"
        own = {
            "pilah_data": str(data),
            "serving_target": model.target,
            "database_url": "",
            "model_folder": card,
            **settings,
        }
        app = web.create_app({**web_app.SETTINGS, **own})
        limits.limiter.reset()
        with app.app_context():
            db.create_all()
        made.append(website.Website(app, model))
        return made[-1]

    yield make
    for site in made:
        site.stop()


@pytest.fixture
def site(make_site: Callable[..., website.Website]) -> website.Website:
    return make_site()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless browser."""
    program = shutil.which("chromium")
    if not program:
        pytest.skip("no Chromium here: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright here: make test installs it")
    with sync_api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        except sync_api.Error as error:
            pytest.skip(f"Chromium does not start: apt-get install chromium. {error}")
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any, site: website.Website) -> Iterator[Callable[..., Any]]:
    """open_page(path, visitor=True, of=site, **options): a page in a browser of its own, English unless told otherwise.

    visitor: as the one whose rows `website.Website.add_rows` adds; options: Playwright's for a new context.
    """
    contexts, faults = [], []

    def watch(page: Any, host: str) -> None:
        page.on("pageerror", lambda error: faults.append(f"script failed: {error}"))
        page.on("console", lambda message: faults.append(message.text) if _is_fault(message) else None)
        page.on("request", lambda request: faults.append(request.url) if _is_foreign(request.url, host) else None)

    def open_one(path: str = "/", visitor: bool = False, of: website.Website = site, **options: Any) -> Any:
        context = chromium.new_context(base_url=of.address, **{"locale": "en-GB", **options})
        context.set_default_timeout(website.TIMEOUT_MS)
        contexts.append(context)
        if visitor:
            context.add_cookies([of.visitor_cookie()])
        page = context.new_page()
        watch(page, of.address)
        page.goto(path)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not faults


def _is_fault(message: Any) -> bool:
    return message.type == "error" and "server responded with a status of 4" not in message.text


def _is_foreign(url: str, host: str) -> bool:
    return not url.startswith((f"{host}/", "blob:", "data:"))
