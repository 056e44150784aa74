import hashlib

import numpy as np
import pytest

from components.data import augmentation

SIZE_PX, SEEDED = 224, augmentation.Augmentation(7)
IDS = [hashlib.sha256(str(number).encode()).hexdigest()[:16] for number in range(400)]


def photo_of_noise(count=1, size_px=24):
    return np.random.default_rng(1).integers(0, 256, (count, size_px, size_px, 3), np.uint8)


def apply_by_hand(pixels, row):
    return augmentation.apply(pixels, np.array([row] * len(pixels), np.float32)).numpy()


def random_parameters(views=(1, 2, 3)):
    """Return the parameters of the maps, [n] each: shear and rotation in degrees, shifts as shares of the size."""
    rows = np.concatenate([augmentation.transforms(IDS, view, SEEDED, SIZE_PX) for view in views]).astype(np.float64)
    linear, offset = rows[:, [0, 1, 3, 4]].reshape(-1, 2, 2), rows[:, [2, 5]]
    assert not rows[:, 6:].any(), "a map is not affine"
    flip = np.sign(np.linalg.det(linear))
    zoom = np.linalg.norm(linear, axis=1)
    x_axis, y_axis = linear[:, :, 0] * flip[:, None] / zoom[:, :1], linear[:, :, 1] / zoom[:, 1:]
    rotation = np.arctan2(x_axis[:, 1], x_axis[:, 0])
    shear = np.arcsin((x_axis * y_axis).sum(1))
    middle = np.full(2, (SIZE_PX - 1) / 2)
    moved = linear @ middle + offset - middle
    cos, sin = np.cos(rotation), np.sin(rotation)
    shift = np.stack([cos * moved[:, 0] + sin * moved[:, 1], cos * moved[:, 1] - sin * moved[:, 0]], 1) / SIZE_PX
    return {
        "flip": flip,
        "zoom_x": zoom[:, 0],
        "zoom_y": zoom[:, 1],
        "rotation": np.rad2deg(rotation),
        "shear": np.rad2deg(shear),
        "shift_x": shift[:, 0],
        "shift_y": shift[:, 1],
    }


def test_view_0_does_not_change_pixels():
    pixels = photo_of_noise(3)
    views = augmentation.apply(pixels, augmentation.transforms(IDS[:3], 0, augmentation.Augmentation(1), 24))
    assert views.dtype == np.uint8
    np.testing.assert_array_equal(views, pixels)


def test_augmented_views_change_pixels_and_keep_shape():
    pixels = photo_of_noise(3)
    views = augmentation.apply(pixels, augmentation.transforms(IDS[:3], 1, augmentation.Augmentation(1), 24)).numpy()
    assert views.shape == pixels.shape and views.dtype == np.uint8
    assert all((view != photo).any() for view, photo in zip(views, pixels, strict=True))


def test_map_does_not_depend_on_the_other_photos_or_their_order():
    alone = augmentation.transforms([IDS[2]], 1, SEEDED, SIZE_PX)
    assert alone.shape == (1, 8) and alone.dtype == np.float32
    np.testing.assert_array_equal(augmentation.transforms(IDS[:5], 1, SEEDED, SIZE_PX)[2], alone[0])
    np.testing.assert_array_equal(augmentation.transforms(IDS[4::-1], 1, SEEDED, SIZE_PX)[2], alone[0])


def test_view_does_not_depend_on_the_other_photos_of_the_batch():
    pixels, maps = photo_of_noise(4), augmentation.transforms(IDS[:4], 1, SEEDED, 24)
    together = augmentation.apply(pixels, maps).numpy()
    for number in range(4):
        alone = augmentation.apply(pixels[number : number + 1], maps[number : number + 1])[0]
        np.testing.assert_array_equal(together[number], alone)


@pytest.mark.parametrize(("photo_id", "view", "seed"), [(IDS[1], 1, 7), (IDS[0], 2, 7), (IDS[0], 1, 8), (IDS[0], 7, 1)])
def test_other_photo_view_or_seed_gives_another_map(photo_id, view, seed):
    assert not np.allclose(
        augmentation.transforms([IDS[0]], 1, SEEDED, SIZE_PX),
        augmentation.transforms([photo_id], view, augmentation.Augmentation(seed), SIZE_PX),
    )


def test_both_flips_turn_half_of_the_views_upside_down_and_keep_the_others():
    plain, both = (
        augmentation.transforms(IDS, 1, augmentation.Augmentation(7, flips), 24) for flips in ("horizontal", "both")
    )
    turned = np.flatnonzero((plain != both).any(axis=1))
    assert 0.4 < len(turned) / len(IDS) < 0.6
    pixels, rows = photo_of_noise(10), turned[:10]
    upside_down = augmentation.apply(pixels[:, ::-1], plain[rows]).numpy().astype(int)
    np.testing.assert_allclose(augmentation.apply(pixels, both[rows]).numpy().astype(int), upside_down, atol=1)
    np.testing.assert_array_equal(
        augmentation.transforms(IDS, 0, augmentation.Augmentation(7, "both"), 24),
        np.tile(np.eye(3).ravel()[:8], (len(IDS), 1)),
    )


def test_map_of_a_flip_mirrors_left_and_right():
    pixels = photo_of_noise(2)
    np.testing.assert_array_equal(apply_by_hand(pixels, [-1, 0, 23, 0, 1, 0, 0, 0]), pixels[:, :, ::-1])


def test_map_of_a_shift_moves_along_x_and_repeats_the_edge():
    pixels = photo_of_noise()
    view = apply_by_hand(pixels, [1, 0, 5, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(view[:, :, :-5], pixels[:, :, 5:])
    np.testing.assert_array_equal(view[:, :, -5:], np.repeat(pixels[:, :, -1:], 5, axis=2))


def test_map_of_half_a_pixel_averages_neighbours():
    pixels = photo_of_noise()
    blend = (pixels[:, :, :-1].astype(float) + pixels[:, :, 1:]) / 2
    view = apply_by_hand(pixels, [1, 0, 0.5, 0, 1, 0, 0, 0])[:, :, :-1]
    np.testing.assert_allclose(view, blend, rtol=0, atol=0.5)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("zoom_x", 0.8, 1.2),
        ("zoom_y", 0.8, 1.2),
        ("rotation", -20, 20),
        ("shear", -0.2, 0.2),
        ("shift_x", -0.1, 0.1),
        ("shift_y", -0.1, 0.1),
    ],
)
def test_random_parameter_is_uniform_in_its_range(name, low, high):
    values = (random_parameters()[name] - low) / (high - low)
    assert -0.01 < values.min() < 0.02 and 0.98 < values.max() < 1.01
    assert abs(values.mean() - 0.5) < 0.05


def test_half_of_the_views_are_mirrored():
    assert abs(random_parameters()["flip"].mean()) < 0.1


def test_parameters_are_uncorrelated():
    correlations = np.corrcoef(np.stack(list(random_parameters().values())))
    assert np.abs(correlations - np.eye(len(correlations))).max() < 0.12


def test_shift_grows_with_the_size_of_the_photo():
    small, large = (augmentation.transforms(IDS[:20], 1, SEEDED, size) for size in (100, 200))
    np.testing.assert_allclose(small[:, [0, 1, 3, 4]], large[:, [0, 1, 3, 4]])
    moved = [
        rows[:, [0, 1, 3, 4]].reshape(-1, 2, 2) @ np.full(2, (size - 1) / 2) + rows[:, [2, 5]] - (size - 1) / 2
        for rows, size in ((small, 100), (large, 200))
    ]
    np.testing.assert_allclose(moved[1], 2 * moved[0], atol=1e-3)


def test_white_photo_stays_white_to_the_edge():
    white = np.full((40, 24, 24, 3), 255, np.uint8)
    views = augmentation.apply(white, augmentation.transforms(IDS[:40], 3, augmentation.Augmentation(1), 24)).numpy()
    assert views.min() == 255


def test_outside_is_filled_with_the_edge_colour():
    photo = np.full((1, 24, 24, 3), 255, np.uint8)
    photo[:, :, 0] = (200, 10, 30)
    view = apply_by_hand(photo, [1, 0, -6, 0, 1, 0, 0, 0])
    assert np.unique(view[0, :, :6].reshape(-1, 3), axis=0).tolist() == [[200, 10, 30]]
