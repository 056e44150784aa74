"""Tiny real photos for all tests, and the order in which tests start."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads both when it is imported
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import pathlib
from collections.abc import Callable

import photo_files
import pytest


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
