import pathlib

import exported_models
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.base import artifacts
from components.base.errors import NotFiniteError, PilahError
from components.data import photos
from components.publish import validate


def described(f1, data="same", version=4, drawn=False):
    return {"version": version, "figures": {"f1": f1}, "data": {"photos_and_folds": data, "drawn": drawn}}


def test_f1_below_the_minimum_raises_with_both_values():
    with pytest.raises(PilahError, match=r"macro F1 is 0\.6512, but --min-f1 requires at least 0\.7"):
        validate.check_floor(0.6512, 0.7)


def test_f1_at_the_minimum_passes():
    validate.check_floor(0.7, 0.7)


def test_f1_below_the_served_model_raises_with_the_version():
    with pytest.raises(PilahError, match=r"0\.8000 against 0\.8100 of version 4"):
        validate.check_not_worse(described(0.80), described(0.81), force=False)


def test_model_of_synthetic_photos_does_not_replace_one_of_real_photos():
    with pytest.raises(PilahError, match="must not replace version 4"):
        validate.check_not_worse(described(0.9, data="others", drawn=True), described(0.8), force=False)


@pytest.mark.parametrize(
    ("candidate", "served", "force"),
    [
        (described(0.80), None, False),
        (described(0.81), described(0.81), False),
        (described(0.82), described(0.81), False),
        (described(0.80), described(0.81), True),
        (described(0.80, data="others"), described(0.81), False),
        (described(0.80, drawn=True), described(0.81), True),
        (described(0.80, data="others"), described(0.81, drawn=True), False),
    ],
    ids=[
        "first",
        "equal",
        "better",
        "worse but forced",
        "other photos",
        "synthetic but forced",
        "after synthetic photos",
    ],
)
def test_model_that_is_no_worse_or_not_comparable_or_forced_passes(candidate, served, force):
    assert validate.check_not_worse(candidate, served, force)


def grey(path, level):
    Image.new("RGB", (16, 16), (level, level, level)).save(path)
    return path


@pytest.fixture(scope="module")
def brightness_model(tmp_path_factory):
    """Return a SavedModel with the served signature: "dark" for a photo whose mean is below 128, otherwise "light"."""

    class Brightness(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def classify(self, image_bytes):
            brightness = tf.map_fn(
                lambda photo: tf.reduce_mean(
                    tf.cast(tf.io.decode_image(photo, 3, expand_animations=False), tf.float32)
                ),
                image_bytes,
                fn_output_signature=tf.float32,
            )
            brightness = brightness / 255
            names = tf.tile(tf.constant([["dark", "light"]]), [tf.shape(brightness)[0], 1])
            return {"scores": tf.stack([1 - brightness, brightness], axis=1), "class_names": names}

    module, folder = Brightness(), tmp_path_factory.mktemp("model")
    tf.saved_model.save(module, str(folder), {"serving_default": module.classify})
    return folder


@pytest.fixture
def listed(tmp_path):
    paths = [grey(tmp_path / f"{i}.png", level) for i, level in enumerate([10, 240] * 50)]
    return [photos.Photo(artifacts.file_digest(path), str(path), "x", 0) for path in paths]


OPTIONS = {"max_pixels": 10**6, "progress": lambda done, total: None}


def check_no_skew(model, listed, record_classes):
    return validate.check_no_skew(model, listed, record_classes=record_classes, **OPTIONS)


def test_equal_classes_from_records_and_files_agree(brightness_model, listed):
    agreement, scores = check_no_skew(brightness_model, listed, ["dark", "light"] * 50)
    assert agreement == 1.0
    np.testing.assert_allclose(scores, [[245 / 255, 10 / 255], [15 / 255, 240 / 255]] * 50, atol=1e-6)


def test_one_of_a_hundred_photos_may_differ_and_two_raise(brightness_model, listed):
    one_off = ["light", "light"] + ["dark", "light"] * 49
    assert check_no_skew(brightness_model, listed, one_off)[0] == 0.99
    with pytest.raises(PilahError, match=r"98\.00% of 100"):
        check_no_skew(brightness_model, listed, ["light", "dark", *one_off[2:]])


def compare(model, listed, file_scores):
    return validate.compare_web_jpegs(model, listed, np.array(file_scores), **OPTIONS)


def test_web_jpegs_of_plain_greys_agree_with_the_photos(brightness_model, listed):
    web = compare(brightness_model, listed, [[245 / 255, 10 / 255], [15 / 255, 240 / 255]] * 50)
    assert (web.photos, web.same_class) == (100, 1.0)
    assert web.max_difference < 2 / 255  # loss of a JPEG of plain grey


def test_web_jpegs_are_compared_with_the_scores_of_the_same_photos(brightness_model, listed, monkeypatch):
    monkeypatch.setattr(validate, "WEB_PHOTOS", 50)  # every second photo: the dark ones
    scores = [[245 / 255, 10 / 255], [0.5, 0.5]] * 50
    scores[0], scores[98] = [0.0, 1.0], [0.5 + 10 / 255, 0.5 - 10 / 255]
    web = compare(brightness_model, listed, scores)
    assert (web.photos, web.same_class) == (50, 0.98)
    assert web.max_difference == pytest.approx(245 / 255, abs=2 / 255)
    assert web.mean_difference == pytest.approx((245 + 107.5) / 255 / 50, abs=1.5 / 255)


def test_photo_without_a_web_jpeg_counts_as_another_class(brightness_model, listed, tmp_path):
    cut = tmp_path / "cut.jpg"
    Image.new("RGB", (16, 16), (240, 240, 240)).save(cut)
    cut.write_bytes(cut.read_bytes()[:-9])
    listed = [*listed[:3], photos.Photo(artifacts.file_digest(cut), str(cut), "x", 0)]
    web = compare(brightness_model, listed, [[245 / 255, 10 / 255], [15 / 255, 240 / 255]] * 2)
    assert (web.photos, web.same_class) == (4, 0.75)
    assert compare(brightness_model, listed[3:], [[0.0, 1.0]]) == validate.WebAgreement(1, 0.0, 0.0, 0.0)


def test_signature_keeps_the_loaded_model_alive(brightness_model, tmp_path):
    photo = grey(tmp_path / "a.png", 250).read_bytes()
    answers = validate.load_signature(brightness_model)([photo])
    assert answers.class_names[int(np.argmax(answers.scores[0]))] == "light"


def test_model_of_an_earlier_version_has_no_sets_and_no_typicality(brightness_model, tmp_path):
    answers = validate.load_signature(brightness_model)([grey(tmp_path / "a.png", 250).read_bytes()])
    assert answers.in_set is None and answers.typicality is None


@pytest.mark.parametrize("scores", [[np.nan, np.nan], [np.inf, 0.0]], ids=["nan", "infinite"])
def test_scores_that_are_not_finite_raise(tmp_path, scores):
    photo = grey(tmp_path / "a.png", 100).read_bytes()
    bias = keras.initializers.Constant(np.array(scores, np.float32))
    model = exported_models.colour_model(8, units=2, kernel_initializer="zeros", bias_initializer=bias)
    exported_models.write(model, ["dark", "light"], tmp_path / "export", [photo])
    with pytest.raises(NotFiniteError, match=r"Scores of the refitted model must be finite, but 1 of 1 are not"):
        validate.check_same_answers(model, tmp_path / "export", [photo], 8)
    with pytest.raises(NotFiniteError, match=r"Scores of the exported model must be finite, but 1 of 1 are not"):
        validate.load_signature(tmp_path / "export")([photo])


@pytest.mark.parametrize("f1", [float("nan"), 0.699])
def test_f1_that_is_not_at_least_the_minimum_raises(f1):
    with pytest.raises(PilahError, match="--min-f1"):
        validate.check_floor(f1, 0.7)


@pytest.mark.parametrize(("new", "old"), [(float("nan"), 0.8), (0.8, float("nan"))])
def test_f1_of_nan_raises(new, old):
    with pytest.raises(PilahError, match="no worse than the one served"):
        validate.check_not_worse(described(new), described(old), force=False)


def test_photo_changed_since_it_was_listed_raises(brightness_model, listed):
    grey(pathlib.Path(listed[7].path), 20)
    with pytest.raises(PilahError, match=f"{listed[7].path} has changed since it was listed"):
        check_no_skew(brightness_model, listed, ["dark", "light"] * 50)


def test_refit_that_learnt_nothing_raises():
    labels, classes = np.arange(60) % 3, ["a", "b", "c"]
    scores = np.eye(3, dtype=np.float32)[labels]
    assert validate.check_learnt(scores, labels, classes, 0.9) == 1.0
    collapsed = np.tile(np.array([0.6, 0.2, 0.2], np.float32), (60, 1))  # every photo is of the first class: F1 0.17
    assert validate.check_learnt(collapsed, labels, classes, 0.26) == pytest.approx(1 / 6)
    with pytest.raises(
        PilahError, match=r"macro F1 of 0\.1667 on its own training photos.* 0\.2700 in cross-validation"
    ):
        validate.check_learnt(collapsed, labels, classes, 0.27)
