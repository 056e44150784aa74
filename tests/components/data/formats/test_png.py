import io
import math
import zlib

import pytest
import upload_files
from PIL import Image

from components.data.formats import essentials, png

WIDTH, HEIGHT = 21, 18
# Pass of each pixel in a square of 8 x 8.
ADAM7 = ("16462646", "77777777", "56565656", "77777777", "36463646", "77777777", "56565656", "77777777")
KINDS = {"1-bit grey": (1, 0), "16-bit grey": (16, 0), "RGB": (8, 2), "4-bit palette": (4, 3), "RGBA": (8, 6)}


def rows(bits, interlaced):
    """Return black rows, each after its filter, of a PNG with so many bits for a pixel."""
    if not interlaced:
        return bytes(HEIGHT * (1 + math.ceil(WIDTH * bits / 8)))
    size = 0
    for number in "1234567":
        for y in range(HEIGHT):
            pixels = sum(ADAM7[y % 8][x % 8] == number for x in range(WIDTH))
            size += 1 + math.ceil(pixels * bits / 8) if pixels else 0
    return bytes(size)


@pytest.mark.parametrize("interlaced", [False, True], ids=["", "interlaced"])
@pytest.mark.parametrize("kind", KINDS)
def test_png_without_the_last_byte_of_its_pixels_is_incomplete(kind, interlaced):
    depth, colour = KINDS[kind]
    pixels = rows(depth * {0: 1, 2: 3, 3: 1, 6: 4}[colour], interlaced)
    palette = upload_files.chunk(b"PLTE", bytes(3 * 16)) if colour == 3 else b""
    whole, cut = (
        upload_files.png(WIDTH, HEIGHT, content, depth, colour, palette, int(interlaced))
        for content in (pixels, pixels[:-1])
    )
    png.check_pixels(whole)
    with pytest.raises(ValueError, match="incomplete"):
        png.check_pixels(cut)


def test_png_whose_pixels_have_no_end_is_incomplete():
    stream = zlib.compressobj()
    content = stream.compress(bytes(16 * 17)) + stream.flush(zlib.Z_SYNC_FLUSH)  # all rows, and no end
    photo = upload_files.png(16, 16, colour=0)
    empty = upload_files.chunk(b"IDAT", zlib.compress(b""))
    with pytest.raises(ValueError, match="incomplete"):
        png.check_pixels(photo.replace(empty, upload_files.chunk(b"IDAT", content)))


def test_pixels_are_complete_in_several_chunks():
    content = zlib.compress(Image.effect_noise((1024, 1025), 50).tobytes())  # more than is inflated at once
    chunks = b"".join(upload_files.chunk(b"IDAT", content[at : at + 100_000]) for at in range(0, len(content), 100_000))
    photo = upload_files.png(1023, 1025, colour=0)
    png.check_pixels(photo.replace(upload_files.chunk(b"IDAT", zlib.compress(b"")), chunks))


def test_single_frame_of_an_animation_is_an_ordinary_png():
    stream = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(stream, "PNG", save_all=True, append_images=[Image.new("RGB", (20, 20))])
    animation = stream.getvalue()
    frames = upload_files.chunk(b"acTL", (2).to_bytes(4, "big") + bytes(4))
    assert frames in animation
    single = animation.replace(frames, upload_files.chunk(b"acTL", (1).to_bytes(4, "big") + bytes(4)))
    assert essentials.of(single).file == upload_files.saved(Image.new("RGB", (20, 20), "red"), "PNG")
    assert b"acTL" in essentials.of(animation).file
