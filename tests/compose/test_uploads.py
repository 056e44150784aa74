"""Uploads by the page and the API, up to the largest photos, and where they are stored."""

import io
import json
from concurrent import futures

import compose_clients
import pytest
from PIL import Image

from web import settings

MAX_PIXELS, MAX_BYTES = settings.Settings.max_pixels, settings.Settings.max_upload_bytes


def test_upload_by_the_page_is_in_its_history_and_the_database(project):
    browser, other = compose_clients.Browser(), compose_clients.Browser()
    row_id = browser.upload(compose_clients.photo())
    assert row_id in browser.get("/history").text and row_id not in other.get("/history").text
    assert browser.get(f"/result/{row_id}").status_code == 200
    picture = browser.get(f"/picture/{row_id}")
    assert Image.open(io.BytesIO(picture.content)).format == "JPEG"
    (row,) = project.query(f"SELECT state, model_version, is_sample FROM upload WHERE id = '{row_id}'")
    assert row == "done|1|f"


def test_upload_by_the_api_is_stored_until_it_is_deleted(project):
    result = compose_clients.classify(compose_clients.photo()).json()
    (row,) = project.query(f"SELECT visitor, class_name, scores FROM upload WHERE id = '{result['id']}'")
    visitor, class_name, scores = row.split("|")
    assert (visitor, class_name, json.loads(scores)) == ("api", result["class_name"], result["scores"])
    deletion = compose_clients.delete(result["id"], result["token"])
    assert deletion.status_code == 204
    assert project.query(f"SELECT count(*) FROM upload WHERE id = '{result['id']}'") == ["0"]


def widest(kind, **options):
    """Return a photo with the largest number of pixels."""
    stream = io.BytesIO()
    noise = Image.effect_noise((2000, 1300), 60).resize((8000, MAX_PIXELS // 8000))
    noise.convert("RGB").save(stream, kind, **options)
    return stream.getvalue()


def longest():
    """Return a photo with the largest number of bytes, most of them after its end."""
    content = compose_clients.photo()
    return content + bytes(MAX_BYTES - len(content))


# How many are sent at once. The page gives each photo 20 s, and all of them together one core.
LARGEST = {
    "jpeg": (lambda: widest("JPEG", quality=85), 6),
    "progressive_jpeg": (lambda: widest("JPEG", quality=85, progressive=True), 1),
    "bytes": (longest, 6),
}


@pytest.mark.parametrize("kind", LARGEST)
def test_largest_photos_are_answered_within_the_memory_limit(project, kind, say):
    make, count = LARGEST[kind]
    photo = make()
    assert len(photo) <= MAX_BYTES
    with futures.ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(lambda _: compose_clients.classify(photo, timeout=120), range(count)))
    assert {answer.status_code for answer in answers} <= {200, 202}, [answer.text for answer in answers]
    say(f"{count} photos, {len(photo):,} bytes each: the page has used {project.peak_mb('web')} MB at most")
    assert not project.restarts()


def test_photo_above_a_limit_is_refused(project):
    assert compose_clients.classify(longest() + b"\0").status_code == 413
    stream = io.BytesIO()
    Image.new("1", (8000, MAX_PIXELS // 8000 + 1)).save(stream, "PNG")
    assert compose_clients.classify(stream.getvalue()).status_code == 413
    assert compose_clients.classify(widest("WEBP", quality=50, method=0)).status_code == 413  # it has a lower limit
