import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components import artifacts, photos, validate
from components.errors import PilahError


def described(f1, data="same", version=4, drawn=False):
    return {"version": version, "figures": {"f1": f1}, "data": {"photos_and_folds": data, "drawn": drawn}}


def test_f1_below_the_floor_is_refused_with_both_figures():
    with pytest.raises(PilahError, match=r"at least 0\.7\. Received: 0\.6512"):
        validate.check_floor(0.6512, 0.7)


def test_f1_at_the_floor_passes():
    validate.check_floor(0.7, 0.7)


def test_worse_than_served_is_refused_and_names_the_version():
    with pytest.raises(PilahError, match=r"0\.8000 against 0\.8100 of version 4"):
        validate.check_not_worse(described(0.80), described(0.81), force=False)


def test_model_of_drawn_photos_is_refused_where_one_of_real_ones_is_served():
    with pytest.raises(PilahError, match="Received: the former, and version 4 of the latter"):
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
    ids=["first", "equal", "better", "worse but forced", "other photos", "drawn but forced", "after drawn ones"],
)
def test_no_worse_or_not_comparable_or_forced_passes(candidate, served, force):
    assert validate.check_not_worse(candidate, served, force)


def grey(path, level):
    Image.new("RGB", (8, 8), (level, level, level)).save(path)
    return path


@pytest.fixture(scope="module")
def brightness_model(tmp_path_factory):
    """A SavedModel with the served signature: "dark" for a photo whose mean is below 128, "light" otherwise."""

    class Brightness(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def classify(self, image_bytes):
            light = tf.map_fn(
                lambda photo: tf.reduce_mean(
                    tf.cast(tf.io.decode_image(photo, 3, expand_animations=False), tf.float32)
                ),
                image_bytes,
                fn_output_signature=tf.float32,
            )
            light = light / 255
            names = tf.tile(tf.constant([["dark", "light"]]), [tf.shape(light)[0], 1])
            return {"scores": tf.stack([1 - light, light], axis=1), "class_names": names}

    module, folder = Brightness(), tmp_path_factory.mktemp("model")
    tf.saved_model.save(module, str(folder), {"serving_default": module.classify})
    return folder


@pytest.fixture
def listed(tmp_path):
    paths = [grey(tmp_path / f"{i}.png", level) for i, level in enumerate([10, 240] * 50)]
    return [photos.Photo(artifacts.file_digest(path), str(path), "x", 0) for path in paths]


def test_same_classes_from_records_and_files_agree_fully(brightness_model, listed):
    agreement = validate.check_no_skew(
        brightness_model, listed, ["dark", "light"] * 50, 10**6, lambda done, total: None
    )
    assert agreement == 1.0


def test_one_photo_in_a_hundred_may_differ_and_two_may_not(brightness_model, listed):
    one_off = ["light", "light"] + ["dark", "light"] * 49
    assert validate.check_no_skew(brightness_model, listed, one_off, 10**6, lambda done, total: None) == 0.99
    with pytest.raises(PilahError, match=r"98\.00% of 100"):
        validate.check_no_skew(brightness_model, listed, ["light", "dark", *one_off[2:]], 10**6, lambda d, t: None)


def test_signature_is_usable_after_its_loader_is_gone(brightness_model, tmp_path):
    photo = grey(tmp_path / "a.png", 250).read_bytes()
    scores, names = validate.load_signature(brightness_model)([photo])
    assert names[int(np.argmax(scores[0]))] == "light"
