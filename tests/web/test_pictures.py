import io
import subprocess
import sys
from typing import Any

import hypothesis
import pytest
import upload_files
import web_app
from hypothesis import strategies as st
from PIL import GifImagePlugin, Image, JpegImagePlugin
from upload_files import ACCEPTED, DARK, LIGHT, MAX_PIXELS, ROWS, encoded

from components.data import images
from web import pictures

pytestmark = pytest.mark.databases("sqlite")  # no test depends on the database
CORNERS = {"red": (0, 0), "lime": (1, 0), "blue": (0, 1), "white": (1, 1)}  # colour -> column and row, upright
TURNS = {  # EXIF orientation -> how the stored pixels are turned
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
MUTABLE = {kind: encoded(kind, size=(32, 24)) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "HEIF")}
HEADS = [content[:12] for content in MUTABLE.values()]
few = hypothesis.settings(max_examples=100, deadline=None)
bad_exif_warns = pytest.mark.filterwarnings("ignore::UserWarning")


def plain(content, max_pixels=MAX_PIXELS):
    """Return the stored picture, after checks that apply to every picture."""
    stored = pictures.plain(content, max_pixels)
    image = Image.open(io.BytesIO(stored))
    assert isinstance(image, JpegImagePlugin.JpegImageFile)
    assert (image.format, image.mode) == ("JPEG", "RGB")
    assert max(image.size) <= images.WEB_SIDE_PX
    assert [name for name, _ in image.applist] == ["APP0"]  # no EXIF, profile, XMP or comment
    image.load()
    return image


def near(pixel, colour, tolerance=30):
    return all(abs(actual - expected) <= tolerance for actual, expected in zip(pixel, colour, strict=True))


@bad_exif_warns
@pytest.mark.parametrize(("make", "expected"), [pytest.param(*row[1:], id=row[0]) for row in ROWS])
def test_upload_has_the_status_in_the_table(make, expected):
    content = make()
    if expected == ACCEPTED:
        plain(content)
    else:
        with pytest.raises(pictures.BadPictureError) as refusal:
            pictures.plain(content, MAX_PIXELS)
        assert refusal.value.status == expected


@bad_exif_warns
def test_table_has_the_same_statuses_over_http_and_stores_only_accepted_photos(make_app):
    app = make_app(max_pixels=MAX_PIXELS, serving_timeout_seconds=10.0)
    answers = {name: web_app.classify(app, make(), "photo.jpg") for name, make, _ in ROWS}
    assert {name: answer.status_code for name, answer in answers.items()} == {name: status for name, _, status in ROWS}
    accepted = {answer.json["id"] for answer in answers.values() if answer.status_code == ACCEPTED}
    assert {row.id for row in web_app.rows(app)} == accepted
    assert {name.split(".")[0] for name in web_app.files(app)} == accepted
    assert all(answer.json["detail"] for answer in answers.values() if answer.status_code != ACCEPTED)


@pytest.mark.parametrize("name", ["photo", "photo.txt", "photo.svg", "photo.png", ".heic", "фото.jpg"])
def test_format_is_detected_from_the_content(app, name):
    answers = [web_app.classify(app, content, name, headers={"Accept": "text/html"}) for content in MUTABLE.values()]
    assert [answer.status_code for answer in answers] == [ACCEPTED] * len(MUTABLE)


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_rotated_photo_is_stored_upright(kind, orientation):
    upright = Image.new("RGB", (64, 48))
    for colour, (column, row) in CORNERS.items():
        upright.paste(colour, (column * 32, row * 24, column * 32 + 32, row * 24 + 24))
    stored = upright if TURNS[orientation] is None else upright.transpose(TURNS[orientation])
    image = plain(upload_files.saved(stored, kind, exif=upload_files.exif(orientation)))
    assert image.size == upright.size
    for column, row in CORNERS.values():
        at = (column * 32 + 16, row * 24 + 12)
        assert near(image.getpixel(at), upright.getpixel(at), 40)


@pytest.mark.parametrize("exif", upload_files.ODD_EXIF, ids=["negative number", "fraction"])
def test_photo_with_unusual_exif_is_stored_upright(exif):
    image = plain(encoded("JPEG", exif=exif))
    assert image.size == (30, 40)
    assert near(image.getpixel((15, 5)), LIGHT) and near(image.getpixel((15, 35)), DARK)


def test_large_rotated_photo_is_stored_upright_and_smaller():
    content = upload_files.encoded("JPEG", size=(3000, 2000), exif=upload_files.exif(6))
    image = plain(content, max_pixels=6_000_000)
    assert image.size == (683, 1024)
    assert near(image.getpixel((300, 100)), LIGHT) and near(image.getpixel((300, 900)), DARK)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "GIF"])
def test_metadata_is_removed(kind):
    content = upload_files.with_metadata(kind)
    assert b"Jakarta" in content or b"profile of colours" in content  # the input has metadata
    stored = pictures.plain(content, MAX_PIXELS)
    plain(content)
    assert b"Jakarta" not in stored and b"profile" not in stored
    assert not Image.open(io.BytesIO(stored)).getexif()


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("RGBA", "PNG"), ("LA", "PNG"), ("P", "PNG"), ("RGB", "PNG"), ("L", "PNG"), ("P", "GIF"), ("RGBA", "WEBP")]
    + [("RGBA", "HEIF")],
)
def test_transparency_becomes_white(mode, kind):
    image = plain(upload_files.half_transparent(mode, kind))
    opaque = Image.new("RGB", (1, 1), LIGHT).convert("L" if "L" in mode else "RGB").convert("RGB").getpixel((0, 0))
    assert near(image.getpixel((35, 15)), (255, 255, 255), 12)
    assert near(image.getpixel((5, 15)), opaque)


@pytest.mark.parametrize(
    ("make", "colour"),
    [
        (lambda: encoded("JPEG", "CMYK"), LIGHT),
        (lambda: encoded("PNG", "P"), LIGHT),
        (lambda: encoded("BMP", "P"), LIGHT),
        (lambda: encoded("HEIF"), LIGHT),
        (lambda: upload_files.grey_of_16_bits(0x8000), (128, 128, 128)),
        (lambda: upload_files.saved(Image.new("1", (20, 20), 1), "PNG"), (255, 255, 255)),
        (lambda: upload_files.animated("MPO"), LIGHT),
        (lambda: upload_files.animated("HEIF"), LIGHT),
    ],
)
def test_colours_are_preserved(make, colour):
    assert near(plain(make()).getpixel((5, 5)), colour)


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "PNG"])
def test_polyglot_file_keeps_only_the_image(kind):
    options: dict[str, Any] = {"comment": b"/*"} if kind == "GIF" else {}
    content = encoded(kind, **options) + b"PK\x03\x04" + upload_files.SCRIPT
    stored = pictures.plain(content, MAX_PIXELS)
    assert b"PK" not in stored and b"alert" not in stored and b"GIF" not in stored


def test_decompression_bomb_is_refused_without_allocating_memory():
    code = """if True:
        import resource
        import upload_files
        from web import pictures
        bombs = [upload_files.webp_of_one_colour(16_383), upload_files.huge_jpeg(), upload_files.one_bit_png(8000)]
        bombs += [upload_files.png(100_000, 100_000), upload_files.bmp_head(2**31 - 1, 2**31 - 1)]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for bomb in bombs:
            try:
                pictures.plain(bomb, 50_000_000)
            except pictures.BadPictureError as error:
                print(error.status, end=" ")
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024 < 50)
    """
    environment = {"PYTHONPATH": f"{web_app.ROOT}:{web_app.ROOT / 'tests' / 'helpers'}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "413 413 413 413 413 True"


def test_animated_gif_is_refused_at_its_second_frame(monkeypatch):
    frames, seek = [], GifImagePlugin.GifImageFile._seek
    monkeypatch.setattr(
        GifImagePlugin.GifImageFile,
        "_seek",
        lambda image, frame, *more: (frames.append(frame), seek(image, frame, *more)),
    )
    with pytest.raises(pictures.BadPictureError, match="animated"):
        pictures.plain(upload_files.animated("GIF"), MAX_PIXELS)
    assert 1 in frames and 2 not in frames


@pytest.mark.parametrize("size", [(16, 16), (1024, 1), (1024, 768), (500, 1000)])
def test_thumbnail_is_a_smaller_copy_of_the_picture(size):
    picture = encoded("JPEG", size=size)
    small = Image.open(io.BytesIO(pictures.thumbnail(picture)))
    assert small.format == "JPEG" and max(small.size) <= pictures.THUMBNAIL_SIDE_PX
    assert near(small.convert("RGB").getpixel((0, 0)), LIGHT, 40)


def accepted_or_refused(content):
    try:
        plain(content)
    except pictures.BadPictureError as error:
        assert error.status in (400, 413, 415)


@bad_exif_warns
@few
@hypothesis.given(st.one_of(st.binary(max_size=400), st.tuples(st.sampled_from(HEADS), st.binary()).map(b"".join)))
def test_any_bytes_are_accepted_or_refused(content):
    accepted_or_refused(content)


@bad_exif_warns
@few
@hypothesis.given(
    content=st.sampled_from(sorted(MUTABLE.values())),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=4)), max_size=4),
    inserted=st.tuples(st.integers(0, 2000), st.binary(max_size=20)),
    end=st.integers(0, 3000),
)
def test_any_change_of_a_valid_file_is_accepted_or_refused(content, changes, inserted, end):
    for at, new in changes:
        content = upload_files.patched(content, at, new)
    at, new = inserted
    accepted_or_refused((content[:at] + new + content[at:])[:end])
