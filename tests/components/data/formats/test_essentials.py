import io
import struct
import zlib

import hostile_photos
import pytest
import upload_files
from PIL import Image, TiffImagePlugin

from components.data import images
from components.data.formats import essentials, exif, parts

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, about damaged metadata
OVERLAPPING = hostile_photos.overlapping_exif(entries=400, block_bytes=4000)
TOO_MANY_PARTS = {  # kind -> bytes with too many parts
    "GIF whose comment has blocks of one byte": lambda: hostile_photos.gif_of_one_byte_blocks(2000),
    "GIF with bytes between its blocks": lambda: upload_files.encoded("GIF")[:-1] + b"\1" * 1100 + b";",
    "JPEG of empty segments": lambda: hostile_photos.jpeg_with(hostile_photos.segment(0xE5, b"") * 1100),
    "JPEG of comments behind its scan": lambda: (
        upload_files.encoded("JPEG")[:-2] + hostile_photos.segment(0xFE, b"") * 1100 + b"\xff\xd9"
    ),
    "JPEG of tables": lambda: hostile_photos.jpeg_with(hostile_photos.segment(0xDB, bytes(65_000)) * 5),
    "progressive JPEG of many pixels and scans": lambda: hostile_photos.progressive_of_scans(3400, 90),
    "PNG of empty chunks": lambda: hostile_photos.png_of_chunks(b"abCd", b"", 1100),
    "PNG of text chunks": lambda: hostile_photos.png_of_chunks(b"tEXt", b"k\0v", 1100),
    "WebP of empty chunks": lambda: hostile_photos.webp_with(b"abcd\0\0\0\0" * 1100 + b"abcd", b""),
    "TIFF of tags": lambda: hostile_photos.tiff_of_overlapping_tags(1100, 10),
    "TIFF of tags that decoding needs and that overlap": lambda: hostile_photos.tiff_of_overlapping_tags(
        8, 400_000, tag=512
    ),
    "TIFF whose strips are all the whole file": lambda: hostile_photos.tiff_of_long_strips(300, 20_000),
    "BMP of run lengths": lambda: hostile_photos.bmp_of_runs(1100),
    "JPEG 2000 of boxes": lambda: hostile_photos.jpeg2000_of_boxes(1100),
    "HEIC of boxes": lambda: upload_files.encoded("HEIF") + b"\0\0\0\x08free" * 1100,
}
EXIF = {  # kind -> a rotated photo with EXIF whose entries overlap
    "JPEG": lambda: hostile_photos.jpeg_with(hostile_photos.segment(0xE1, OVERLAPPING)),
    "JPEG with two segments": lambda: hostile_photos.jpeg_with(hostile_photos.segment(0xE1, OVERLAPPING) * 2),
    "PNG": lambda: hostile_photos.png_with(upload_files.chunk(b"eXIf", OVERLAPPING.removeprefix(exif.PREFIX))),
    "WebP": lambda: hostile_photos.webp_with(b"EXIF", OVERLAPPING),
}
OWN_ORIENTATION = {  # kind -> the same in formats with an orientation outside of EXIF
    "HEIC": lambda: hostile_photos.heif_with_exif(OVERLAPPING, "HEIF"),
    "AVIF": lambda: hostile_photos.heif_with_exif(OVERLAPPING, "AVIF"),
}


@pytest.mark.parametrize("kind", TOO_MANY_PARTS)
def test_file_with_too_many_parts_is_refused_before_pillow_opens_it(kind, monkeypatch):
    opened = []
    monkeypatch.setattr(images.Image, "open", lambda *arguments, **options: opened.append(arguments))
    with pytest.raises(images.UnusablePhotoError) as caught:
        images.web_jpeg(TOO_MANY_PARTS[kind]())
    assert caught.value.reason == "too many parts" and caught.value.values["count"] > caught.value.values["limit"]
    assert not opened


@pytest.mark.parametrize("kind", [*EXIF, *OWN_ORIENTATION])
def test_only_orientation_is_read_from_overlapping_exif_entries(kind, monkeypatch):
    photo = {**EXIF, **OWN_ORIENTATION}[kind]()
    copied, load = [], TiffImagePlugin.ImageFileDirectory_v2.load
    monkeypatch.setattr(
        TiffImagePlugin.ImageFileDirectory_v2,
        "load",
        lambda directory, file: (load(directory, file), copied.extend(map(len, directory._tagdata.values()))),
    )
    for size in (images.plain_bytes(photo)[1], images.upright(photo).size):
        assert size == (upload_files.SIDE[::-1] if kind in EXIF else upload_files.SIDE)
    assert sum(copied) < 1000


def test_tiff_keeps_only_the_tags_that_decoding_needs():
    photo = hostile_photos.tiff_of_overlapping_tags(400, 4000)
    kept = TiffImagePlugin.TiffImageFile(io.BytesIO(essentials.of(photo).file)).tag_v2
    assert {*kept} <= {256, 257, 258, 259, 262, 273, 277, 278, 279, 284}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "HEIF"])
def test_photo_keeps_its_pixels_without_its_metadata(kind):
    photo = upload_files.encoded(kind) if kind == "TIFF" else upload_files.with_metadata(kind)
    stripped = Image.open(io.BytesIO(essentials.of(photo).file))
    assert stripped.tobytes() == Image.open(io.BytesIO(photo)).tobytes()
    assert not {"exif", "xmp", "comment"} & {name for name, value in stripped.info.items() if value}


@pytest.mark.parametrize("cut", range(0, 60, 3))
def test_truncated_exif_has_an_orientation(cut):
    assert exif.orientation(upload_files.exif(6)[:cut]) in (1, 6)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [((3, 1, 6), 6), ((4, 1, 8), 8), ((3, 1, 9), 1), ((3, 1, 0), 1), ((3, 2, 6), 1), ((2, 1, 6), 1)],
    ids=["short", "long", "nine", "zero", "two values", "text"],
)
def test_invalid_orientation_is_upright(entry, expected):
    block = b"II*\0" + struct.pack("<IH", 8, 1) + hostile_photos.EXIF_TAG.pack(0x0112, *entry) + bytes(4)
    assert exif.orientation(block) == exif.orientation(exif.PREFIX + block) == expected


def test_limit_of_parts_grows_with_file_size():
    assert parts.max_parts(bytes(100)) == 1000
    assert parts.max_parts(bytes(15 * 2**20)) == 16_360


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "GIF", "BMP", "TIFF", "JPEG2000"])
def test_photo_is_recognized_by_its_first_bytes(kind):
    assert essentials.is_photo(upload_files.encoded(kind)[: essentials.SIGNATURE_BYTES])


@pytest.mark.parametrize(
    "start",
    [b"", b"BMW and other cars", b"MM and other sweets", b"II. Contents\0\0\0\0", b"\0\0\0\x18ftypmp42\0\0\0\0"],
)
def test_text_and_videos_are_not_photos(start):
    assert not essentials.is_photo(start)


@pytest.mark.parametrize("packed", [False, True], ids=["text", "packed text"])
@pytest.mark.parametrize("key", ["exif", "APP1"])
def test_orientation_in_png_text_is_read(key, packed):
    block = upload_files.exif(6)
    text = b"\nexif\n%8d\n" % len(block) + block.hex().encode() + b"\n"  # as ImageMagick writes it
    name = f"Raw profile type {key}\0".encode()
    written = upload_files.chunk(b"zTXt", name + b"\0" + zlib.compress(text)) if packed else None
    photo = hostile_photos.png_with(written or upload_files.chunk(b"tEXt", name + text))
    assert essentials.of(photo).orientation == 6


def test_png_text_without_exif_is_upright():
    photo = hostile_photos.png_with(upload_files.chunk(b"zTXt", b"Raw profile type exif\0\0not packed"))
    assert essentials.of(photo).orientation == 1
