"""Fixtures of a study for fine-tuning: tiny photos that differ in colour, and a backbone of three convolutions."""

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tiny_backbone
from PIL import Image

from components.base import artifacts, settings
from components.data import photos, records
from components.models import backbones
from tuner import study as study_module

SIZE_PX, CLASSES, FOLDS, PER_CLASS = 16, ["glass", "metal", "paper"], 2, 30
WEIGHTS = backbones.Weights(None, seed=3)


@pytest.fixture(scope="module")
def tiny() -> Iterator[None]:
    with tiny_backbone.known():
        yield


@pytest.fixture(scope="module")
def written(tiny: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, list[photos.Photo]]:
    """Return the record folder and list of photos of one colour each: reddish, greenish or bluish by class."""
    root, draw, photo_list = tmp_path_factory.mktemp("tiny"), np.random.default_rng(1), []
    for number in range(PER_CLASS * len(CLASSES)):
        colour = draw.integers(0, 150, 3)
        colour[number % 3] += 80
        path = root / f"{number}.png"
        Image.new("RGB", (SIZE_PX, SIZE_PX), tuple(colour.tolist())).save(path)
        fold = number // 3 % FOLDS
        photo_list.append(photos.Photo(artifacts.file_digest(path), str(path), CLASSES[number % 3], fold))
    records.build(
        root / "dataset",
        photo_list,
        image_size_px=SIZE_PX,
        max_pixels=10**6,
        max_rejects=0.0,
        folds=FOLDS,
        beam_args=(),
        progress=lambda done, total: None,
    )
    return root / "dataset", photo_list


@pytest.fixture
def study(written: tuple[pathlib.Path, list[photos.Photo]]) -> study_module.Study:
    tuning = study_module.Finetuning(
        written[0], {"Tiny": WEIGHTS}, SIZE_PX, 1e-2, settings.Finetuning(), {"Tiny": "tensorflow"}
    )
    options: dict[str, Any] = {
        "views": 0,
        "epochs": 3,
        "batch_size": 16,
        "learning_rate": 1e-2,
        "weight_decay": 0.0,
        "seed": 5,
    }
    return study_module.Study(written[1], CLASSES, FOLDS, pathlib.Path("none"), **options, finetuning=tuning)
