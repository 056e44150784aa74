"""Fine-tuning on frozen activations from disk equals training on pixels, and computes them once."""

import concurrent.futures
import dataclasses
import shutil

import numpy as np
import pytest
from tiny_backbone import SCENARIO, fit, with_options

from components.base import artifacts, seeds
from components.base.errors import PilahError
from components.models import backbones, extraction, features, finetuning

pytest_plugins = ["finetuning_fixtures"]


@pytest.fixture
def frozen_study(request, study, tmp_path):
    """Return a study that trains only the last stages, on frozen activations from disk."""
    unfreeze, batchnorm = getattr(request, "param", ("top", "frozen"))
    study = with_options(study, unfreeze=unfreeze, batchnorm=batchnorm)
    # with a low learning rate, so that training does not amplify the rounding to float16
    tuning = dataclasses.replace(study.finetuning, frozen_activations_dir=tmp_path / "trunk", learning_rate=1e-3)
    return dataclasses.replace(study, finetuning=tuning)


@pytest.mark.parametrize("frozen_study", [("top", "trained"), ("top2", "frozen")], ids="-".join, indirect=True)
def test_training_on_frozen_activations_equals_training_on_pixels(study, frozen_study, tmp_path):
    rows, tested = np.arange(40), np.arange(40, 90)
    from_pixels = dataclasses.replace(
        frozen_study, finetuning=dataclasses.replace(frozen_study.finetuning, frozen_activations_dir=None)
    )
    whole, expected = fit(from_pixels, rows, tmp_path / "whole")
    model, history = fit(frozen_study, rows, tmp_path / "top")
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-2)  # float16 rounds the activations
    scores = [finetuning.predict(fitted, study.all_pixels(), tested) for fitted in (model, whole)]
    np.testing.assert_allclose(scores[0], scores[1], atol=0.05)


@pytest.mark.parametrize("frozen_study", [("top2", "trained")], ids="-".join, indirect=True)
def test_ensemble_scores_are_means_over_models_with_different_seeds(frozen_study, tmp_path):
    recipe, examples, rows, tested = (
        frozen_study.recipe(SCENARIO),
        frozen_study.examples("Tiny"),
        np.arange(40),
        np.arange(90),
    )
    pair = dataclasses.replace(recipe, options=dataclasses.replace(recipe.options, ensemble=2))
    both, history = finetuning.fit(pair, examples, rows, seed=7, checkpoint=tmp_path / "both")
    fitted = [
        finetuning.fit(
            dataclasses.replace(recipe, seed=seed_of(recipe.seed)),
            examples,
            rows,
            seed=seed_of(7),
            checkpoint=tmp_path / name,
        )
        for name, seed_of in (("first", int), ("second", lambda seed: seeds.derive(seed, seeds.MEMBER, 1)))
    ]
    np.testing.assert_allclose(history["loss"], np.mean([member["loss"] for _, member in fitted], axis=0), rtol=1e-5)
    first, second = (finetuning.predict(model, examples.pixels, tested) for model, _ in fitted)
    assert np.abs(first - second).max() > 0.02
    mean = (first + second) / 2
    np.testing.assert_allclose(
        finetuning.predict(both, examples.pixels, tested), mean, atol=2e-3
    )  # the shared layers are float16


def test_frozen_activations_are_computed_once_with_one_view_per_epoch(frozen_study, monkeypatch):
    first = frozen_study.examples("Tiny").frozen_activations
    assert [view.dtype for view in first] == [np.float16] * 3
    monkeypatch.setattr(backbones, "build", pytest.fail)
    again = frozen_study.examples("Tiny").frozen_activations
    np.testing.assert_array_equal(again, first)


def test_tasks_write_the_same_frozen_activations(frozen_study, tmp_path, monkeypatch):
    folder = frozen_study.finetuning.frozen_activations_dir
    expected = np.array(frozen_study.examples("Tiny").frozen_activations)
    folder.rename(tmp_path / "before")
    monkeypatch.setattr(extraction, "PHOTOS_PER_TASK", 32)
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        np.testing.assert_array_equal(frozen_study.examples("Tiny", executor).frozen_activations, expected)
    assert {path.name for path in (folder / "Tiny").iterdir()} == {
        path.name for path in (tmp_path / "before" / "Tiny").iterdir()
    }


def test_bfloat16_frozen_activations_are_stored_separately_and_nearly_equal(frozen_study):
    exact = np.array(frozen_study.examples("Tiny").frozen_activations, np.float32)
    bfloat16_tuning = dataclasses.replace(frozen_study.finetuning, precision="bfloat16")
    bfloat16 = np.array(
        dataclasses.replace(frozen_study, finetuning=bfloat16_tuning).examples("Tiny").frozen_activations, np.float32
    )
    error = np.sqrt(np.mean((bfloat16 - exact) ** 2) / np.mean(exact**2))
    folder = frozen_study.finetuning.frozen_activations_dir / "Tiny"
    assert artifacts.read_json(folder / "settings.json")["engine"] == "tensorflow"  # engines differ in bfloat16
    assert 1e-3 < error < 3e-2  # the rounding error is at most 1 / 256 for bfloat16 and 1 / 2048 for float16


def test_frozen_activations_too_large_for_the_disk_raise_before_the_computation(frozen_study, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(100, 99, 1))
    monkeypatch.setattr(features, "write_view", pytest.fail)
    with pytest.raises(PilahError, match=r"0\.0 GB are free in .*Tiny\. Free some"):
        frozen_study.examples("Tiny")
