"""Files of every kind that may be uploaded: valid, unusual and broken ones."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pillow_heif
from PIL import Image, PngImagePlugin

pillow_heif.register_heif_opener()

SIDE = (40, 30)  # width and height of most pictures
MAX_PIXELS = 1_000_000  # limit in the tests
LIGHT, DARK = (250, 180, 20), (20, 40, 120)
ACCEPTED = 200
SCRIPT = b"*/=1;alert(document.cookie)//"
ORIENTATION, GPS = 0x0112, 0x8825


def drawn(mode: str = "RGB", size: tuple[int, int] = SIDE) -> Image.Image:
    """Return a dark picture whose left half is light."""
    image = Image.new("RGB", size, DARK)
    image.paste(LIGHT, (0, 0, size[0] // 2, size[1]))
    return image.convert(mode)


def encoded(kind: str, mode: str = "RGB", size: tuple[int, int] = SIDE, **options: Any) -> bytes:
    return saved(drawn(mode, size), kind, **options)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def half_transparent(mode: str, kind: str) -> bytes:
    """Return a picture that is opaque on the left and transparent on the right."""
    image = drawn("RGBA")
    image.putalpha(Image.new("L", SIDE))
    image.paste(drawn("RGBA").crop((0, 0, SIDE[0] // 2, SIDE[1])))
    if mode == "P":
        flat = drawn("P")
        return saved(flat, kind, transparency=flat.getpixel((SIDE[0] - 1, 0)))
    if mode == "RGB":
        return saved(drawn(), kind, transparency=DARK)
    if mode == "L":
        flat = drawn("L")
        return saved(flat, kind, transparency=flat.getpixel((SIDE[0] - 1, 0)))
    return saved(image.convert(mode), kind, **({"lossless": True} if kind == "WEBP" else {}))


def animated(kind: str) -> bytes:
    """Return a file of three pictures."""
    first, *others = (Image.new("RGB", SIDE, colour) for colour in (LIGHT, DARK, "white"))
    return saved(first, kind, save_all=True, append_images=others)


def grey_of_16_bits(value: int) -> bytes:
    return saved(Image.new("I;16", SIDE, value), "PNG")


def exif(orientation: int = 1, **text: str) -> bytes:
    """Return EXIF with a GPS position."""
    block = Image.Exif()
    block[ORIENTATION] = orientation
    block.get_ifd(GPS).update({1: "S", 2: (6.0, 12.0, 30.0), 3: "E", 4: (106.0, 49.0, 0.0)})
    for name, value in text.items():
        block[{"description": 0x010E}[name]] = value
    return block.tobytes()


def odd_exif(kind: int, value: bytes) -> bytes:
    """Return EXIF with orientation 6 and a width of an unusual type, which viewers ignore and no encoder writes."""
    entries = struct.pack("<HHIHH", ORIENTATION, 3, 1, 6, 0) + struct.pack("<HHI", 0x0100, kind, 1) + value
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<I", 0)


def with_metadata(kind: str) -> bytes:
    """Return a file with all metadata that its format allows: position, colour profile and text."""
    profile = b"profile of colours".ljust(128, b"\0")
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta>Jakarta</x:xmpmeta>")
    text.add_text("Comment", "Jakarta")
    options: dict[str, dict[str, Any]] = {
        "JPEG": {"exif": exif(), "icc_profile": profile, "comment": b"Jakarta", "xmp": b"<x:xmpmeta>Jakarta"},
        "PNG": {"exif": exif(), "icc_profile": profile, "pnginfo": text},
        "WEBP": {"exif": exif(), "icc_profile": profile, "xmp": b"<x:xmpmeta>Jakarta"},
        "HEIF": {"exif": exif(), "xmp": b"<x:xmpmeta>Jakarta"},
        "GIF": {"comment": b"Jakarta"},
    }
    return encoded(kind, **options[kind])


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a PNG chunk with its length and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(
    width: int,
    height: int,
    rows: bytes = b"",
    depth: int = 8,
    colour: int = 2,
    extra: bytes = b"",
    interlacing: int = 0,
) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlacing))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def jpeg_with_a_segment_behind_its_scan() -> bytes:
    """Return a JPEG that lacks its end marker, and ends with a profile shorter than it states."""
    return encoded("JPEG")[:-2] + b"\xff\xe2\x40\x00ICC_PROFILE\0" + bytes(100)


def one_bit_png(side: int) -> bytes:
    """Return a black square: with a side of 7000, 49 million pixels in 6 KB."""
    return png(side, side, (b"\0" + bytes(side // 8)) * side, depth=1, colour=0)


def webp_of_one_colour(side: int) -> bytes:
    """Return a lossless square of one colour, whose pixels take no bits: 268 million pixels in 38 bytes."""
    bits: list[int] = []

    def put(value: int, count: int) -> None:
        bits.extend(value >> place & 1 for place in range(count))

    put(side - 1, 14)
    put(side - 1, 14)
    put(0, 7)  # no alpha, version 0, no transform, no colour cache, one set of codes
    for code in (0b0001, 0b0001, 0b0001, 0xFF << 3 | 0b101, 0b0001):  # green, red, blue, alpha, distance: one symbol
        put(code, 11 if code > 1 else 4)
    put(0, -len(bits) % 16 + 64)
    data = b"\x2f" + bytes(sum(bit << i for i, bit in enumerate(bits[at : at + 8])) for at in range(0, len(bits), 8))
    body = b"WEBPVP8L" + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def patched(content: bytes, at: int, new: bytes) -> bytes:
    at %= len(content)
    return content[:at] + new + content[at + len(new) :]


def flipped(content: bytes, at: int) -> bytes:
    return patched(content, at, bytes([content[at] ^ 0xFF]))


def huge_jpeg() -> bytes:
    """Return a small JPEG whose header states 65,535 pixels a side."""
    content = encoded("JPEG")
    return patched(content, content.index(b"\xff\xc0") + 5, b"\xff\xff\xff\xff")


def bmp_head(width: int, height: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 14 + len(head), 0, 0, 14 + len(head)) + head


def cut(kind: str, at: float) -> bytes:
    """Return the start of a valid file: `at` bytes, the share `at`, or all but -`at` bytes."""
    content = encoded(kind)
    return content[: int(at * len(content)) if isinstance(at, float) else at]


def psd() -> bytes:
    """Return a grey square in Photoshop's format: header, three empty sections, raw pixels."""
    return b"8BPS\0\x01" + bytes(6) + struct.pack(">HIIHH", 1, 40, 40, 8, 1) + bytes(14) + b"\x80" * 1600


def tiff_of_tiles(side: int) -> bytes:
    """Return a grey TIFF of side x side tiles of 16 x 16 pixels, all stored in the same 256 bytes."""
    count = side * side
    tags = [(256, 4, 1, 16 * side), (257, 4, 1, 16 * side), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(322, 3, 1, 16), (323, 3, 1, 16), (324, 3, count, 8 + 256), (325, 3, count, 8 + 256 + 2 * count)]
    pixels, offsets, sizes = b"\x80" * 256, struct.pack("<H", 8) * count, struct.pack("<H", 256) * count
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + 256 + 4 * count) + pixels + offsets + sizes + directory


def jpeg_of_scans(count: int) -> bytes:
    """Return a progressive JPEG of `count` scans, which repeats its second scan of 16 bytes."""
    content, head = encoded("JPEG", progressive=True), b"\xff\xda"
    begin = content.index(head, content.index(head) + 1)
    end = content.index(b"\xff\xc4", begin)
    return content[:end] + content[begin:end] * (count - content.count(head)) + content[end:]


def gif_of_comments(count: int, after: bool = False) -> bytes:
    """Return a GIF with empty comments before its picture, or after it."""
    content = encoded("GIF")
    at = len(content) - 1 if after else content.index(b",", 13)
    return content[:at] + b"!\xfe\0" * count + content[at:]


ODD_EXIF = [odd_exif(8, struct.pack("<hh", -5, 0)), odd_exif(11, struct.pack("<f", 0.5))]

# name, function that returns the bytes, HTTP status of the upload
ROWS: list[tuple[str, Callable[[], bytes], int]] = [
    # not pictures, or of unsupported formats
    ("empty", lambda: b"", 400),
    ("one_byte", lambda: b"\xff", 415),
    ("zeros", lambda: bytes(5000), 415),
    ("text", lambda: b"a plastic bottle\n" * 40, 415),
    ("html", lambda: b"<!doctype html><script>alert(1)</script>", 415),
    ("svg", lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"><script/></svg>', 415),
    ("pdf_header", lambda: b"%PDF-1.7\n1 0 obj <</Type /Catalog>> endobj", 415),
    ("postscript", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n(secret) run\n", 415),
    ("zip", lambda: b"PK\x03\x04" + bytes(60), 415),
    ("mp4", lambda: b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41" + bytes(60), 415),
    ("ico", lambda: encoded("ICO"), 415),
    ("ppm", lambda: encoded("PPM"), 415),
    ("psd", lambda: psd(), 415),
    ("eps", lambda: encoded("EPS"), 415),
    ("tga", lambda: encoded("TGA"), 415),
    # truncated in the header and after it
    ("jpeg_cut_after_2_bytes", lambda: cut("JPEG", 2), 415),
    ("jpeg_cut_in_the_header", lambda: cut("JPEG", 30), 400),
    ("jpeg_cut_in_the_middle", lambda: cut("JPEG", 0.9), 400),
    ("jpeg_without_its_end", lambda: cut("JPEG", -20), 400),
    ("png_cut_after_the_signature", lambda: cut("PNG", 8), 415),
    ("png_cut_in_the_header", lambda: cut("PNG", 20), 400),
    ("png_cut_in_the_middle", lambda: cut("PNG", 0.6), 400),
    ("png_without_its_end", lambda: cut("PNG", -12), 400),
    ("webp_cut_in_the_header", lambda: cut("WEBP", 20), 400),
    ("webp_cut_in_the_middle", lambda: cut("WEBP", 0.5), 400),
    ("webp_without_its_last_byte", lambda: cut("WEBP", -1), 400),
    ("gif_cut_in_the_header", lambda: cut("GIF", 10), 415),
    ("gif_cut_in_the_middle", lambda: cut("GIF", -20), 400),
    ("bmp_cut_in_the_header", lambda: cut("BMP", 30), 400),
    ("bmp_cut_in_the_middle", lambda: cut("BMP", 0.5), 400),
    ("bmp_without_its_last_byte", lambda: cut("BMP", -1), 400),
    ("heic_cut_in_the_header", lambda: cut("HEIF", 20), 415),
    ("heic_cut_in_the_middle", lambda: cut("HEIF", 0.8), 400),
    ("heic_without_its_last_byte", lambda: cut("HEIF", -1), 400),
    # damaged
    ("png_with_a_wrong_checksum_of_the_header", lambda: flipped(encoded("PNG"), 30), 415),
    ("png_with_a_wrong_checksum_of_the_pixels", lambda: flipped(encoded("PNG"), -14), 400),
    ("png_with_damaged_pixels", lambda: flipped(encoded("PNG"), encoded("PNG").index(b"IDAT") + 12), 400),
    ("png_without_pixels", lambda: png(40, 30), 400),
    ("webp_with_a_damaged_header", lambda: flipped(encoded("WEBP"), 24), 400),
    ("png_text_that_unpacks_to_64_mb", lambda: png(40, 30, extra=text_bomb()), 400),
    # too large, too small, or without a size
    ("png_100000_px_a_side", lambda: png(100_000, 100_000), 413),
    ("png_20000_px_a_side", lambda: png(20_000, 20_000), 413),
    ("png_of_6_kb_and_7000_px_a_side", lambda: one_bit_png(7000), 413),
    ("webp_of_38_bytes_and_16383_px_a_side", lambda: webp_of_one_colour(16_383), 413),
    ("jpeg_65535_px_a_side", huge_jpeg, 413),
    ("gif_65535_px_a_side", lambda: patched(encoded("GIF"), 6, b"\xff\xff\xff\xff"), 413),
    ("bmp_2_to_the_31_px_a_side", lambda: bmp_head(2**31 - 1, 2**31 - 1), 413),
    ("heic_over_the_pixel_limit", lambda: encoded("HEIF", size=(1008, 1000)), 413),
    ("jpeg_over_the_pixel_limit", lambda: encoded("JPEG", size=(1001, 1000)), 413),
    ("png_0x0", lambda: png(0, 0), 415),
    ("png_0_px_wide", lambda: png(0, 30), 415),
    ("bmp_0x0", lambda: bmp_head(0, 0), 415),
    ("png_1x1", lambda: encoded("PNG", size=(1, 1)), 400),
    ("jpeg_1_px_high", lambda: encoded("JPEG", size=(400, 1)), 400),
    ("png_15_px_high", lambda: encoded("PNG", size=(40, 15)), 400),
    ("jpeg_of_101_scans", lambda: jpeg_of_scans(101), 400),
    ("gif_of_1001_comments", lambda: gif_of_comments(1001), 400),
    ("gif_of_1001_comments_after_its_picture", lambda: gif_of_comments(1001, after=True), 400),
    ("tiff_of_50176_tiles", lambda: tiff_of_tiles(224), 400),
    # more than one picture
    ("gif_animated", lambda: animated("GIF"), 400),
    ("webp_animated", lambda: animated("WEBP"), 400),
    ("png_animated", lambda: animated("PNG"), 400),
    ("avif_animated", lambda: animated("AVIF"), 400),
    ("tiff_of_3_pages", lambda: animated("TIFF"), 400),
    # unusual, but valid
    ("png_16x16", lambda: encoded("PNG", size=(16, 16)), ACCEPTED),
    ("jpeg_at_the_pixel_limit", lambda: encoded("JPEG", size=(1000, 1000)), ACCEPTED),
    ("png_20000_px_wide", lambda: encoded("PNG", size=(20_000, 16)), ACCEPTED),
    ("jpeg", lambda: encoded("JPEG"), ACCEPTED),
    ("jpeg_without_its_end_marker", lambda: cut("JPEG", -2), ACCEPTED),
    ("jpeg_progressive", lambda: encoded("JPEG", progressive=True), ACCEPTED),
    ("jpeg_of_100_scans", lambda: jpeg_of_scans(100), ACCEPTED),
    ("jpeg_with_a_video_after_it", lambda: encoded("JPEG") + b"\xff\xda\x01" * 1000, ACCEPTED),
    ("jpeg_grey", lambda: encoded("JPEG", "L"), ACCEPTED),
    ("jpeg_cmyk", lambda: encoded("JPEG", "CMYK"), ACCEPTED),
    ("jpeg_of_a_phone_with_two_pictures", lambda: animated("MPO"), ACCEPTED),
    ("jpeg_with_garbage_after_it", lambda: encoded("JPEG") + bytes(range(256)) * 8, ACCEPTED),
    ("jpeg_with_60_kb_of_exif", lambda: encoded("JPEG", exif=exif(description="x" * 60_000)), ACCEPTED),
    ("jpeg_with_a_negative_number_in_its_exif", lambda: encoded("JPEG", exif=ODD_EXIF[0]), ACCEPTED),
    ("jpeg_with_a_fraction_in_its_exif", lambda: encoded("JPEG", exif=ODD_EXIF[1]), ACCEPTED),
    ("jpeg_with_broken_exif", lambda: encoded("JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08" + b"\xff" * 200), ACCEPTED),
    ("jpeg_and_zip", lambda: encoded("JPEG") + b"PK\x03\x04" + SCRIPT, ACCEPTED),
    ("png", lambda: encoded("PNG"), ACCEPTED),
    ("png_16_bit", lambda: grey_of_16_bits(0x8000), ACCEPTED),
    ("png_16_bit_colour", lambda: png(16, 16, (b"\0" + b"\x80\x00" * 48) * 16, depth=16), ACCEPTED),
    ("png_1_bit", lambda: encoded("PNG", "1"), ACCEPTED),
    ("png_grey", lambda: encoded("PNG", "L"), ACCEPTED),
    ("png_palette", lambda: encoded("PNG", "P"), ACCEPTED),
    ("png_palette_transparent", lambda: half_transparent("P", "PNG"), ACCEPTED),
    ("png_grey_transparent", lambda: half_transparent("LA", "PNG"), ACCEPTED),
    ("png_transparent", lambda: half_transparent("RGBA", "PNG"), ACCEPTED),
    ("png_with_5_mb_of_exif", lambda: encoded("PNG", exif=exif(description="x" * 5_000_000)), ACCEPTED),
    ("png_with_broken_exif", lambda: encoded("PNG", exif=b"Exif\0\0" + b"junk" * 9), ACCEPTED),
    ("webp", lambda: encoded("WEBP"), ACCEPTED),
    ("webp_with_broken_exif", lambda: encoded("WEBP", exif=b"Exif\0\0" + b"junk" * 9), ACCEPTED),
    ("webp_lossless", lambda: webp_of_one_colour(32), ACCEPTED),
    ("webp_transparent", lambda: half_transparent("RGBA", "WEBP"), ACCEPTED),
    ("gif_of_one_frame", lambda: encoded("GIF"), ACCEPTED),
    ("gif_of_1000_comments", lambda: gif_of_comments(1000), ACCEPTED),
    ("gif_transparent", lambda: half_transparent("P", "GIF"), ACCEPTED),
    ("gif_and_script", lambda: encoded("GIF", comment=b"/*") + SCRIPT, ACCEPTED),
    ("bmp", lambda: encoded("BMP"), ACCEPTED),
    ("bmp_palette", lambda: encoded("BMP", "P"), ACCEPTED),
    ("heic", lambda: encoded("HEIF"), ACCEPTED),
    ("heic_burst", lambda: animated("HEIF"), ACCEPTED),
    ("avif", lambda: encoded("AVIF"), ACCEPTED),
    ("jpeg_2000", lambda: encoded("JPEG2000"), ACCEPTED),
    ("tiff", lambda: encoded("TIFF"), ACCEPTED),
    ("tiff_of_tiles", lambda: tiff_of_tiles(4), ACCEPTED),
    ("tiff_16_bit", lambda: saved(Image.new("I;16", SIDE, 0x8000), "TIFF"), ACCEPTED),
    ("heic_transparent", lambda: half_transparent("RGBA", "HEIF"), ACCEPTED),
]


def text_bomb() -> bytes:
    return chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(64 * 1024 * 1024)))
