import numpy as np
import pytest
from scipy import ndimage

from benchmarks import corruptions

SIZE_PX = 64
# its severities differ in kind: large bends are followed by small ones
NAMES_BY_SEVERITY = sorted(corruptions.CORRUPTIONS.keys() - {"elastic transform"})


def photo():
    """Return smooth blots of many colours and one flat corner."""
    noise = np.random.default_rng(1).uniform(0, 255, (SIZE_PX, SIZE_PX, 3))
    blots = ndimage.gaussian_filter(noise, (2, 2, 0)) * 3 - 255
    blots[:8, :8] = 120
    return np.uint8(blots.clip(10, 245))


def corrupt(name, severity, seed=1, pixels=None):
    return corruptions.corrupt(photo() if pixels is None else pixels, name, severity, np.random.default_rng(seed))


def change(name, severity):
    return np.abs(corrupt(name, severity).astype(float) - photo()).mean()


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", corruptions.CORRUPTIONS)
def test_corruption_changes_the_photo_and_keeps_shape_and_dtype(name, severity):
    corrupted = corrupt(name, severity)
    assert corrupted.shape == (SIZE_PX, SIZE_PX, 3) and corrupted.dtype == np.uint8
    assert change(name, severity) > 0.3


@pytest.mark.parametrize("name", NAMES_BY_SEVERITY)
def test_higher_severity_changes_more(name):
    assert change(name, 5) > 1.2 * change(name, 1)


@pytest.mark.parametrize("name", corruptions.CORRUPTIONS)
def test_same_seed_gives_the_same_corruption(name):
    np.testing.assert_array_equal(corrupt(name, 3), corrupt(name, 3))


@pytest.mark.parametrize("name", ["defocus blur", "glass blur", "motion blur", "zoom blur", "pixelate", "contrast"])
def test_blurs_and_contrast_leave_a_flat_photo_flat(name):
    flat = np.full((SIZE_PX, SIZE_PX, 3), 90, np.uint8)
    np.testing.assert_allclose(corrupt(name, 5, pixels=flat).astype(int), 90, atol=1)


def test_brightness_keeps_the_hue():
    pixels = np.full((SIZE_PX, SIZE_PX, 3), (100, 50, 25), np.uint8)
    assert corrupt("brightness", 1, pixels=pixels)[0, 0].tolist() == [126, 63, 31]  # 100 / 255 + 0.1, in proportion


def test_gaussian_noise_has_the_deviation_of_the_paper():
    pixels = np.full((SIZE_PX, SIZE_PX, 3), 128, np.uint8)
    assert corrupt("Gaussian noise", 1, pixels=pixels).std() / 255 == pytest.approx(0.08, rel=0.03)
