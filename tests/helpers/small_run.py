"""Run a search on a few synthetic photos in 1 to 2 seconds, with invented features; all else is real."""

import dataclasses
import io
import pathlib
from collections.abc import Sequence
from typing import Any

import finished_run
import numpy as np
import rich.console
from PIL import Image, ImageFilter

from components.base import artifacts
from components.data import class_folders, feature_settings, listing, photos
from components.demo import synthetic_photos
from components.models import features
from pipeline import config as config_module
from pipeline import recipe, resolved_settings, runner, trials
from pipeline.stages import report
from tuner import choose, cross_validation

CLASSES = ("glass", "metal", "paper")
PHOTOS_PER_CLASS = 12
FEATURES = 8  # per photo
RESOLVED = resolved_settings.Resolved({"VGG19": "invented"}, {"VGG19": "mnn"}, "float32", False)
TWIN, WRONG, BLURRED = "glass/twin.jpg", "metal/wrong.jpg", "paper/blurred.jpg"


def write_photos(root: pathlib.Path, alike: Sequence[str] = ()) -> None:
    """Write synthetic photos, among them a near-duplicate, a mislabelled photo and a blurred one.

    The photos of the classes `alike` differ in one pixel.
    """
    for label in CLASSES:
        (root / label).mkdir(parents=True)
        for index in range(PHOTOS_PER_CLASS):
            photo = synthetic_photos.draw(label, 0 if label in alike else index, seed=1)
            if label in alike:
                photo.putpixel((0, 0), (index, index, index))
            photo.save(root / label / f"{index}.png")
    Image.open(root / "glass" / "0.png").save(root / TWIN, quality=60)
    synthetic_photos.draw("glass", 99, seed=1).save(root / WRONG)
    synthetic_photos.draw("paper", 99, seed=1).filter(ImageFilter.GaussianBlur(6)).save(root / BLURRED)


def named(photo_list: Sequence[photos.Photo], name: str) -> tuple[int, photos.Photo]:
    """Return the row and the photo whose path ends in `name`."""
    return next((row, photo) for row, photo in enumerate(photo_list) if photo.path.endswith(name))


def make(run_dir: pathlib.Path, noise: float = 0.5, alike: Sequence[str] = ()) -> config_module.Config:
    """Write the run and return its configuration.

    Args:
        noise: spread of the features of a class; the centres of the classes are about 8 apart.
        alike: classes whose photos differ in one pixel.
    """
    config = dataclasses.replace(
        config_module.of_profile("demo", run_dir),
        images=(run_dir / "photos",),
        coverage=0.95,
        backbones=("VGG19",),
        optimizers=("Adam",),
        dropouts=(0.0, 0.5),
        folds=3,
        views=1,
        test_views=2,
        epochs=6,
        learning_rate=1e-2,
    )
    write_photos(run_dir / "photos", alike)
    scan = class_folders.scan([run_dir / "photos"])
    photo_list, duplicates = listing.list_photos(scan, config.folds, config.seed, lambda done, total: None)
    row, _ = named(photo_list, TWIN)
    _, first = named(photo_list, "glass/0.png")
    photo_list[row] = dataclasses.replace(photo_list[row], fold=(first.fold + 1) % config.folds)
    photos.write(run_dir / "photos.csv", photo_list)
    listing.write_duplicates(run_dir / "duplicates.csv", duplicates)
    artifacts.write_csv(run_dir / "dataset" / "rejects.csv", ["id"], [])
    artifacts.write_json(run_dir / "run.json", config_module.to_json(config))
    resolved_settings.write(run_dir, RESOLVED)
    write_features(run_dir / "features" / "VGG19", photo_list, noise)
    artifacts.write_json(run_dir / "features" / "VGG19" / "settings.json", features_settings(config, photo_list))
    study, scenario_list = recipe.study(config), trials.searched_scenarios(config)
    cross_validation.search(study, scenario_list, run_dir / "trials", processes=1, progress=lambda done, total: None)
    parameters = {scenario.number: 1 for scenario in scenario_list}
    leaderboard = choose.leaderboard(run_dir / "trials", scenario_list, study, parameters)
    artifacts.write_json(run_dir / "leaderboard.json", leaderboard)
    for name in config_module.STAGES[: config_module.STAGES.index("model")]:
        artifacts.write_json(runner.path(run_dir, name), {"inputs": {}, "seconds": 1.0})
    return config


def finish(run_dir: pathlib.Path) -> pathlib.Path:
    """Mark the later stages as finished, write the served model's description, and run the stage report.

    Returns:
        The folder of the served version, with its model card.
    """
    version = finished_run.serve(run_dir)
    for name in config_module.STAGES[config_module.STAGES.index("model") : -1]:
        artifacts.write_json(runner.path(run_dir, name), {"inputs": {}, "seconds": 1.0})
    runner.run(report.STAGE, config_module.read(run_dir), rich.console.Console(file=io.StringIO()))
    return version


def features_settings(config: config_module.Config, photo_list: Sequence[photos.Photo]) -> dict[str, Any]:
    return feature_settings.of_features(
        "VGG19",
        RESOLVED.weights["VGG19"],
        engine=RESOLVED.engines["VGG19"],
        precision=RESOLVED.precision,
        image_size_px=config.image_size_px,
        photo_ids=[photo.id for photo in photo_list],
        augmentation=feature_settings.of_augmentation(config.seed, config.flips, config.augmentation),
    )


def write_features(folder: pathlib.Path, photo_list: Sequence[photos.Photo], noise: float) -> None:
    """Write noisy features of what each photo shows, not of its label: the clean, an augmented and a test view."""
    rng = np.random.default_rng(1)
    centres = 2 * rng.normal(size=(len(CLASSES), FEATURES))
    true_labels = ["glass" if photo.path.endswith(WRONG) else photo.label for photo in photo_list]
    clean = np.stack([centres[CLASSES.index(name)] for name in true_labels])
    clean += noise * rng.normal(size=clean.shape)
    folder.mkdir(parents=True, exist_ok=True)
    for view, spread in ((0, 0.0), (1, 0.1), (-1, noise / 4)):
        activations = clean + spread * rng.normal(size=clean.shape)
        np.save(features.view_path(folder, view), activations.astype(np.float32))
