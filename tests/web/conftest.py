"""Fixtures: the web tier on each database, and its model server."""

import contextlib
import functools
import io
import logging
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import web_app

from web import telemetry

DATABASES = ("sqlite", "postgresql")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "databases(*names): databases that the tests run on; both without this mark")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses `database` on each of its databases."""
    if "database" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("databases")
        names = mark.args if mark else DATABASES
        metafunc.parametrize("database", [name for name in names if name == "sqlite" or web_app.HAS_POSTGRESQL])


@pytest.fixture(scope="session")
def model_server() -> Iterator[Any]:
    server = web_app.ModelServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def model(model_server: Any) -> Iterator[Any]:
    """Return a running model server without calls from other tests."""
    model_server.forget()
    yield model_server
    model_server.forget()


@pytest.fixture(scope="session")
def make_tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str | pathlib.Path]]:
    """Return make_tables("sqlite" or "postgresql"), which runs the migrations once.

    It returns a file to copy for SQLite, and a URL for PostgreSQL.
    """
    with contextlib.ExitStack() as schemas:

        @functools.cache
        def make(database: str) -> str | pathlib.Path:
            data = tmp_path_factory.mktemp("tables")
            url = schemas.enter_context(web_app.own_schema(os.environ["DATABASE_URL"])) if database != "sqlite" else ""
            web_app.upgrade(data, url)
            return url or data / "pilah.db"

        yield make


@pytest.fixture
def tables(database: str, make_tables: Callable[[str], str | pathlib.Path]) -> str | pathlib.Path:
    return make_tables(database)


@pytest.fixture(scope="session")
def make_lasting_app(make_tables: Any, model_server: Any, tmp_path_factory: Any) -> Iterator[Callable[[str], Any]]:
    """Return make_lasting_app(database), which creates the web tier once per database."""
    apps: list[Any] = []

    @functools.cache
    def make(database: str) -> Any:
        data = tmp_path_factory.mktemp("web")
        apps.append(web_app.make(make_tables(database), data, model_server, serving_timeout_seconds=10.0))
        return apps[-1]

    yield make
    web_app.close(*apps)


@pytest.fixture
def app(database: str, make_lasting_app: Callable[[str], Any], model: Any) -> Any:
    """Return the web tier without rows, with a long serving timeout: for tests with a running model server."""
    app = make_lasting_app(database)
    web_app.empty(app)
    web_app.wait_until(app.extensions["pilah_uploads"].caller.is_ready)
    return app


@pytest.fixture
def make_app(tables: Any, model: Any, tmp_path: pathlib.Path) -> Iterator[Callable[..., Any]]:
    """Return make_app(**settings), which creates the web tier on this test's data, or restarts it.

    The serving timeout is half a second.
    """
    apps: list[Any] = []

    def make(**settings: Any) -> Any:
        apps.append(web_app.make(tables, tmp_path, model, **settings))
        if len(apps) == 1:
            web_app.empty(apps[0])
        return apps[-1]

    yield make
    web_app.close(*apps)


@pytest.fixture
def web_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Capture the records that the page logs during the test."""
    logging.getLogger("web").addHandler(caplog.handler)
    yield caplog
    logging.getLogger("web").removeHandler(caplog.handler)


@pytest.fixture
def log(app: Any) -> Iterator[io.StringIO]:
    """Return a stream of what the site writes to its log."""
    stream = io.StringIO()
    handlers = logging.getLogger("web").handlers
    [handler] = [handler for handler in handlers if isinstance(handler.formatter, telemetry.JsonFormatter)]
    assert isinstance(handler, logging.StreamHandler)
    original = handler.setStream(stream)
    yield stream
    handler.setStream(original)
