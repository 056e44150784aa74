import numpy as np
import pytest
from PIL import Image, ImageDraw

from components.data import background

SIZE_PX = 64


def photo_of_disc(board=(200, 190, 170), slope=0.0):
    """Return a dark disc in the middle of a board whose colour changes by `slope` from pixel to pixel."""
    image = Image.new("RGB", (SIZE_PX, SIZE_PX), board)
    ImageDraw.Draw(image).ellipse((12, 12, 52, 52), fill=(40, 60, 30))
    shade = slope * (np.arange(SIZE_PX) - SIZE_PX / 2)
    return np.uint8(np.clip(np.asarray(image, float) + shade[None, :, None], 0, 255))


@pytest.mark.parametrize("slope", [0.0, 1.0], ids=["even light", "light from one side"])
def test_board_is_background_and_the_object_is_not(slope):
    mask = background.mask(photo_of_disc(slope=slope))
    assert mask.shape == (SIZE_PX, SIZE_PX) and mask.dtype == bool
    assert mask[:8].all() and mask[56:].all() and mask[:, :8].all() and mask[:, 56:].all()
    assert not mask[22:42, 22:42].any()


def test_noise_has_no_plain_background():
    assert background.mask(np.random.default_rng(1).integers(0, 256, (SIZE_PX, SIZE_PX, 3), np.uint8)) is None


def test_photo_of_the_board_alone_has_no_background_because_no_object_would_remain():
    assert background.mask(np.full((SIZE_PX, SIZE_PX, 3), 180, np.uint8)) is None


def test_replaced_background_keeps_the_object():
    photo, new = photo_of_disc(), np.zeros((SIZE_PX, SIZE_PX, 3), np.uint8)
    replaced = background.replace(photo, background.mask(photo), new)
    assert replaced.shape == photo.shape and replaced.dtype == np.uint8
    np.testing.assert_array_equal(replaced[22:42, 22:42], photo[22:42, 22:42])
    assert not replaced[:6].any()


def test_border_colour_is_that_of_the_board():
    assert background.border_colour(photo_of_disc()).tolist() == [200, 190, 170]


@pytest.mark.parametrize("draw", [background.gradient, background.texture])
def test_drawn_backgrounds_are_pictures_that_depend_on_the_seed(draw):
    first, again, other = (draw(np.random.default_rng(seed), SIZE_PX) for seed in (1, 1, 2))
    assert first.shape == (SIZE_PX, SIZE_PX, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and first.std() > 1
