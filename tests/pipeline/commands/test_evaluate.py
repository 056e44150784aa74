import io
import shutil

import keras
import numpy as np
import pytest
import rich.console
from PIL import Image

from components.audit import evaluation
from components.base import artifacts
from components.base.errors import PilahError
from components.data import listing, photos
from components.models import prediction_sets, typicality
from components.publish import export, push
from pipeline import config as config_module
from pipeline import lock
from pipeline.commands import evaluate
from pipeline.report import findings
from pipeline.stages import report

CLASSES = ["glass", "metal", "paper"]
pytest_plugins = ["report_fixtures"]
COLOURS = {"glass": (200, 20, 20), "metal": (20, 200, 20), "paper": (20, 20, 200)}
SIZE_PX = 32
# classes whose probability is at least 0.1 are in the sets; whatever is not exactly a training colour is untypical
CALIBRATION = export.Calibration(
    prediction_sets.Rule(1.0, np.full(3, 0.1)),
    None,
    typicality.fit(np.repeat(np.array(list(COLOURS.values()), np.float32) / 255, 3, axis=0), np.repeat(range(3), 3)),
    np.zeros(200, np.float32),  # enough references to flag a photo
)


def save(path, shown, shade):
    """A photo of the colour that the model takes for the class `shown`; each `shade` has bytes of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (30, 20), tuple(level + shade for level in COLOURS[shown])).save(path)
    return path


@pytest.fixture(scope="module")
def pushed(tmp_path_factory):
    """A run with a pushed model that takes red for glass, green for metal and blue for paper."""
    run_dir = tmp_path_factory.mktemp("pushed")
    pixels = keras.Input((SIZE_PX, SIZE_PX, 3), dtype="uint8")
    mean = keras.layers.GlobalAveragePooling2D(name="pooled")(keras.ops.cast(pixels, "float32") / 255)
    scores = keras.layers.Dense(3, "softmax", kernel_initializer=keras.initializers.Identity(9))
    photo = save(run_dir / "photos" / "glass" / "0.png", "glass", 0)
    export.export(
        keras.Model(pixels, keras.Sequential([keras.Input((3,)), scores], name="head")(mean)),
        CLASSES,
        backbone="ResNet50",
        test_views=1,
        calibration=CALIBRATION,
        image_size_px=SIZE_PX,
        warmup_photos=[photo.read_bytes()],
        to=run_dir / "export",
    )
    trained_on = [photos.Photo(artifacts.file_digest(photo), str(photo), "glass", 0)]
    photos.write(run_dir / "photos.csv", trained_on)
    listing.write_duplicates(run_dir / "duplicates.csv", [])
    artifacts.write_csv(run_dir / "dataset" / "rejects.csv", ["id"], [])
    artifacts.write_json(run_dir / "run.json", config_module.to_json(config_module.of_profile("demo", run_dir)))
    card = {
        "classes": CLASSES,
        "figures": {"f1": 0.75},
        "settings": {"coverage": 0.95},
        "data": {"photos_and_folds": artifacts.digest([[photo.id, photo.label, photo.fold] for photo in trained_on])},
    }
    push.push(run_dir / "export", run_dir / "served" / push.MODEL_NAME, card, keep_versions=1)
    return run_dir


def evaluated(run_dir, images, **settings):
    """NAME.json and what was printed."""
    text = io.StringIO()
    console = rich.console.Console(file=text, width=200)
    evaluate.run(run_dir, images, console, **settings)
    return artifacts.read_json(run_dir / "evaluations" / f"{images.name}.json"), text.getvalue()


def test_matrix_and_means_equal_hand_counts(pushed, tmp_path):
    shown = {"glass": ["glass", "glass", "metal"], "metal": ["metal", "paper"], "paper": ["paper"]}
    shade = 0
    for label, colours in shown.items():
        for index, colour in enumerate(colours):
            shade += 1
            save(tmp_path / "kitchen" / label / f"{index}.png", colour, shade)
    results, text = evaluated(pushed, tmp_path / "kitchen")
    assert results["confusion_matrix"] == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert results["photos"] == 6 and results["version"] == 1
    assert results["precision"] == pytest.approx((2 / 2 + 1 / 2 + 1 / 2) / 3)
    assert results["recall"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert results["f1"] == pytest.approx((4 / 5 + 2 / 4 + 2 / 3) / 3)
    assert results["accuracy"] == pytest.approx(4 / 6)
    assert results["left_out"] == {} and results["missing_classes"] == [] and results["training_photos_known"]
    assert "0.7500" in text and f"{results['f1']:.4f}" in text
    rows = artifacts.read_csv(pushed / "evaluations" / "kitchen-predictions.csv")
    assert sorted((row["label"], row["predicted"]) for row in rows) == sorted(
        (label, colour) for label, colours in shown.items() for colour in colours
    )
    assert all(sum(float(row[f"p_{name}"]) for name in CLASSES) == pytest.approx(1, abs=1e-5) for row in rows)
    reported = findings.compute(pushed, photos.fingerprint(photos.read(pushed / "photos.csv")), None)["evaluations"]
    assert [row["f1"] for row in reported if row["name"] == "kitchen"] == [results["f1"]]


def test_photos_of_a_later_batch_keep_their_labels(pushed, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "BATCH_SIZE", 2)
    for shade in range(9):
        label = CLASSES[shade // 3]
        save(tmp_path / "many" / label / f"{shade}.png", label, 10 + shade)
    results, _ = evaluated(pushed, tmp_path / "many")
    assert results["confusion_matrix"] == [[3, 0, 0], [0, 3, 0], [0, 0, 3]]


def test_photo_that_the_study_left_out_as_a_copy_is_not_new(pushed, tmp_path):
    photo = save(tmp_path / "copies" / "glass" / "copy.png", "glass", 30)
    save(tmp_path / "copies" / "metal" / "new.png", "metal", 30)
    copy = listing.Duplicate(artifacts.file_digest(photo), "conflict", "elsewhere/copy.png", "glass", "")
    listing.write_duplicates(pushed / "duplicates.csv", [copy])
    try:
        results, _ = evaluated(pushed, tmp_path / "copies")
    finally:
        listing.write_duplicates(pushed / "duplicates.csv", [])
    assert results["photos"] == 1 and results["left_out"] == {evaluate.TRAINED_ON: 1}


def test_unusable_files_are_left_out_and_counted_by_reason(pushed, tmp_path):
    images = tmp_path / "street"
    save(images / "glass" / "new.png", "glass", 5)
    shutil.copy(images / "glass" / "new.png", images / "glass" / "again.png")
    shutil.copy(pushed / "photos" / "glass" / "0.png", images / "glass" / "trained-on.png")
    shutil.copy(save(images / "glass" / "both.png", "glass", 6), images / "metal.png")
    (images / "metal").mkdir()
    (images / "metal.png").rename(images / "metal" / "both.png")
    (images / "glass" / "notes.txt").write_text("no photo")
    (images / "glass" / "nothing.jpg").write_bytes(b"")
    whole = save(tmp_path / "whole.jpg", "glass", 7).read_bytes()
    (images / "glass" / "half.jpg").write_bytes(whole[:-9])  # of which Pillow can read the size
    results, text = evaluated(pushed, images)
    expected = {
        "copy of another photo here": 1,
        evaluate.TRAINED_ON: 1,
        "under several classes": 2,
        "not an image": 1,
        "empty": 1,
        "truncated": 1,
    }
    assert results["left_out"] == expected
    assert results["photos"] == 1
    listed = artifacts.read_csv(pushed / "evaluations" / "street-left-out.csv")
    assert {row["reason"] for row in listed} == set(expected) and len(listed) == 7
    assert "1 left out: copy of a photo of the study." in text


def test_missing_class_is_reported_and_left_out_of_the_means(pushed, tmp_path):
    save(tmp_path / "few" / "glass" / "a.png", "glass", 1)
    save(tmp_path / "few" / "glass" / "b.png", "paper", 2)
    save(tmp_path / "few" / "metal" / "c.png", "metal", 3)
    results, text = evaluated(pushed, tmp_path / "few")
    assert results["missing_classes"] == ["paper"]
    assert results["recall"] == pytest.approx((1 / 2 + 1) / 2)
    assert "Classes without photos, left out of the means: paper." in text


def test_unknown_class_raises_with_its_name(pushed, tmp_path):
    save(tmp_path / "glass" / "a.png", "glass", 1)
    save(tmp_path / "wood" / "b.png", "metal", 2)
    with pytest.raises(PilahError, match=r"got wood\)\. Rename or remove"):
        evaluated(pushed, tmp_path)


def test_photos_with_their_classes_in_a_table_are_evaluated(pushed, tmp_path):
    for index, shown in enumerate(["glass", "metal", "metal"]):
        save(tmp_path / "flat" / f"{index}.png", shown, 30 + index)
    (tmp_path / "labels.csv").write_text("image_id,class\n0,glass\n1,metal\n2,paper\n")
    results, _ = evaluated(pushed, tmp_path / "flat", labels=tmp_path / "labels.csv")
    assert results["confusion_matrix"] == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]


def test_sets_and_typicality_of_the_model_are_measured_and_listed(pushed, tmp_path):
    save(tmp_path / "shelf" / "glass" / "certain.png", "glass", 41)
    between = tuple(level + 130 * (level == 20) for level in COLOURS["glass"])  # (200, 150, 150)
    Image.new("RGB", (30, 20), between).save(save(tmp_path / "shelf" / "metal" / "a.png", "metal", 42))
    results, text = evaluated(pushed, tmp_path / "shelf")
    assert results["stated_coverage"] == 0.95 and results["cross_validated"] is None
    assert (results["sets"]["coverage"], results["sets"]["sizes"]) == (1.0, {"1": 1, "3": 1})
    assert results["flagged"]["share"] == 1.0  # no photo has exactly a training colour
    assert "coverage of the prediction sets, stated: 0.95" in text
    rows = {row["label"]: row for row in artifacts.read_csv(pushed / "evaluations" / "shelf-predictions.csv")}
    assert (rows["glass"]["prediction_set"], rows["metal"]["prediction_set"]) == ("glass", "glass/metal/paper")
    assert rows["glass"]["typicality"] == "0.0050"  # 1 of 201


def test_cross_validation_of_the_version_has_the_sets_of_the_calibration(run_dir):
    config = config_module.read(run_dir)
    f1 = artifacts.read_json(run_dir / "leaderboard.json")["winner"]["f1"]
    calibration = artifacts.read_json(run_dir / "calibration" / "calibration.json")
    figures = evaluate.cross_validated(config, {"figures": {"f1": f1}, "settings": {"coverage": 0.95}})
    assert figures["f1"] == pytest.approx(f1)
    assert (figures["sets"], figures["flagged"]) == (calibration["sets"]["0.95"], calibration["flagged"])


@pytest.mark.parametrize(
    ("figures", "settings"),
    [({"f1": 0.1}, {"coverage": 0.95}), ({}, {"coverage": 0.9}), ({}, {})],
    ids=["other winner", "other coverage", "earlier version"],
)
def test_cross_validation_of_another_model_is_not_that_of_the_version(figures, settings, run_dir):
    winner = artifacts.read_json(run_dir / "leaderboard.json")["winner"]
    card = {"figures": {"f1": winner["f1"], **figures}, "settings": settings}
    assert evaluate.cross_validated(config_module.read(run_dir), card) is None


def test_version_whose_predictions_were_removed_is_evaluated_without_them(copy):
    f1 = artifacts.read_json(copy / "leaderboard.json")["winner"]["f1"]
    shutil.rmtree(copy / "trials")
    card = {"figures": {"f1": f1}, "settings": {"coverage": 0.95}}
    assert evaluate.cross_validated(config_module.read(copy), card) is None


def test_only_training_photos_raise(pushed):
    with pytest.raises(PilahError, match="None of the 1 files in"):
        evaluated(pushed, pushed / "photos")


def test_run_without_a_pushed_model_raises(tmp_path):
    artifacts.write_json(tmp_path / "run.json", config_module.to_json(config_module.of_profile("demo", tmp_path)))
    with pytest.raises(PilahError, match="must hold a pushed model"):
        evaluated(tmp_path, tmp_path)


def test_report_that_the_run_has_is_written_again_with_the_evaluation(pushed, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(pushed, run_dir)
    save(tmp_path / "shed" / "glass" / "a.png", "glass", 1)
    _, text = evaluated(run_dir, tmp_path / "shed")
    assert "report:" not in text and not (run_dir / "report").exists()
    report.make(run_dir)
    _, text = evaluated(run_dir, tmp_path / "shed")
    assert f"report: {run_dir / 'report' / 'index.html'}" in text.replace("\n", "")
    save(tmp_path / "attic" / "glass" / "b.png", "glass", 2)
    evaluated(run_dir, tmp_path / "attic")
    shown = artifacts.read_json(run_dir / "report" / "figures.json")["evaluations"]
    assert {row["name"] for row in shown} >= {"attic", "shed"}


def test_evaluation_during_a_run_raises(pushed, tmp_path):
    save(tmp_path / "shed" / "glass" / "a.png", "glass", 1)
    with lock.locked(pushed), pytest.raises(PilahError, match="is in use by process"):
        evaluated(pushed, tmp_path / "shed")


def test_version_trained_on_other_photos_is_reported(pushed, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(pushed, run_dir)
    photos.write(run_dir / "photos.csv", [photos.Photo("0" * 16, "gone.jpg", "glass", 0)])
    save(tmp_path / "other" / "glass" / "a.png", "glass", 1)
    results, text = evaluated(run_dir, tmp_path / "other")
    assert not results["training_photos_known"]
    assert "may have been trained on some of these" in text
    assert np.sum(results["confusion_matrix"]) == 1
