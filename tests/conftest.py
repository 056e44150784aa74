"""Tiny real photos for the tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads both when it is imported
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import pathlib
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from PIL import Image


def write_photo(path: pathlib.Path, seed: int, size: tuple[int, int] = (20, 15), mode: str = "RGB") -> pathlib.Path:
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], len(mode)), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise.squeeze()).save(path)
    return path


def write_classes(root: pathlib.Path, counts: Mapping[str, int], suffix: str = ".png") -> pathlib.Path:
    seed = 0
    for label, count in counts.items():
        for index in range(count):
            write_photo(root / label / f"{label}{index}{suffix}", seed)
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
