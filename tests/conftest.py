"""Tiny real photos for all tests, and the order in which tests start."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads both when it is imported
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import pathlib
from collections.abc import Callable

import photo_files
import pytest

TESTS = pathlib.Path(__file__).parent
SLOW = {  # files and folders of tests that train networks, or start servers, browsers, processes or the web tier
    "components/data/test_records.py",
    "components/models",
    "components/publish/test_export.py",
    "pipeline/commands/test_status.py",
    "pipeline/report/test_page.py",
    "pipeline/stages",
    "pipeline/test_cli.py",
    "pipeline/test_start.py",
    "serving/test_client.py",
    "serving/test_client_command.py",
    "serving/test_conformance.py",
    "serving/test_saved_model.py",
    "serving/test_server.py",
    "test_client_examples.py",
    "test_photo_accounting.py",
    "test_together.py",
    "test_walk.py",
    "tuner/test_cross_validation.py",
    "tuner/test_workers.py",
    "web",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="Leave out the slow tests, as make check does.")


def pytest_ignore_collect(collection_path: pathlib.Path, config: pytest.Config) -> bool | None:
    is_slow = collection_path.is_relative_to(TESTS) and collection_path.relative_to(TESTS).as_posix() in SLOW
    return True if is_slow and config.getoption("quick") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The walk first: it takes longest, and the processes that tests are spread over should end together."""
    items.sort(key=lambda item: item.path.name != "test_walk.py")


@pytest.fixture
def save_photo() -> Callable[..., pathlib.Path]:
    """save_photo(path, seed, size=(width, height), mode="RGB" or "L"): one photo of noise; equal seeds, equal bytes."""
    return photo_files.write_photo


@pytest.fixture(scope="session")
def save_classes() -> Callable[..., pathlib.Path]:
    """save_classes(root, {"glass": 4, "metal": 3}): a folder a class of that many photos, no two alike."""
    return photo_files.write_classes
