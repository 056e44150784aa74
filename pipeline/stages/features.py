"""TFRecords -> activations of the frozen backbones, a file a view."""

import functools
import pathlib
from typing import Any

from components.base import artifacts
from components.data import augment
from components.models import features, inference
from pipeline import shared
from pipeline.config import Config
from pipeline.progress import Report


def inputs(config: Config) -> dict[str, Any]:
    return {
        "photos": artifacts.file_digest(config.run_dir / "photos.csv"),
        "rejects": artifacts.file_digest(config.run_dir / "dataset" / "rejects.csv"),
        "weights": {name: shared.weights(config, name).fingerprint for name in config.backbones},
        "image_size_px": config.image_size_px,
        "views": config.views,
        "test_views": config.test_views,
        "flips": config.flips,
        "seed": config.seed,
        "engine": inference.pick(config.engine),
        "precision": features.pick_precision(config.precision),
    }


def outputs(config: Config) -> list[str]:
    """Every view of every backbone, any of which may be deleted to free the disk."""
    views = features.view_numbers(config.views, config.test_views)
    return [
        str(features.view_path(pathlib.Path("features", name), view)) for name in config.backbones for view in views
    ]


def resumed(config: Config) -> list[str]:
    return ["features"]


def run(config: Config, report: Report) -> None:
    photo_ids = [photo.id for photo in shared.usable_photos(config)]
    for name in config.backbones:
        weights = shared.weights(config, name)
        features.extract(
            config.run_dir / "features" / name,
            config.run_dir / "dataset",
            photo_ids,
            name,
            weights,
            config.views,
            config.test_views,
            augment.Augmentation(config.seed, config.flips),
            config.image_size_px,
            inference.pick(config.engine),
            features.pick_precision(config.precision),
            functools.partial(report, what=name),
        )
