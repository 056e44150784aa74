import numpy as np
import pytest
from PIL import Image, ImageFilter

from components.audit import image_quality
from components.base import artifacts
from components.data import photos
from components.demo import synthetic_photos


def sharp(index):
    """Return a synthetic photo of an object with sharp edges and a little noise, like one from a camera."""
    return synthetic_photos.draw("metal", index, seed=2)


@pytest.fixture
def kinds_of(tmp_path):
    """Return a function of (image, suffix) that returns the kinds of issues of an image among five normal photos."""

    def kinds(image, suffix=".png"):
        photo_list = []
        for index, photo in enumerate([*map(sharp, range(5)), image]):
            path = tmp_path / f"{index}{suffix if index == 5 else '.png'}"
            photo.save(path)
            photo_list.append(photos.Photo(artifacts.file_digest(path), str(path), "metal", 0))
        issues = image_quality.find(photo_list, 10_000_000, lambda done, total: None)
        assert all(row == 5 for row, _, _ in issues), "the five normal photos have no issues"
        return [kind for _, kind, _ in issues]

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
    ids=["unchanged", "blurred", "dark", "light", "blank", "flat", "large"],
)
def test_changed_photo_has_the_issue_of_its_change(kinds_of, change, expected):
    assert kinds_of(change(sharp(9))) == expected


def test_16_bit_and_cmyk_photos_have_no_issues(kinds_of):
    grey = np.asarray(sharp(9).convert("L")).astype(np.uint16) * 257
    assert kinds_of(Image.fromarray(grey)) == []
    assert kinds_of(sharp(9).convert("CMYK"), ".jpg") == []
