"""TFRecords -> activations of the frozen backbones, a file for each view."""

import functools
import pathlib
from typing import Any

from components.base import artifacts
from components.data import augmentation
from components.models import extraction, features
from pipeline import cluster, recipe, run_folder
from pipeline.config import Config
from pipeline.progress import Progress
from pipeline.runner import Stage


def inputs(config: Config) -> dict[str, Any]:
    return {
        "weights": {name: recipe.weights(config, name).fingerprint for name in config.backbones},
        "image_size_px": config.image_size_px,
        "views": config.views,
        "test_views": config.test_views,
        "flips": config.flips,
        # runs without this input have affine views
        **({"augmentation": config.augmentation} if config.augmentation != "affine" else {}),
        "seed": config.seed,
        "engines": {name: recipe.engine(config, name) for name in config.backbones},
        "precision": features.pick_precision(config.precision),
    }


def outputs(config: Config) -> list[str]:
    """Return the files of every backbone: its settings and its views; a deleted view is computed again."""
    views = features.view_numbers(config.views, config.test_views)
    folders = [pathlib.Path(run_folder.features(name)) for name in config.backbones]
    files = [features.view_path(folder, view) for folder in folders for view in views]
    return [str(path) for path in (*files, *(folder / artifacts.SETTINGS for folder in folders))]


def run(config: Config, progress: Progress) -> None:
    source = extraction.Source(
        config.run_dir / run_folder.DATASET,
        [photo.id for photo in run_folder.usable_photos(config.run_dir)],
        augmentation.Augmentation(config.seed, config.flips, config.augmentation),
    )
    with cluster.executor(config, progress) as (executor, progress_with_state):
        for name in config.backbones:
            extraction.extract(
                config.run_dir / run_folder.features(name),
                source,
                recipe.network(config, name),
                views=config.views,
                test_views=config.test_views,
                progress=functools.partial(progress_with_state, what=name),
                executor=executor,
            )


STAGE = Stage(
    name="features",
    inputs=inputs,
    outputs=outputs,
    run=run,
    reads={"photos": run_folder.PHOTOS, "rejects": run_folder.REJECTS},
    covered=run_folder.all_files(run_folder.DATASET, run_folder.FEATURES),
    resumed=lambda config: [run_folder.FEATURES],
)
