"""The web tier on each database, and the model server that it asks."""

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
    config.addinivalue_line("markers", "databases(*names): those that the tests run on; both without this mark")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses `database` on each of its databases; tests of code without SQL name one."""
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
    """A model server of web_app.py that runs, and forgets the test before."""
    model_server.forget()
    yield model_server
    model_server.forget()


@pytest.fixture(scope="session")
def make_tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str | pathlib.Path]]:
    """make_tables("sqlite" or "postgresql"): tables as the migrations make them, made once.

    Those of SQLite are a file to copy, those of PostgreSQL its address.
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
    """make_lasting_app(database): the web tier on it, made once."""
    made: list[Any] = []

    @functools.cache
    def make(database: str) -> Any:
        data = tmp_path_factory.mktemp("web")
        made.append(web_app.make(make_tables(database), data, model_server, serving_timeout_seconds=10.0))
        return made[-1]

    yield make
    web_app.close(*made)


@pytest.fixture
def app(database: str, make_lasting_app: Callable[[str], Any], model: Any) -> Any:
    """The web tier without a row, patient with serving: for tests where serving is there."""
    app = make_lasting_app(database)
    web_app.empty(app)
    web_app.wait_until(app.extensions["pilah_uploads"].caller.is_ready)
    return app


@pytest.fixture
def make_app(tables: Any, model: Any, tmp_path: pathlib.Path) -> Iterator[Callable[..., Any]]:
    """make_app(**settings): the web tier on this test's data; made again, it is the web tier after a restart.

    It waits for serving for half a second alone.
    """
    made: list[Any] = []

    def make(**settings: Any) -> Any:
        made.append(web_app.make(tables, tmp_path, model, **settings))
        if len(made) == 1:
            web_app.empty(made[0])
        return made[-1]

    yield make
    web_app.close(*made)


@pytest.fixture
def web_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The records that the page logs during the test."""
    logging.getLogger("web").addHandler(caplog.handler)
    yield caplog
    logging.getLogger("web").removeHandler(caplog.handler)


@pytest.fixture
def log(app: Any) -> Iterator[io.StringIO]:
    """What the site writes to its log."""
    stream = io.StringIO()
    handlers = logging.getLogger("web").handlers
    [handler] = [one for one in handlers if isinstance(one.formatter, telemetry.JsonFormatter)]
    assert isinstance(handler, logging.StreamHandler)
    before = handler.setStream(stream)
    yield stream
    handler.setStream(before)
