"""The calibration of a run that trains a whole backbone of three convolutions, and that of its frozen scenario."""

import dataclasses
import io
import re
import shutil

import numpy as np
import pytest
import rich.console
import tiny_backbone

from components.base import artifacts, documents
from components.base.errors import PilahError
from components.demo import synthetic_photos
from components.models import backbones
from components.publish import validate
from pipeline import config as config_module
from pipeline import main, recipe, run_folder, runner
from tuner import workers

FOLDS = 3


@pytest.fixture(scope="module", params=["features", "finetune"])
def calibrated(request, tmp_path_factory):
    """The configuration of a run that is finished up to its validation."""
    root = tmp_path_factory.mktemp("calibrated")
    synthetic_photos.write(root / "photos", 9, seed=1, progress=lambda done, total: None)
    config = config_module.Config(
        root / "run",
        images=(root / "photos",),
        backbones=("Tiny",),
        optimizers=("Adam",),
        dropouts=(0.0,),
        strategy=request.param,
        folds=FOLDS,
        epochs=2,
        batch_size=8,
        views=1,
        learning_rate=1e-2,
        min_f1=0.0,
        image_size_px=32,
    )
    with tiny_backbone.known() as patch:
        patch.setattr(recipe, "_find_weights", lambda *settings: backbones.Weights(None, 1))
        patch.setattr(workers, "count", lambda tasks: 1)  # another process would not know the backbone
        patch.setattr(main, "PIPELINE", main.PIPELINE[: config_module.STAGES.index("validate") + 1])
        patch.setattr(validate, "check_learnt", lambda *arguments: 1.0)  # two epochs teach little
        run(config)
        yield config


def run(config):
    """Return what the run prints."""
    text = io.StringIO()
    main.run(config, None, True, rich.console.Console(file=text, width=200))
    return text.getvalue()


def summary_of(config):
    return artifacts.read_json(config.run_dir / run_folder.CALIBRATION, documents.Calibration)


def test_every_photo_has_a_set_with_its_prediction_and_a_typicality(calibrated):
    rows = artifacts.read_csv(calibrated.run_dir / run_folder.CALIBRATED_PHOTOS)
    assert [row["id"] for row in rows] == [photo.id for photo in run_folder.usable_photos(calibrated.run_dir)]
    for row in rows:
        assert row["predicted"] in row["prediction_set"].split("/")
        assert 0 <= float(row["typicality"]) <= 1


def test_figures_count_the_sets_of_the_photos(calibrated):
    rows, summary = artifacts.read_csv(calibrated.run_dir / run_folder.CALIBRATED_PHOTOS), summary_of(calibrated)
    figures = summary["sets"]["0.95"]
    held = [row["label"] in row["prediction_set"].split("/") for row in rows]
    sizes = [len(row["prediction_set"].split("/")) for row in rows]
    assert (figures["photos"], figures["coverage"]) == (len(rows), pytest.approx(np.mean(held)))
    assert figures["mean_size"] == pytest.approx(np.mean(sizes))
    assert sum(figures["sizes"].values()) == len(rows)
    assert [level["name"] for level in summary["certainty"]] == ["sure", "unsure", "untypical"]
    assert sum(level["answers"] for level in summary["certainty"]) == len(rows)
    assert set(summary["thresholds"]) == {"0.9", "0.95", "0.99"}


def test_wrong_answers_have_heat_maps(calibrated):
    rows = artifacts.read_csv(calibrated.run_dir / run_folder.CALIBRATED_PHOTOS)
    heatmaps = artifacts.read_array(calibrated.run_dir / run_folder.HEATMAPS)
    assert len(heatmaps) == sum(row["predicted"] != row["label"] for row in rows) > 0
    assert heatmaps.min() >= 0 and heatmaps.max() <= 1


def test_folds_of_a_whole_backbone_have_their_own_embeddings(calibrated):
    trial = calibrated.run_dir / run_folder.trial(1)
    files = sorted(path.name for path in trial.glob("*-embedding.npy"))
    if calibrated.strategy == "features":
        assert files == []
        return
    assert files == [f"fold-{fold}-embedding.npy" for fold in range(1, FOLDS + 1)]
    first, second = (artifacts.read_array(trial / name) for name in files[:2])
    assert first.shape == (len(run_folder.usable_photos(calibrated.run_dir)), 16)
    assert not np.array_equal(first, second)


def test_exported_model_applies_the_thresholds_of_its_coverage(calibrated, caplog):
    assert "max_typicality_difference" in artifacts.read_json(calibrated.run_dir / run_folder.VALIDATION)
    wider = dataclasses.replace(calibrated, coverage=0.99)
    assert "model: unchanged, skipped" in (printed := run(wider))
    assert "calibration: done" in printed and "export: done" in printed
    assert "too few photos for sets with a coverage of 0.99" in caplog.text
    summary = summary_of(wider)
    assert summary["coverage"] == 0.99
    assert summary["sets"]["0.99"]["mean_size"] >= summary["sets"]["0.9"]["mean_size"]
    photo = recipe.plain_bytes(wider, recipe.sample_photos(wider, 1))
    answers = validate.load_signature(wider.run_dir / run_folder.EXPORT)(photo)
    assert answers.in_set.tolist() == [[True] * len(answers.class_names)]  # 9 photos of a class are too few for 99 %
    run(calibrated)


def test_missing_embedding_of_a_fold_is_made_by_training_its_scenario_again(calibrated):
    if calibrated.strategy == "features":
        pytest.skip("frozen layers have the same embedding in all folds")
    folder = calibrated.run_dir / run_folder.trial(1)
    (folder / "fold-2-embedding.npy").unlink()
    runner.path(calibrated.run_dir, "calibration").unlink()
    with pytest.raises(PilahError, match=rf"fold-2-embedding\.npy is missing.* delete {re.escape(str(folder))} and"):
        run(calibrated)
    shutil.rmtree(folder)
    assert "search: done" in (printed := run(calibrated)) and "calibration: done" in printed
