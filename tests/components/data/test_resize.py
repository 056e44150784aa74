import functools
import io

import numpy as np
import pytest
import tensorflow as tf
import upload_files
from PIL import Image

from components.data import images, resize

SIZE_PX = 8
MAX_PIXELS = 1_000


def png_of(seed, size=(20, 16)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return encode(Image.fromarray(pixels), "PNG")


def encode(image, file_format):
    stream = io.BytesIO()
    image.save(stream, file_format)
    return stream.getvalue()


def test_unusable_photos_in_a_batch_do_not_shift_the_others():
    cut = encode(Image.effect_noise((20, 16), 80), "JPEG")[
        :-9
    ]  # its header is intact, so that only TensorFlow detects it
    files = [png_of(0), cut, b"", png_of(2), png_of(3, size=(50, 40))]
    results = resize.make(files, SIZE_PX, MAX_PIXELS)
    assert [getattr(result, "reason", "usable") for result in results] == [
        "usable",
        "truncated",
        "empty",
        "usable",
        "too large",
    ]
    for index in (0, 3):
        square = results[index]
        assert isinstance(square, resize.Square)
        assert square.original_size_px == (20, 16)
        expected = resize.decode_and_resize(tf.constant(files[index]), SIZE_PX)
        np.testing.assert_array_equal(tf.io.decode_png(square.png), expected)


def test_batch_without_usable_photos_returns_only_reasons():
    results = resize.make([b"", b"no photo"], SIZE_PX, MAX_PIXELS)
    assert [getattr(error, "reason", None) for error in results] == ["empty", "not an image"]


@pytest.mark.parametrize("image_size_px", [8, 224])
def test_resized_photo_is_a_square_of_uint8_rgb(image_size_px):
    pixels = resize.decode_and_resize(encode(Image.new("L", (48, 32), 90), "JPEG"), image_size_px)
    assert pixels.shape == (image_size_px, image_size_px, 3) and pixels.dtype == tf.uint8
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])


@pytest.mark.parametrize("size", [(5, 7), (30, 20), (61, 400)])
def test_solid_colour_keeps_its_value_when_resized(size):
    pixels = resize.decode_and_resize(encode(Image.new("RGB", size, (255, 7, 130)), "PNG"), 30)
    assert np.unique(pixels.numpy().reshape(-1, 3), axis=0).tolist() == [[255, 7, 130]]


def test_photo_is_stretched_and_not_cropped():
    halves = Image.new("RGB", (48, 32), (220, 30, 40))
    halves.paste((20, 180, 60), (24, 0, 48, 32))
    pixels = resize.decode_and_resize(encode(halves, "PNG"), 24).numpy()
    np.testing.assert_allclose(pixels[:, [0, -1]].mean(0), [(220, 30, 40), (20, 180, 60)], rtol=0, atol=2)


def test_photo_of_the_target_size_keeps_its_pixels():
    noise_px = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)
    np.testing.assert_array_equal(resize.decode_and_resize(encode(Image.fromarray(noise_px), "PNG"), 16), noise_px)


def test_checkerboard_of_single_pixels_shrinks_to_mid_grey():
    board = (np.indices((56, 56)).sum(0) % 2 * 255).astype(np.uint8)
    pixels = resize.decode_and_resize(encode(Image.fromarray(board), "PNG"), 8).numpy()
    np.testing.assert_allclose(pixels.astype(int), 127.5, rtol=0, atol=6)


def test_resizing_inside_a_graph_gives_the_same_pixels():
    photo = encode(Image.effect_noise((37, 53), 80).convert("RGB"), "JPEG")
    resize_24 = functools.partial(resize.decode_and_resize, image_size_px=24)
    records = tf.data.Dataset.from_tensors(photo).map(resize_24)
    assert records.element_spec == tf.TensorSpec([24, 24, 3], tf.uint8)
    np.testing.assert_array_equal(next(iter(records)), resize_24(photo))


def test_reason_of_tensorflow_is_its_decoders_words_on_one_line():
    photo = upload_files.encoded("JPEG")
    table = photo.index(b"\xff\xc4") + 5  # numbers of Huffman codes of each length
    (square,) = resize.make([photo[:table] + b"\xff" * 16 + photo[table + 16 :]], 32, 10_000)
    assert isinstance(square, images.UnusablePhotoError)
    assert square.detail == "jpeg::Uncompress failed. Invalid JPEG data or crop window."
