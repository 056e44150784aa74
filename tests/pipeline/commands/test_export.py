"""The command export, on a run with invented predictions, real records and a model of mean colours."""

import io

import exported_models
import finished_run
import numpy as np
import pytest
import rich.console

from components.base import artifacts
from components.base.errors import PilahError
from components.data import records
from components.models import assembly
from pipeline import config as config_module
from pipeline import lock, run_folder, runner
from pipeline.commands import export

SIZE_PX = 16


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder of a run up to its validation."""
    run_dir = finished_run.write(tmp_path_factory.mktemp("run"))
    photo_list = run_folder.usable_photos(run_dir)
    records.build(
        run_dir / "dataset",
        photo_list,
        image_size_px=SIZE_PX,
        max_pixels=1_000_000,
        max_rejects=1.0,
        folds=2,
        beam_args=(),
        progress=lambda done, total: None,
    )
    model = exported_models.colour_model(SIZE_PX, units=3, activation="softmax")
    assembly.save(model, run_dir / run_folder.KERAS_MODEL)
    for name in config_module.STAGES[: config_module.STAGES.index("push")]:
        artifacts.write_json(runner.path(run_dir, name), {"inputs": {}, "seconds": 1.0})
    artifacts.write_json(run_dir / run_folder.PUSHED, {"version": 7})
    return run_dir


def run(run_dir, name):
    text = io.StringIO()
    export.run(run_dir, name, rich.console.Console(file=text, width=200))
    return text.getvalue()


def test_export_is_in_the_run_folder_with_figures_of_the_run(finished):
    text = run(finished, "onnx")
    folder = finished / "exports" / "onnx"
    described = artifacts.read_json(folder / "description.json")
    assert described["f1"] == artifacts.read_json(finished / "leaderboard.json")["winner"]["f1"]
    assert described["classes"] == finished_run.CLASSES
    calibration = artifacts.read_json(finished / "calibration" / "calibration.json")
    assert described["prediction_sets"]["thresholds"] == calibration["thresholds"]["0.95"]
    assert described["made_from"]["keras_model"] == artifacts.file_digest(finished / run_folder.KERAS_MODEL)
    assert described["made_from"]["pushed_version"] == 7
    assert described["validation"]["photos"] == 90
    assert "on 90 photos of the run: 100.00% have the same class" in text and f"{folder}/classify.py photo.jpg" in text


def test_pixels_are_those_of_the_rows_in_order(finished):
    everything = [record["image"] for record in records.read(finished / "dataset").as_numpy_iterator()]
    rows = [0, 3, *range(40, 80), 89]
    batches = list(export.read_pixels(finished / "dataset", rows))
    assert max(map(len, batches)) <= 32
    np.testing.assert_array_equal(np.concatenate(batches), np.stack(everything)[rows])


def test_unfinished_run_is_refused(finished, monkeypatch):
    monkeypatch.setattr(export.runner, "left", lambda config: ["validate", "push", "report"])
    with pytest.raises(PilahError, match=r"An export needs a validated model, but .* lacks the stages validate\. "):
        run(finished, "onnx")


def test_model_that_was_not_pushed_can_be_exported(finished, monkeypatch):
    monkeypatch.setattr(export.runner, "left", lambda config: ["push", "report"])
    (finished / run_folder.PUSHED).rename(finished / "moved")
    try:
        run(finished, "openvino")
    finally:
        (finished / "moved").rename(finished / run_folder.PUSHED)
    described = artifacts.read_json(finished / "exports" / "openvino" / "description.json")
    assert described["made_from"]["pushed_version"] is None


def test_changed_model_is_named(finished):
    outputs = {run_folder.KERAS_MODEL: "0123456789abcdef"}
    mark = runner.path(finished, "model")
    before = mark.read_text()
    artifacts.write_json(mark, {"inputs": {}, "seconds": 1.0, "outputs": outputs})
    try:
        with pytest.raises(PilahError, match=r"model\.keras has changed since the stage model wrote it"):
            run(finished, "onnx")
    finally:
        mark.write_text(before)


def test_export_during_a_run_is_refused(finished):
    with lock.locked(finished), pytest.raises(PilahError, match="is in use by process"):
        run(finished, "onnx")
