import io

import numpy as np
import tensorflow as tf
from PIL import Image

from components.data import images, resize

SIZE_PX = 8
MAX_PIXELS = 1_000


def png_of(seed, size=(20, 15)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def test_unusable_photos_in_a_batch_leave_the_others_in_their_places():
    cut = png_of(1)[:-18]  # Pillow forgives it, TensorFlow does not
    files = [png_of(0), cut, b"", png_of(2), png_of(3, size=(50, 40))]
    made = resize.make(files, SIZE_PX, MAX_PIXELS)
    assert [getattr(one, "reason", "usable") for one in made] == ["usable", "truncated", "empty", "usable", "too large"]
    for place in (0, 3):
        assert made[place].original_size_px == (20, 15)
        expected = images.decode_and_resize(tf.constant(files[place]), SIZE_PX)
        np.testing.assert_array_equal(tf.io.decode_png(made[place].png), expected)


def test_batch_without_a_usable_photo_gives_reasons_alone():
    assert [one.reason for one in resize.make([b"", b"no photo"], SIZE_PX, MAX_PIXELS)] == ["empty", "not an image"]
