import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageDraw

from components.data import augmentation, background, feature_settings, strong_augmentation

SIZE_PX = 48
IDS = [f"{number:016x}" for number in range(60)]
STRONG, AFFINE = augmentation.Augmentation(7, kind="strong"), augmentation.Augmentation(7)


def photos_of_noise(count=60):
    return np.random.default_rng(1).integers(0, 256, (count, SIZE_PX, SIZE_PX, 3), np.uint8)


def photos_of_board(count=60):
    image = Image.new("RGB", (SIZE_PX, SIZE_PX), (200, 190, 170))
    ImageDraw.Draw(image).ellipse((12, 12, 36, 36), fill=(40, 60, 30))
    return np.stack([np.asarray(image)] * count)


def views(pixels, view=1, augmented=STRONG):
    ids = IDS[: len(pixels)]
    maps = augmentation.transforms(ids, 0, augmented, SIZE_PX)  # of the clean photo, so that pixels stay in place
    return augmentation.apply(pixels, maps, augmentation.keys(ids, view, augmented)).numpy()


def test_affine_has_no_keys_and_does_not_change_colours():
    assert augmentation.keys(IDS, 1, AFFINE) is None
    np.testing.assert_array_equal(views(photos_of_noise(), augmented=AFFINE), photos_of_noise())


def test_affine_maps_are_those_of_strong():
    np.testing.assert_array_equal(
        augmentation.transforms(IDS, 1, STRONG, SIZE_PX), augmentation.transforms(IDS, 1, AFFINE, SIZE_PX)
    )


def test_strong_views_differ_from_the_photo_and_keep_shape_and_dtype():
    pixels = photos_of_noise()
    changed = views(pixels)
    assert changed.shape == pixels.shape and changed.dtype == np.uint8
    differ = (changed != pixels).any(axis=(1, 2, 3))
    assert differ.mean() > 0.9  # an operation of a level near 0 may change nothing


def test_view_0_is_the_clean_photo():
    np.testing.assert_array_equal(views(photos_of_board(), view=0), photos_of_board())


def test_same_view_has_the_same_pixels_whatever_the_other_photos_of_the_batch():
    pixels, keys = photos_of_noise(), augmentation.keys(IDS, 1, STRONG)
    np.testing.assert_array_equal(views(pixels), views(pixels))
    alone = strong_augmentation.apply(pixels[5:6], keys[5:6])[0]
    np.testing.assert_array_equal(strong_augmentation.apply(pixels, keys)[5], alone)


@pytest.mark.parametrize(("view", "seed"), [(2, 7), (1, 8)], ids=["view", "seed"])
def test_other_view_or_seed_gives_other_pixels(view, seed):
    pixels = photos_of_board()
    other = views(pixels, view, augmentation.Augmentation(seed, kind="strong"))
    assert ((other != views(pixels)).any(axis=(1, 2, 3))).mean() > 0.9


def test_about_a_third_of_plain_backgrounds_are_replaced(monkeypatch):
    monkeypatch.setattr(feature_settings, "COLOUR_OPERATIONS", 0)
    changed = views(photos_of_board()) != photos_of_board()
    assert 0.15 < changed.any(axis=(1, 2, 3)).mean() < 0.5
    assert not changed[:, 18:30, 18:30].any(), "the object is as before"


def test_photo_without_plain_background_keeps_its_outlines(monkeypatch):
    """Only colours change: noise whose background was replaced would lose its correlation with the photo."""
    monkeypatch.setattr(feature_settings, "NEW_BACKGROUNDS", 1.0)
    monkeypatch.setattr(feature_settings, "COLOUR_OPERATIONS", 0)
    np.testing.assert_array_equal(views(photos_of_noise()), photos_of_noise())
    assert all(background.mask(photo) is None for photo in photos_of_noise(3))


@pytest.mark.parametrize("operation", strong_augmentation.OPERATIONS)
@pytest.mark.parametrize("level", [-1.0, 0.3, 1.0])
def test_operation_returns_an_rgb_picture_of_the_same_size(operation, level):
    photo = Image.fromarray(photos_of_noise(1)[0])
    changed = operation(photo, level)
    assert changed.mode == "RGB" and changed.size == photo.size


def test_strong_works_in_a_dataset_whose_last_batch_is_smaller():
    pixels, keys = photos_of_noise(5), strong_augmentation.keys(IDS[:5], 1, 7)
    batches = tf.data.Dataset.from_tensor_slices((pixels, keys)).batch(2).map(strong_augmentation.apply)
    assert batches.element_spec.shape == (None, SIZE_PX, SIZE_PX, 3)
    np.testing.assert_array_equal(
        np.concatenate(list(batches.as_numpy_iterator())), strong_augmentation.apply(pixels, keys)
    )


def test_settings_of_affine_are_those_of_earlier_versions_and_strong_adds_its_own():
    affine, strong = AFFINE.settings, STRONG.settings
    assert affine == feature_settings.of_augmentation(7, "horizontal") and "strong" not in affine["augmentation"]
    assert strong["augmentation"].pop("strong")["version"] == feature_settings.STRONG_VERSION
    assert strong == affine
