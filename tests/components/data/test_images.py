import contextlib
import functools
import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.data import images

MAX_PIXELS = 10_000
WIDTH_PX, HEIGHT_PX = 48, 32
RED, GREEN, BLUE, YELLOW, WHITE = (220, 30, 40), (20, 180, 60), (30, 60, 200), (240, 220, 30), (255, 255, 255)
CORNERS = (RED, GREEN, BLUE, YELLOW)  # top left, top right, bottom left, bottom right


def four_corners(corners=CORNERS):
    pixels = np.zeros((HEIGHT_PX, WIDTH_PX, len(corners[0])), np.uint8)
    top, left = slice(HEIGHT_PX // 2), slice(WIDTH_PX // 2)
    bottom, right = slice(HEIGHT_PX // 2, None), slice(WIDTH_PX // 2, None)
    for place, colour in zip([(top, left), (top, right), (bottom, left), (bottom, right)], corners, strict=True):
        pixels[place] = colour
    return pixels


def picture(mode="RGB"):
    return Image.fromarray(four_corners()).convert(mode)


def encode(image, file_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def grey(colour):
    return (round(0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]),) * 3


def see_through(corners=(RED, GREEN, BLUE)):
    """Red, green, blue, and yellow that nobody sees because it is transparent."""
    return Image.fromarray(four_corners([(*colour, 255) for colour in corners] + [(*YELLOW, 0)]))


def palette_with_hole():
    indices = np.repeat(np.repeat(np.array([[0, 1], [2, 3]], np.uint8), HEIGHT_PX // 2, 0), WIDTH_PX // 2, 1)
    image = Image.fromarray(indices).convert("P")
    image.putpalette([value for colour in CORNERS for value in colour])
    return encode(image, "PNG", transparency=3)


def grey_16_bit(file_format):
    levels = four_corners([(0,), (64,), (128,), (255,)])[..., 0].astype(np.uint16) * 257
    return encode(Image.fromarray(levels), file_format)


def turned_by_exif(orientation, file_format="JPEG"):
    """A photo that is red at the top left once turned as its EXIF orientation asks."""
    upright = four_corners()
    stored = {  # orientation -> what the camera stores: its first row, then its first column, lies on the ... side
        2: upright[:, ::-1],  # top, right
        3: upright[::-1, ::-1],  # bottom, right
        4: upright[::-1],  # bottom, left
        5: upright.transpose(1, 0, 2),  # left, top
        6: np.rot90(upright, 1),  # right, top
        7: upright[::-1, ::-1].transpose(1, 0, 2),  # right, bottom
        8: np.rot90(upright, -1),  # left, bottom
    }[orientation]
    exif = Image.Exif()
    exif[images.EXIF_ORIENTATION] = orientation
    return encode(Image.fromarray(np.ascontiguousarray(stored)), file_format, exif=exif)


def frames(file_format, **options):
    return encode(
        Image.new("RGB", (20, 20), RED),
        file_format,
        save_all=True,
        append_images=[Image.new("RGB", (20, 20), colour) for colour in (GREEN, BLUE)],
        **options,
    )


def noise(mode, file_format, **options):
    return encode(Image.effect_noise((40, 30), 80).convert(mode), file_format, **options)


def png_that_claims(width_px, height_px):
    png = bytearray(noise("RGB", "PNG"))
    png[16:24] = struct.pack(">II", width_px, height_px)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    return bytes(png)


def half(photo):
    return photo[: len(photo) // 2]


GREYS = tuple(map(grey, CORNERS))
HOLE = (RED, GREEN, BLUE, WHITE)
BLACK_TO_WHITE = ((0,) * 3, (64,) * 3, (128,) * 3, (255,) * 3)
GOOD = {  # kind -> (bytes, colours of the corners, tolerance of a colour)
    "RGB JPEG": (encode(picture(), "JPEG"), CORNERS, 8),
    "progressive JPEG": (encode(picture(), "JPEG", progressive=True), CORNERS, 8),
    "grey JPEG": (encode(picture("L"), "JPEG"), GREYS, 8),
    "CMYK JPEG": (encode(picture("CMYK"), "JPEG"), CORNERS, 8),
    "JPEG with a preview (MPO)": (encode(picture(), "MPO", save_all=True, append_images=[picture()]), CORNERS, 8),
    "RGB PNG": (encode(picture(), "PNG"), CORNERS, 0),
    "grey PNG": (encode(picture("L"), "PNG"), GREYS, 1),
    "black and white PNG": (encode(Image.new("1", (WIDTH_PX, HEIGHT_PX), 1), "PNG"), (WHITE,) * 4, 0),
    "palette PNG": (encode(picture("P"), "PNG"), CORNERS, 60),
    "palette PNG with a hole": (palette_with_hole(), HOLE, 0),
    "RGBA PNG": (encode(see_through(), "PNG"), HOLE, 0),
    "LA PNG": (encode(see_through().convert("LA"), "PNG"), (*GREYS[:3], WHITE), 1),
    "RGB PNG with a transparent colour": (encode(picture(), "PNG", transparency=YELLOW), HOLE, 0),
    "16-bit grey PNG": (grey_16_bit("PNG"), BLACK_TO_WHITE, 1),
    "16-bit grey TIFF": (grey_16_bit("TIFF"), BLACK_TO_WHITE, 1),
    "16-bit RGB PNG": (tf.io.encode_png(four_corners().astype(np.uint16) * 257).numpy(), CORNERS, 1),
    "WebP": (encode(picture(), "WEBP", lossless=True), CORNERS, 0),
    "WebP with a hole": (encode(see_through(), "WEBP", lossless=True), HOLE, 0),
    "HEIC": (encode(picture(), "HEIF", quality=100), CORNERS, 12),
    "HEIC of a burst": (encode(picture(), "HEIF", quality=100, save_all=True, append_images=[picture()]), CORNERS, 12),
    "BMP": (encode(picture(), "BMP"), CORNERS, 0),
    "TIFF": (encode(picture(), "TIFF"), CORNERS, 0),
    "CMYK TIFF": (encode(picture("CMYK"), "TIFF"), CORNERS, 1),
    "GIF of one picture": (encode(picture("P"), "GIF"), CORNERS, 60),
    **{f"JPEG turned by EXIF {n}": (turned_by_exif(n), CORNERS, 8) for n in range(2, 9)},
    "PNG turned by EXIF 6": (turned_by_exif(6, "PNG"), CORNERS, 0),
    "WebP turned by EXIF 8": (turned_by_exif(8, "WEBP"), CORNERS, 12),
}
BAD = {  # kind -> (bytes, reason)
    "empty": (b"", "empty"),
    "text": (b"not a photo, whatever its name says", "not an image"),
    "start of a JPEG": (noise("RGB", "JPEG")[:3], "not an image"),
    "truncated CMYK JPEG": (half(noise("CMYK", "JPEG")), "truncated"),
    "truncated transparent PNG": (half(noise("RGBA", "PNG")), "truncated"),
    "truncated WebP": (half(noise("RGB", "WEBP")), "not an image"),
    "animated GIF": (frames("GIF"), "animated"),
    "animated WebP": (frames("WEBP"), "animated"),
    "animated PNG": (frames("PNG"), "animated"),
    "TIFF of several pages": (frames("TIFF"), "animated"),
    "above the limit": (encode(Image.new("RGB", (101, 100)), "PNG"), "too large"),
    "far above the limit, claimed by a small file": (png_that_claims(60_000, 60_000), "too large"),
}
DAMAGED = {  # kind -> bytes, to be cut short anywhere
    "JPEG": noise("RGB", "JPEG"),
    "turned JPEG": turned_by_exif(6),
    "CMYK JPEG": noise("CMYK", "JPEG"),
    "PNG": noise("RGB", "PNG"),
    "palette PNG": palette_with_hole(),
    "WebP": noise("RGB", "WEBP"),
    "HEIC": noise("RGB", "HEIF"),
    "TIFF": noise("RGB", "TIFF"),
    "BMP": noise("RGB", "BMP"),
    "animated GIF": frames("GIF"),
    "animated WebP": frames("WEBP"),
    "TIFF of several pages": frames("TIFF"),
    "MPO": encode(picture(), "MPO", save_all=True, append_images=[picture()]),
}


def corners_of(pixels):
    """The colours a sixth of the way in from each corner."""
    height, width = pixels.shape[:2]
    y, x = height // 6, width // 6
    return np.array([pixels[y, x], pixels[y, -x], pixels[-y, x], pixels[-y, -x]], int)


@pytest.mark.parametrize("kind", GOOD)
def test_good_photo_becomes_upright_rgb_that_tensorflow_reads(kind):
    photo, corners, tolerance = GOOD[kind]
    plain, size = images.plain_bytes(photo, MAX_PIXELS)
    pixels = tf.io.decode_image(plain, channels=3, expand_animations=False).numpy()
    assert size == (WIDTH_PX, HEIGHT_PX)
    assert pixels.shape == (HEIGHT_PX, WIDTH_PX, 3) and pixels.dtype == np.uint8
    np.testing.assert_allclose(corners_of(pixels), corners, rtol=0, atol=tolerance)


@pytest.mark.parametrize("kind", ["RGB JPEG", "progressive JPEG", "grey JPEG", "RGB PNG", "grey PNG"])
def test_photo_that_tensorflow_reads_is_passed_on_byte_for_byte(kind):
    photo, _, _ = GOOD[kind]
    assert images.plain_bytes(photo, MAX_PIXELS)[0] == photo


def test_jpeg_that_says_it_stands_upright_is_passed_on_byte_for_byte():
    exif = Image.Exif()
    exif[images.EXIF_ORIENTATION] = 1
    photo = encode(picture(), "JPEG", exif=exif)
    assert images.plain_bytes(photo, MAX_PIXELS)[0] == photo


def test_half_transparent_pixel_becomes_half_white():
    photo = encode(Image.new("RGBA", (10, 10), (200, 0, 0, 128)), "PNG")
    plain, _ = images.plain_bytes(photo, MAX_PIXELS)
    np.testing.assert_allclose(tf.io.decode_image(plain).numpy()[5, 5], (227, 127, 127), rtol=0, atol=1)


def test_photo_at_the_limit_is_kept():
    photo = encode(Image.new("RGB", (100, 100), RED), "PNG")
    assert images.plain_bytes(photo, 10_000)[1] == (100, 100)


@pytest.mark.parametrize("kind", BAD)
def test_bad_photo_raises_with_its_reason(kind):
    photo, reason = BAD[kind]
    with pytest.raises(images.UnusablePhotoError) as caught:
        images.plain_bytes(photo, MAX_PIXELS)
    assert caught.value.reason == reason
    assert caught.value.detail and " at 0x" not in caught.value.detail, "another text each time"


@pytest.mark.parametrize("kind", DAMAGED)
def test_photo_cut_short_anywhere_raises_nothing_but_unusable(kind):
    photo = DAMAGED[kind]
    rejected = 0
    for length in range(1, len(photo), max(1, len(photo) // 100)):
        try:
            images.plain_bytes(photo[:length], MAX_PIXELS)
        except images.UnusablePhotoError:
            rejected += 1
    assert rejected > 10


@pytest.mark.parametrize("kind", ["turned JPEG", "animated GIF", "TIFF of several pages", "WebP"])
def test_photo_with_wrong_bytes_raises_nothing_but_unusable(kind):
    draw = np.random.default_rng(1)
    for _ in range(150):
        photo = np.frombuffer(DAMAGED[kind], np.uint8).copy()
        photo[draw.integers(0, min(len(photo), 300), 3)] = draw.integers(0, 256, 3)
        with contextlib.suppress(images.UnusablePhotoError):
            images.plain_bytes(photo.tobytes(), MAX_PIXELS)


@pytest.mark.parametrize("image_size_px", [8, 224])
def test_resized_photo_is_a_square_of_uint8_rgb(image_size_px):
    pixels = images.decode_and_resize(GOOD["grey JPEG"][0], image_size_px)
    assert pixels.shape == (image_size_px, image_size_px, 3) and pixels.dtype == tf.uint8
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])


@pytest.mark.parametrize("size", [(5, 7), (30, 20), (61, 400)])
def test_solid_colour_keeps_its_value_when_resized(size):
    pixels = images.decode_and_resize(encode(Image.new("RGB", size, (255, 7, 130)), "PNG"), 30)
    assert np.unique(pixels.numpy().reshape(-1, 3), axis=0).tolist() == [[255, 7, 130]]


def test_photo_is_stretched_and_not_cropped():
    pixels = images.decode_and_resize(GOOD["RGB PNG"][0], 24).numpy()
    np.testing.assert_allclose(corners_of(pixels), CORNERS, rtol=0, atol=2)


def test_photo_of_the_asked_size_keeps_its_pixels():
    noise_px = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)
    np.testing.assert_array_equal(images.decode_and_resize(encode(Image.fromarray(noise_px), "PNG"), 16), noise_px)


def test_checkerboard_of_single_pixels_shrinks_to_mid_grey():
    board = (np.indices((56, 56)).sum(0) % 2 * 255).astype(np.uint8)
    pixels = images.decode_and_resize(encode(Image.fromarray(board), "PNG"), 8).numpy()
    np.testing.assert_allclose(pixels.astype(int), 127.5, rtol=0, atol=6)


def test_resizing_inside_a_graph_gives_the_same_pixels():
    photo = encode(Image.effect_noise((37, 53), 80).convert("RGB"), "JPEG")
    resize = functools.partial(images.decode_and_resize, image_size_px=24)
    records = tf.data.Dataset.from_tensors(photo).map(resize)
    assert records.element_spec == tf.TensorSpec([24, 24, 3], tf.uint8)
    np.testing.assert_array_equal(next(iter(records)), resize(photo))
