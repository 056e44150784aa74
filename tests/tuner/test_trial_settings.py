"""Settings of trials must stay as they are: if they change, finished runs train their trials again."""

import dataclasses
import pathlib

import pytest

from components.base import artifacts, settings
from components.data import augmentation as augmentation_module
from components.data import photos
from components.models import backbones, covariance_head, extraction, features
from tuner import scenarios, trial_settings
from tuner import study as study_module

PHOTOS = [photos.Photo(f"{n:016x}", f"/photos/{n}.jpg", ("glass", "metal")[n % 2], n % 5) for n in range(20)]
WEIGHTS = backbones.Weights(None, seed=7)
AUGMENTATION = {
    "seed": 42,
    "augmentation": {
        "flip": "horizontal and vertical",
        "rotation_degrees": 20.0,
        "shear_degrees": 0.2,
        "zoom": 0.2,
        "shift": 0.1,
        "fill": "nearest",
    },
}
OF_BOTH_STRATEGIES = {
    "backbone": "VGG19",
    "optimizer": "AdamW",
    "dropout": 0.2,
    "weight_decay": 0.004,
    "epochs": 10,
    "batch_size": 32,
    "seed": 42,
    "photos": "14a93f64434dddb7",
    "head": "Dense(256, relu), BatchNormalization, Dropout, Dense(softmax)",
    "seeds": "SeedSequence",
    "test_views": 2,
}
OF_FROZEN = {
    **OF_BOTH_STRATEGIES,
    "learning_rate": 1e-4,
    "views": 4,
    "features": {
        "backbone": "VGG19",
        "weights": "random weights, seed 7",
        "engine": "openvino",
        "precision": "bfloat16",
        "image_size_px": 96,
        "photos": "461c3f490dc9184d",
        **AUGMENTATION,
    },
}
OF_FINETUNED = {
    **OF_BOTH_STRATEGIES,
    **AUGMENTATION,
    "strategy": "finetune",
    "learning_rate": 3e-4,
    "weights": "random weights, seed 7",
    "precision": "bfloat16",
    "image_size_px": 96,
    "unfreeze": "top",
    "batchnorm": "trained",
    "warmup_epochs": 1,
    "schedule": "cosine",
    "label_smoothing": 0.1,
    "balance": "weights",
    "clip_norm": 1.0,
    "ensemble": 2,
    "xla": True,
    "trunk": "float16",
}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Return a study with no setting at its default, and with a features folder without features."""
    monkeypatch.setattr(features, "missing_views", lambda *args: [])
    ids, augmentation = [photo.id for photo in PHOTOS], augmentation_module.Augmentation(42, "both")
    folder, records_dir = tmp_path / "features" / "VGG19", tmp_path / "dataset"
    extraction.extract(
        folder,
        extraction.Source(records_dir, ids, augmentation),
        extraction.Network("VGG19", WEIGHTS, 96, "openvino", "bfloat16"),
        views=4,
        test_views=2,
        progress=print,
    )
    options = settings.Finetuning(
        unfreeze="top",
        batchnorm="trained",
        warmup_epochs=1,
        schedule="cosine",
        label_smoothing=0.1,
        balance="weights",
        clip_norm=1.0,
        ensemble=2,
        xla=True,
    )
    finetuning = study_module.Finetuning(
        records_dir, {"VGG19": WEIGHTS}, 96, 3e-4, options, {"VGG19": "openvino"}, pathlib.Path("trunk"), "bfloat16"
    )
    return study_module.Study(
        PHOTOS, ["glass", "metal"], 5, folder.parent, 4, 10, 32, 1e-4, 0.004, 42, 2, "both", finetuning=finetuning
    )


@pytest.mark.parametrize(("strategy", "expected"), [("features", OF_FROZEN), ("finetune", OF_FINETUNED)])
def test_settings_of_a_trial_equal_those_of_finished_runs(strategy, expected, study, tmp_path):
    settings = study.settings(scenarios.Scenario(1, "VGG19", "AdamW", 0.2, strategy))
    assert settings == expected
    artifacts.write_json(tmp_path / "settings.json", settings)
    assert artifacts.read_json(tmp_path / "settings.json") == expected  # the file is compared after reading it


def test_settings_of_covariance_heads_are_stated_with_their_weights(study):
    heads = dataclasses.replace(study.finetuning.options, covariance_top=("VGG19",))
    study = dataclasses.replace(study, finetuning=dataclasses.replace(study.finetuning, options=heads))
    assert study.settings(scenarios.Scenario(1, "VGG19", "AdamW", 0.2, "finetune")) == {
        **OF_FINETUNED,
        "covariance_top": ["VGG19"],
        "covariance_weights": {"VGG19": "random weights, seed 7"},
        "covariance_head": "ridge regressions with penalty 0.03 on 128 whitened components, softmax of 4 times their "
        "outputs",
    }


def test_settings_without_effect_are_left_at_their_defaults(study):
    """These are weight decay of other optimizers than AdamW, and a single test-time view."""
    plain = dataclasses.replace(study, test_views=1)
    settings = plain.settings(scenarios.Scenario(1, "VGG19", "Adam", 0.2))
    assert settings["weight_decay"] == 0.0 and "test_views" not in settings


def test_settings_of_covariance_heads_name_the_constants_of_the_code():
    constants = covariance_head.PENALTY, covariance_head.COMPONENTS, covariance_head.SHARPNESS
    assert ("ridge regressions with penalty {} on {} whitened components, softmax of {:g} times their outputs").format(
        *constants
    ) == trial_settings.COVARIANCE_HEAD
