"""The web tier on each database, and the model server that it asks."""

import io
import logging
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import web_app

from web import telemetry


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


@pytest.fixture(scope="session", params=["sqlite", *(["postgresql"] if web_app.HAS_POSTGRESQL else [])])
def tables(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | pathlib.Path]:
    """Tables as the migrations make them: a SQLite file to copy, or the address of a PostgreSQL."""
    data = tmp_path_factory.mktemp("tables")
    if request.param == "sqlite":
        web_app.upgrade(data, "")
        yield data / "pilah.db"
    else:
        with web_app.own_schema(os.environ["DATABASE_URL"]) as url:
            web_app.upgrade(data, url)
            yield url


@pytest.fixture(scope="session")
def lasting_app(tables: Any, model_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    app = web_app.make(tables, tmp_path_factory.mktemp("web"), model_server, serving_timeout_seconds=10.0)
    yield app
    web_app.close(app)


@pytest.fixture
def app(lasting_app: Any, model: Any) -> Any:
    """The web tier without a row, patient with serving: for tests where serving is there."""
    web_app.empty(lasting_app)
    web_app.wait_until(lasting_app.extensions["pilah_uploads"].caller.is_ready)
    return lasting_app


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
