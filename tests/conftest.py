"""Tiny real photos for the tests, and the web tier on each database."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads both when it is imported
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from PIL import Image

HAS_POSTGRESQL = os.environ.get("DATABASE_URL", "").startswith("postgresql")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The walk first: it takes longest, and the processes that tests are spread over should end together."""
    items.sort(key=lambda item: item.path.name != "test_walk.py")


def write_photo(path: pathlib.Path, seed: int, size: tuple[int, int] = (20, 15), mode: str = "RGB") -> pathlib.Path:
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], len(mode)), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise.squeeze()).save(path)
    return path


def write_classes(root: pathlib.Path, counts: Mapping[str, int], suffix: str = ".png") -> pathlib.Path:
    seed = 0
    for label, count in counts.items():
        for index in range(count):
            write_photo(root / label / f"{pathlib.Path(label).name}{index}{suffix}", seed)
            seed += 1
    return root


@pytest.fixture
def save_photo() -> Callable[..., pathlib.Path]:
    """save_photo(path, seed, size=(width, height), mode="RGB" or "L"): one photo of noise; equal seeds, equal bytes."""
    return write_photo


@pytest.fixture(scope="session")
def save_classes() -> Callable[..., pathlib.Path]:
    """save_classes(root, {"glass": 4, "metal": 3}): a folder a class of that many photos, no two alike."""
    return write_classes


@pytest.fixture(scope="session")
def model_server() -> Iterator[Any]:
    import web_app

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


@pytest.fixture(scope="session", params=["sqlite", *(["postgresql"] if HAS_POSTGRESQL else [])])
def tables(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | pathlib.Path]:
    """Tables as the migrations make them: a SQLite file to copy, or the address of a PostgreSQL."""
    import web_app

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
    import web_app

    one = web_app.make(tables, tmp_path_factory.mktemp("web"), model_server, serving_timeout_seconds=10.0)
    yield one
    web_app.close(one)


@pytest.fixture
def app(lasting_app: Any, model: Any) -> Any:
    """The web tier without a row, patient with serving: for tests where serving is there."""
    import web_app

    web_app.empty(lasting_app)
    web_app.wait_until(lasting_app.extensions["pilah_uploads"].caller.is_ready)
    return lasting_app


@pytest.fixture
def make_app(tables: Any, model: Any, tmp_path: pathlib.Path) -> Iterator[Callable[..., Any]]:
    """make_app(**settings): the web tier on this test's data; made again, it is the web tier after a restart.

    It waits for serving for half a second alone.
    """
    import web_app

    made: list[Any] = []

    def make(**settings: Any) -> Any:
        made.append(web_app.make(tables, tmp_path, model, **settings))
        if len(made) == 1:
            web_app.empty(made[0])
        return made[-1]

    yield make
    web_app.close(*made)
