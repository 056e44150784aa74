import contextlib
import io
import pathlib
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tensorflow as tf
import upload_files
from PIL import Image

from components.data import images

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, about damaged metadata
ROOT = pathlib.Path(__file__).parents[3]
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


def with_transparent_corner(corners=(RED, GREEN, BLUE)):
    """Return an image with red, green, blue and fully transparent yellow corners."""
    return Image.fromarray(four_corners([(*colour, 255) for colour in corners] + [(*YELLOW, 0)]))


def palette_with_transparent_corner():
    indices = np.repeat(np.repeat(np.array([[0, 1], [2, 3]], np.uint8), HEIGHT_PX // 2, 0), WIDTH_PX // 2, 1)
    image = Image.fromarray(indices).convert("P")
    image.putpalette([value for colour in CORNERS for value in colour])
    return encode(image, "PNG", transparency=3)


def grey_16_bit(file_format):
    levels = four_corners([(0,), (64,), (128,), (255,)])[..., 0].astype(np.uint16) * 257
    return encode(Image.fromarray(levels), file_format)


def turned_by_exif(orientation, file_format="JPEG"):
    """Return a photo with an EXIF orientation, which is red at the top left when it is upright."""
    upright = four_corners()
    stored = {  # orientation -> stored pixels; the comment is the side of the first row and of the first column
        2: upright[:, ::-1],  # top, right
        3: upright[::-1, ::-1],  # bottom, right
        4: upright[::-1],  # bottom, left
        5: upright.transpose(1, 0, 2),  # left, top
        6: np.rot90(upright, 1),  # right, top
        7: upright[::-1, ::-1].transpose(1, 0, 2),  # right, bottom
        8: np.rot90(upright, -1),  # left, bottom
    }[orientation]
    exif = Image.Exif()
    exif[upload_files.ORIENTATION] = orientation
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
    levels = np.random.default_rng(1).normal(128, 80, (30, 40)).clip(0, 255)  # always the same
    return encode(Image.fromarray(levels.astype(np.uint8)).convert(mode), file_format, **options)


def png_with_declared_size(width_px, height_px):
    png = bytearray(noise("RGB", "PNG"))
    png[16:24] = struct.pack(">II", width_px, height_px)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    return bytes(png)


def half(photo):
    return photo[: len(photo) // 2]


GREYS = tuple(map(grey, CORNERS))
CORNERS_ON_WHITE = (RED, GREEN, BLUE, WHITE)
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
    "palette PNG with a hole": (palette_with_transparent_corner(), CORNERS_ON_WHITE, 0),
    "RGBA PNG": (encode(with_transparent_corner(), "PNG"), CORNERS_ON_WHITE, 0),
    "LA PNG": (encode(with_transparent_corner().convert("LA"), "PNG"), (*GREYS[:3], WHITE), 1),
    "RGB PNG with a transparent colour": (encode(picture(), "PNG", transparency=YELLOW), CORNERS_ON_WHITE, 0),
    "16-bit grey PNG": (grey_16_bit("PNG"), BLACK_TO_WHITE, 1),
    "16-bit grey TIFF": (grey_16_bit("TIFF"), BLACK_TO_WHITE, 1),
    "16-bit RGB PNG": (tf.io.encode_png(four_corners().astype(np.uint16) * 257).numpy(), CORNERS, 1),
    "WebP": (encode(picture(), "WEBP", lossless=True), CORNERS, 0),
    "WebP with a hole": (encode(with_transparent_corner(), "WEBP", lossless=True), CORNERS_ON_WHITE, 0),
    "HEIC": (encode(picture(), "HEIF", quality=100), CORNERS, 12),
    "HEIC of a burst": (encode(picture(), "HEIF", quality=100, save_all=True, append_images=[picture()]), CORNERS, 12),
    "BMP": (encode(picture(), "BMP"), CORNERS, 0),
    "TIFF": (encode(picture(), "TIFF"), CORNERS, 0),
    **{
        f"TIFF with the compression {name}": (encode(picture(), "TIFF", compression=name), CORNERS, 0)
        for name in ("tiff_lzw", "tiff_deflate", "packbits", "zstd", "lzma")
    },
    "AVIF": (encode(picture(), "AVIF", quality=95), CORNERS, 12),
    "JPEG 2000": (encode(picture(), "JPEG2000"), CORNERS, 2),
    "CMYK TIFF": (encode(picture("CMYK"), "TIFF"), CORNERS, 1),
    "GIF of one picture": (encode(picture("P"), "GIF"), CORNERS, 60),
    **{f"JPEG turned by EXIF {n}": (turned_by_exif(n), CORNERS, 8) for n in range(2, 9)},
    "PNG turned by EXIF 6": (turned_by_exif(6, "PNG"), CORNERS, 0),
    "WebP turned by EXIF 8": (turned_by_exif(8, "WEBP"), CORNERS, 12),
    "TIFF turned by EXIF 5": (turned_by_exif(5, "TIFF"), CORNERS, 0),
    "TIFF turned by EXIF 6": (turned_by_exif(6, "TIFF"), CORNERS, 0),
}
BAD = {  # kind -> (bytes, reason)
    "empty": (b"", "empty"),
    "text": (b"not a photo, whatever its name says", "not an image"),
    "start of a JPEG": (noise("RGB", "JPEG")[:3], "not an image"),
    "truncated CMYK JPEG": (half(noise("CMYK", "JPEG")), "truncated"),
    "PNG without the checksum of its end": (noise("RGB", "PNG")[:-1], "truncated"),
    "palette PNG with a wrong checksum": (
        palette_with_transparent_corner()[:-13] + b"?" + palette_with_transparent_corner()[-12:],
        "truncated",
    ),
    "truncated transparent PNG": (half(noise("RGBA", "PNG")), "truncated"),
    "truncated WebP": (half(noise("RGB", "WEBP")), "truncated"),
    "animated GIF": (frames("GIF"), "animated"),
    "animated WebP": (frames("WEBP"), "animated"),
    "animated PNG": (frames("PNG"), "animated"),
    "TIFF of several pages": (frames("TIFF"), "animated"),
    "TIFF with JPEG compression": (encode(picture(), "TIFF", compression="jpeg"), "not an image"),
    "TIFF of a fax": (encode(picture("1"), "TIFF", compression="group4"), "not an image"),
    "EPS": (encode(picture(), "EPS"), "not an image"),
    "PPM": (encode(picture(), "PPM"), "not an image"),
    "15 pixels high": (encode(picture().resize((40, 15)), "PNG"), "too small"),
    "JPEG of 101 scans": (upload_files.jpeg_of_scans(101), "too many parts"),
    "GIF of 1001 comments": (upload_files.gif_of_comments(1001), "too many parts"),
    "TIFF of 50,176 tiles": (upload_files.tiff_of_tiles(224), "too many parts"),
    "above the limit": (encode(Image.new("RGB", (101, 100)), "PNG"), "too large"),
    "far above the limit, declared by a small file": (png_with_declared_size(60_000, 60_000), "too large"),
}
WHOLE = {  # kind -> bytes to damage
    "JPEG": noise("RGB", "JPEG"),
    "turned JPEG": turned_by_exif(6),
    "CMYK JPEG": noise("CMYK", "JPEG"),
    "PNG": noise("RGB", "PNG"),
    "palette PNG": palette_with_transparent_corner(),
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
    """Return the colours near the four corners."""
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
def test_photo_that_tensorflow_reads_is_returned_unchanged(kind):
    photo, _, _ = GOOD[kind]
    assert images.plain_bytes(photo, MAX_PIXELS)[0] == photo


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_photo_with_upright_orientation_loses_only_its_metadata(kind):
    exif = Image.Exif()
    exif[upload_files.ORIENTATION] = 1
    assert images.plain_bytes(encode(picture(), kind, exif=exif), MAX_PIXELS)[0] == encode(picture(), kind)


def test_png_whose_metadata_stops_tensorflow_is_decoded_without_it():
    photo = encode(picture(), "PNG")
    damaged = photo[:33] + upload_files.chunk(b"tEX\0", b"text") + photo[33:]
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.io.decode_png(damaged)
    assert images.plain_bytes(damaged, MAX_PIXELS)[0] == photo


def test_half_transparent_pixel_becomes_half_white():
    photo = encode(Image.new("RGBA", (20, 20), (200, 0, 0, 128)), "PNG")
    plain, _ = images.plain_bytes(photo, MAX_PIXELS)
    np.testing.assert_allclose(tf.io.decode_image(plain).numpy()[5, 5], (227, 127, 127), rtol=0, atol=1)


def test_photo_at_the_limit_is_accepted():
    photo = encode(Image.new("RGB", (100, 100), RED), "PNG")
    assert images.plain_bytes(photo, 10_000)[1] == (100, 100)


@pytest.mark.parametrize("kind", BAD)
def test_bad_photo_raises_with_its_reason(kind):
    photo, reason = BAD[kind]
    with pytest.raises(images.UnusablePhotoError) as caught:
        images.plain_bytes(photo, MAX_PIXELS)
    assert caught.value.reason == reason
    assert caught.value.detail and " at 0x" not in caught.value.detail, "the detail differs each time"


@pytest.mark.parametrize("kind", WHOLE)
def test_truncated_photo_raises_only_unusable_photo_error(kind):
    photo = WHOLE[kind]
    rejected = 0
    for length in range(1, len(photo), max(1, len(photo) // 100)):
        try:
            images.plain_bytes(photo[:length], MAX_PIXELS)
        except images.UnusablePhotoError:
            rejected += 1
    assert rejected > 10


@pytest.mark.parametrize("kind", ["turned JPEG", "animated GIF", "TIFF of several pages", "WebP"])
def test_photo_with_wrong_bytes_raises_only_unusable_photo_error(kind):
    rng = np.random.default_rng(1)
    for _ in range(150):
        photo = np.frombuffer(WHOLE[kind], np.uint8).copy()
        photo[rng.integers(0, min(len(photo), 300), 3)] = rng.integers(0, 256, 3)
        with contextlib.suppress(images.UnusablePhotoError):
            images.plain_bytes(photo.tobytes(), MAX_PIXELS)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bit_grey_is_divided_by_257_and_rounded(file_format):
    levels = np.array([0, 128, 129, 257, 0x8000, 65_406, 65_407, 65_535], np.uint16)
    plain, _ = images.plain_bytes(encode(Image.fromarray(np.tile(levels, (16, 2))), file_format), MAX_PIXELS)
    np.testing.assert_array_equal(tf.io.decode_image(plain).numpy()[0, :8, 0], [0, 0, 1, 1, 128, 254, 255, 255])


def test_16_bit_grey_with_a_transparent_level_gets_a_white_background():
    levels = np.tile(np.array([0, 0x8000], np.uint16).repeat(16), (16, 1))
    plain, _ = images.plain_bytes(encode(Image.fromarray(levels), "PNG", transparency=0x8000), MAX_PIXELS)
    np.testing.assert_array_equal(tf.io.decode_image(plain).numpy()[8, [8, 24], 0], [0, 255])


@pytest.mark.parametrize("exif", upload_files.ODD_EXIF, ids=["negative number", "fraction"])
def test_photo_with_odd_exif_is_turned_upright(exif):
    _, size = images.plain_bytes(upload_files.encoded("JPEG", exif=exif), MAX_PIXELS)
    assert size == upload_files.SIDE[::-1]


@pytest.mark.parametrize("missing", [3, 9, 200])
def test_jpeg_without_its_last_pixels_is_truncated(missing):
    for kind in ({}, {"progressive": True}):
        cut = noise("RGB", "JPEG", **kind)[:-missing]
        with pytest.raises(images.UnusablePhotoError, match="truncated"):
            images.plain_bytes(cut, MAX_PIXELS)


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_jpeg_that_lacks_only_its_end_marker_is_completed(missing, options):
    photo = noise("RGB", "JPEG", **options)
    plain = images.plain_bytes(photo[:-missing], MAX_PIXELS)[0]
    np.testing.assert_array_equal(tf.io.decode_image(plain), tf.io.decode_image(photo))


def test_web_jpeg_is_a_small_upright_jpeg_without_metadata():
    photo = upload_files.encoded("JPEG", size=(3000, 2000), exif=upload_files.exif(6))
    image = Image.open(io.BytesIO(images.web_jpeg(photo)))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (683, 1024))
    assert not image.getexif()


def test_images_imports_neither_tensorflow_nor_the_rest_of_components():
    code = "import sys, components.data.images; print(*sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = result.stdout.split()
    assert not {"tensorflow", "keras", "apache_beam", "numpy"} & {*loaded}
    expected = {"components", "components.base", "components.base.settings"}
    assert {name for name in loaded if name.startswith("components") and "components.data" not in name} == expected
    assert {name for name in loaded if name.startswith("components.data") and "formats" not in name} == {
        *("components.data", "components.data.colour", "components.data.images")
    }


def test_reason_of_a_decoder_is_one_line():
    photo = upload_files.encoded("HEIF")
    with pytest.raises(images.UnusablePhotoError) as caught:
        images.web_jpeg(photo[: int(0.8 * len(photo))])
    assert caught.value.reason == "truncated" and "\n" not in caught.value.detail


@pytest.mark.parametrize("damage", ["two headers", "chunk before the header", "unknown compression method"])
def test_png_that_only_pillow_reads_is_normalized(damage):
    photo = encode(picture(), "PNG")
    header, rest = photo[8:33], photo[33:]
    method = upload_files.chunk(b"IHDR", header[8:18] + b"\2" + header[19:21])
    assert len(method) == len(header)
    before = {"two headers": header, "chunk before the header": upload_files.chunk(b"tRNS", bytes(6))}
    damaged = photo[:8] + (method if damage not in before else before[damage] + header) + rest
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.io.decode_png(damaged)
    plain, size = images.plain_bytes(damaged, MAX_PIXELS)
    assert size == (WIDTH_PX, HEIGHT_PX) and tf.io.decode_png(plain, channels=3).shape == (HEIGHT_PX, WIDTH_PX, 3)
