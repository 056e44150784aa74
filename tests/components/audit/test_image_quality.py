import numpy as np
import pytest
from PIL import Image, ImageFilter

from components.audit import image_quality
from components.base import artifacts
from components.data import photos
from components.demo import synthetic_photos


def sharp(index):
    """A drawn photo of a sharp edged object with a little grain, as cameras give it."""
    return synthetic_photos.draw("metal", index, seed=2)


@pytest.fixture
def kinds_of(tmp_path):
    """kinds_of(image, suffix=".png"): what is odd about it beside five photos that are not."""

    def kinds(image, suffix=".png"):
        listed = []
        for index, one in enumerate([*map(sharp, range(5)), image]):
            path = tmp_path / f"{index}{suffix if index == 5 else '.png'}"
            one.save(path)
            listed.append(photos.Photo(artifacts.file_digest(path), str(path), "metal", 0))
        findings = image_quality.find(listed, 10_000_000, lambda done, total: None)
        assert all(row == 5 for row, _, _ in findings), "the five are not odd"
        return [kind for _, kind, _ in findings]

    return kinds


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda photo: photo, []),
        (lambda photo: photo.filter(ImageFilter.GaussianBlur(6)), ["blurred"]),
        (lambda photo: photo.point(lambda level: level * 0.2), ["dark"]),
        (lambda photo: Image.blend(photo, Image.new("RGB", photo.size, "white"), 0.93), ["light"]),
        (lambda photo: Image.new("RGB", photo.size, (120, 120, 120)), ["blank"]),
        (lambda photo: photo.resize((photo.width, photo.width // 4)), ["odd_shape"]),
        (lambda photo: photo.resize((4 * photo.width, 4 * photo.height), Image.Resampling.NEAREST), ["odd_size"]),
    ],
    ids=["as it is", "blurred", "dark", "light", "blank", "flat", "large"],
)
def test_photo_is_odd_in_the_way_it_was_changed(kinds_of, change, expected):
    assert kinds_of(change(sharp(9))) == expected


def test_16_bit_and_cmyk_photos_are_measured_as_they_look(kinds_of):
    grey = np.asarray(sharp(9).convert("L")).astype(np.uint16) * 257
    assert kinds_of(Image.fromarray(grey)) == []
    assert kinds_of(sharp(9).convert("CMYK"), ".jpg") == []
