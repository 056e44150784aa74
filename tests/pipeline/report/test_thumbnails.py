"""Thumbnails of photos under their heat maps."""

import base64
import io

import numpy as np
from PIL import Image

from components.base import artifacts
from components.data import photos
from pipeline.report import thumbnails


def write_photo(path, size):
    Image.new("RGB", size, (200, 60, 60)).save(path)
    return photos.Photo(artifacts.file_digest(path), str(path), "metal", 0)


def pixels_of(address):
    content = base64.b64decode(address.removeprefix("data:image/webp;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), int)


def test_map_is_stretched_to_the_photo_and_its_highest_cell_is_the_lightest(tmp_path):
    heatmap = np.zeros((2, 4), np.float32)
    heatmap[1, 3] = 1
    pixels = pixels_of(thumbnails.under_heatmap(write_photo(tmp_path / "a.png", (400, 200)), heatmap))
    assert pixels.shape == (96, 192, 3)
    red, green, blue = pixels[-10, -10]
    assert min(red, green) > blue + 40  # yellow
    assert pixels[-10, -10].sum() > pixels[10, 10].sum() + 150 and pixels[10, 10][2] > pixels[10, 10][1]  # dark blue


def test_photo_under_its_map_takes_fewer_bytes_than_the_photo(tmp_path):
    noise = np.random.default_rng(3).integers(0, 256, (300, 400, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    photo = photos.Photo(artifacts.file_digest(tmp_path / "noise.png"), str(tmp_path / "noise.png"), "metal", 0)
    heatmap = np.random.default_rng(3).random((10, 10), np.float32)
    assert len(thumbnails.under_heatmap(photo, heatmap)) < 0.6 * len(thumbnails.of_photo(photo))


def test_map_of_zeros_leaves_no_mark(tmp_path):
    pixels = pixels_of(
        thumbnails.under_heatmap(write_photo(tmp_path / "a.png", (64, 64)), np.zeros((7, 7), np.float32))
    )
    assert np.ptp(pixels.reshape(-1, 3), axis=0).max() < 10


def test_missing_photo_has_no_picture(tmp_path):
    photo = write_photo(tmp_path / "a.png", (64, 64))
    (tmp_path / "a.png").unlink()
    assert thumbnails.under_heatmap(photo, np.zeros((7, 7), np.float32)) is None
