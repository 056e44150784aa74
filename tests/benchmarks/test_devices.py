"""The measurements of exports for devices, with a model of mean colours."""

import dataclasses

import exported_models
import numpy as np
import pytest
import sklearn.metrics

from benchmarks import devices
from components.base.errors import PilahError
from components.publish.devices import formats
from pipeline import config as config_module
from pipeline import run_folder

pytest_plugins = ["finetuning_fixtures"]


@pytest.fixture
def config(written):
    """Return the configuration of a run that has the records of the study."""
    return dataclasses.replace(
        config_module.of_profile("demo", written[0].parent), folds=2, engine="tensorflow", image_size_px=16
    )


@pytest.fixture
def measured(config, study, monkeypatch):
    """Return the photos on which the model of each fold, which tells the colours apart, was quantized."""
    model = exported_models.colour_model(16, units=3, activation="softmax")
    model.get_layer("head").set_weights([np.eye(3, dtype=np.float32) * 30, np.zeros(3, np.float32)])
    monkeypatch.setattr(devices.fold_models, "keras_model", lambda config, study, winner, fold: model)
    monkeypatch.setattr(devices.recipe, "study", lambda config: study)
    monkeypatch.setattr(devices.recipe, "winner", lambda config: devices.Scenario(1, "ResNet50", "Adam", 0.2))
    calibrated, write = [], formats.litert.write_int8

    def noted(model, path, pixels):
        calibrated.append(pixels)
        write(model, path, pixels)

    monkeypatch.setattr(formats.litert, "write_int8", noted)
    return calibrated


def test_f1_of_int8_is_that_of_all_held_out_photos(config, study, measured, capsys):
    devices.measure_f1(config, None)
    text = capsys.readouterr().out
    assert "45 held-out photos of folds 1\n" in text and "90 held-out photos of folds 1, 2\n" in text
    pixels = np.concatenate(list(devices.read_pixels(config.run_dir / "dataset", range(90))))
    f1 = sklearn.metrics.f1_score(study.labels, pixels.mean(axis=(1, 2)).argmax(axis=1), average="macro")
    assert 0.5 < f1 < 1 and f"macro F1          {f1:.4f} in float32, " in text.partition("folds 1, 2\n")[2]


def test_int8_is_calibrated_without_the_photos_of_the_fold(config, study, measured):
    devices.measure_f1(config, [2])
    everything = np.concatenate(list(devices.read_pixels(config.run_dir / "dataset", range(90))))
    np.testing.assert_array_equal(measured[0], everything[study.fold_of != 1])


def test_fold_that_the_run_lacks_is_refused(config):
    with pytest.raises(PilahError, match=r"--folds must be between 1 and 2, the folds of the run \(got 3\)"):
        devices.measure_f1(config, [3])


def test_latency_needs_exports(config):
    with pytest.raises(PilahError, match=r"--run-dir must have exports, and .* has none\. Make one with 'export'\."):
        devices.measure_latency(config, (1,), 2)


def test_table_of_latency_has_size_and_ratio_of_each_export(config, monkeypatch, capsys):
    folder = config.run_dir / run_folder.EXPORTS / "onnx"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(bytes(3_000_000))
    (folder / "description.json").write_bytes(bytes(9_000_000))
    medians = {"SavedModel": 0.08, "onnx": 0.02}
    monkeypatch.setattr(devices, "_in_process_with", lambda threads, *args: medians)
    devices.measure_latency(config, (1, 2), 5)
    assert "| onnx | 3.0 | 20.0 | 0.25 | 20.0 | 0.25 |" in capsys.readouterr().out.splitlines()
