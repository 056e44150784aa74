"""A run of 20 photos that is ready to train: photos.csv and the settings of features and trials, but no results."""

import pathlib

import pytest

from components.base import artifacts
from components.data import photos
from components.models import backbones, features
from pipeline import config as config_module
from pipeline import recipe, resolved_settings, trials
from pipeline.stages import features as features_stage
from tuner import folds, scenarios, trial_folder


def make(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> config_module.Config:
    """Write a run whose feature and trial folders are prepared but empty; return its configuration.

    Scenarios 1 and 2 are ResNet50 with Adam and AdamW, 3 and 4 VGG19 with the same; 5 is refined from 2, and 6 from 3.
    """
    config = config_module.Config(
        folder / "run",
        weights_dir=folder,
        backbones=("ResNet50", "VGG19"),
        optimizers=("Adam", "AdamW"),
        dropouts=(0.2,),
        refine=2,
        unfreeze="top",
        finetuning_rate=1e-3,
        precision="float32",  # the same on every CPU, because the engine of VGG19 depends on it
    )
    photo_list = [photos.Photo(f"{n:016x}", f"/photos/{n}.jpg", ("glass", "metal")[n % 2], n % 5) for n in range(20)]
    photos.write(config.run_dir / "photos.csv", photo_list)
    artifacts.write_csv(config.run_dir / "dataset" / "rejects.csv", ["id"], [{"id": photo_list[3].id}])
    for name in config.backbones:
        (folder / backbones.BACKBONES[name].weights_file).write_text(f"weights of {name}")
    monkeypatch.setattr(features, "missing_views", lambda *args: [])
    start(config)
    return config


def start(config: config_module.Config) -> None:
    """Write what a run writes before it trains."""
    resolved_settings.write(config.run_dir, recipe.resolve(config))
    features_stage.run(config, lambda done, total, what="", note="": None)
    study = recipe.study(config)
    for scenario in scenarios_of(config):
        folds.reset_if_settings_changed(study, scenario, trial_folder.path(config.run_dir / "trials", scenario.number))


def scenarios_of(config: config_module.Config) -> list[scenarios.Scenario]:
    searched = trials.searched_scenarios(config)
    return [*searched, *scenarios.refined([searched[1], searched[2]][: config.refine], len(searched))]
