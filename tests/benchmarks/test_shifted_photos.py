import numpy as np
import pytest
from PIL import Image, ImageDraw

from benchmarks import corruptions, shifted_photos

SIZE_PX, BOARD, OBJECT = 64, (200, 190, 170), (40, 60, 30)
CONDITIONS = shifted_photos.conditions([3])
NOISE = np.random.default_rng(1).integers(0, 256, (SIZE_PX, SIZE_PX, 3), np.uint8)


def photo_of_disc():
    image = Image.new("RGB", (SIZE_PX, SIZE_PX), BOARD)
    ImageDraw.Draw(image).ellipse((12, 12, 52, 52), fill=OBJECT)
    return np.asarray(image)


def shifted(condition, pixels=None, photo_id="1"):
    return shifted_photos.shifted(
        photo_of_disc() if pixels is None else pixels, photo_id, condition, CONDITIONS[condition]
    )


def test_conditions_have_each_corruption_at_the_chosen_severities():
    names = [shift for shift, severity in shifted_photos.conditions([1, 5]) if severity in ("1", "5")]
    assert names == [name for name in corruptions.CORRUPTIONS for _ in range(2)]


@pytest.mark.parametrize("condition", CONDITIONS, ids="-".join)
def test_shifted_photo_keeps_shape_and_dtype_and_is_the_same_each_time(condition):
    first, again = shifted(condition), shifted(condition)
    assert first.shape == (SIZE_PX, SIZE_PX, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("condition", [("background", "gradient"), ("background", "facets"), ("snow", "3")])
def test_other_photo_has_other_random_numbers(condition):
    assert (shifted(condition) != shifted(condition, photo_id="2")).any()


def test_clean_photo_is_unchanged():
    np.testing.assert_array_equal(shifted(shifted_photos.CLEAN), photo_of_disc())


@pytest.mark.parametrize("severity", ["gradient", "facets"])
def test_new_background_keeps_the_object(severity):
    changed = shifted(("background", severity))
    np.testing.assert_array_equal(changed[24:40, 24:40], photo_of_disc()[24:40, 24:40])
    assert (changed[:6] != np.uint8(BOARD)).any(axis=2).mean() > 0.9


@pytest.mark.parametrize("severity", ["as taken", "gradient", "facets"])
def test_photo_without_plain_background_is_left_out(severity):
    assert shifted(("background", severity), NOISE) is None


def test_small_object_covers_a_quarter_and_a_ninth_of_its_area():
    def area(pixels):
        return (np.abs(pixels.astype(int) - OBJECT).max(axis=2) < 60).mean()

    whole = area(photo_of_disc())
    assert area(shifted(("small object", "1/2"))) == pytest.approx(whole / 4, rel=0.1)
    assert area(shifted(("small object", "1/3"))) == pytest.approx(whole / 9, rel=0.15)


def test_object_off_the_centre_is_moved_by_a_quarter_in_one_of_four_directions():
    moves = set()
    for number in range(20):
        down, right = np.argwhere((shifted(("off centre", "1/4"), photo_id=str(number)) == OBJECT).all(axis=2)).mean(0)
        moves.add((round((down - 32) / 8) * 8, round((right - 32) / 8) * 8))
    assert len(moves) == 4 and all(sorted(map(abs, move))[0] == 0 for move in moves)
