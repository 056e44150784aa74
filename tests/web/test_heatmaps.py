"""The heat map of a photo: its picture, what its page says, and who gets it."""

import io
import re

import grpc
import pytest
import sqlalchemy as sa
import web_app
from PIL import Image
from web_app import Browser, Refusal

from web import heatmaps, limits
from web.database import Upload, db

pytestmark = pytest.mark.databases("sqlite")  # no test depends on the database
HEATMAP = [[0.0] * 7 for _ in range(7)]
HEATMAP[0][6] = 1.0  # the top right corner
MISSING = "There is no heat map for this photo"
UNAVAILABLE = "The heat map is not available right now."


@pytest.fixture
def browser(app, model):
    model.in_set, model.typicality, model.heatmap = [True, False, False], 0.5, HEATMAP
    heatmaps._of_version.cache_clear()
    return Browser(app)


def test_heat_map_is_yellow_where_the_model_looked_and_dark_blue_elsewhere():
    image = Image.open(io.BytesIO(heatmaps.png(HEATMAP)))
    assert (image.format, image.size) == ("PNG", (256, 256))
    pixels = image.convert("RGBA")
    assert pixels.getpixel((255, 0)) == (254, 232, 56, 166)
    assert pixels.getpixel((0, 0)) == pixels.getpixel((128, 255)) == (0, 34, 78, 166)


@pytest.mark.parametrize("heatmap", [[[0.5]], [[0.0, 1.0]] * 10, [[1.0] * 7] * 8])
def test_heat_map_of_any_size_is_a_small_square(heatmap):
    content = heatmaps.png(heatmap)
    assert Image.open(io.BytesIO(content)).size == (256, 256) and len(content) < 20_000


def test_heat_map_is_shown_over_the_photo_on_request(browser, model):
    row_id = browser.uploaded()
    page = browser.get(f"/result/{row_id}").text
    assert f'href="/result/{row_id}?heatmap=1#photo"' in page and f"/heatmap/{row_id}" not in page
    page = browser.get(f"/result/{row_id}?heatmap=1").text
    assert f'src="/heatmap/{row_id}" alt="Heat map: where the model looked"' in page
    assert "does not say whether the answer is right" in page and f'href="/result/{row_id}">Hide the heat map' in page
    answer = browser.get(f"/heatmap/{row_id}")
    assert (answer.status_code, answer.mimetype) == (200, "image/png") and answer.data == heatmaps.png(HEATMAP)
    assert answer.headers["Cache-Control"] == "private, no-cache"
    etag = {"If-None-Match": answer.headers["ETag"]}
    assert browser.get(f"/heatmap/{row_id}", headers=etag).status_code == 304


def test_heat_map_is_asked_once_of_the_version_that_answered(browser, model):
    row_id = browser.uploaded()
    model.photos.clear()
    browser.get(f"/result/{row_id}?heatmap=1")
    browser.get(f"/heatmap/{row_id}")
    assert model.photos == [browser.get(f"/picture/{row_id}").data]
    assert model.explained_versions == [web_app.VERSION]


def test_model_without_heat_maps_is_named_on_the_page(browser, model):
    row_id = browser.uploaded()
    model.heatmap = None
    page = browser.get(f"/result/{row_id}?heatmap=1")
    assert page.status_code == 200 and MISSING in page.text and "What did the model look at?" not in page.text
    assert browser.get(f"/heatmap/{row_id}").status_code == 404


@pytest.mark.parametrize(
    ("code", "status", "sentence"),
    [
        (grpc.StatusCode.NOT_FOUND, 404, MISSING),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 503, UNAVAILABLE),
        (grpc.StatusCode.INTERNAL, 503, UNAVAILABLE),
    ],
)
def test_failed_heat_map_is_named_on_the_page(browser, model, code, status, sentence):
    row_id = browser.uploaded()

    def refuse(picture):
        raise Refusal(code)

    model.before_answer = refuse
    page, answer = browser.get(f"/result/{row_id}?heatmap=1"), browser.get(f"/heatmap/{row_id}")
    assert page.status_code == 200 and sentence in page.text and answer.status_code == status
    model.before_answer = lambda picture: None
    assert browser.get(f"/heatmap/{row_id}").status_code == 200  # a failure is not cached


def test_stopped_model_server_is_a_503_with_a_plain_message(make_app, model):
    browser = Browser(make_app())
    model.in_set, model.heatmap = [True, False, False], HEATMAP
    row_id = browser.uploaded()
    model.stop()
    answer = browser.get(f"/heatmap/{row_id}", headers={"Accept-Language": "id"})
    assert (answer.status_code, answer.mimetype) == (503, "text/plain")
    assert answer.text.startswith("Peta panas sedang tidak tersedia.") and "Retry-After" in answer.headers
    page = browser.get(f"/result/{row_id}?heatmap=1")
    assert UNAVAILABLE in page.text and "What did the model look at?" in page.text


def test_heat_map_of_another_visitor_is_404(app, browser):
    row_id = browser.uploaded()
    assert browser.get(f"/heatmap/{row_id}").status_code == 200
    for path in (f"/heatmap/{row_id}", "/heatmap/nothing", "/heatmap/%00"):
        assert Browser(app).get(path).status_code == 404
    operator = Browser(app)
    operator.post("/operator", {"token": web_app.SETTINGS["admin_token"]})
    assert operator.get(f"/heatmap/{row_id}").status_code == 200


def test_heat_map_of_a_deleted_photo_is_404(browser):
    row_id = browser.uploaded()
    browser.get(f"/heatmap/{row_id}")
    browser.post(f"/result/{row_id}/deletion")
    assert browser.get(f"/heatmap/{row_id}").status_code == 404


@pytest.mark.parametrize("columns", [{"class_name": None, "score": None}, {"model_version": None}])
def test_row_without_an_answer_or_version_has_no_heat_map(app, browser, columns):
    row_id = browser.uploaded()
    with app.app_context():
        db.session.execute(sa.update(Upload).values(columns))
        db.session.commit()
    assert browser.get(f"/heatmap/{row_id}").status_code == 404
    assert browser.get(f"/result/{row_id}?heatmap=1").status_code == 200


def test_answer_of_a_model_without_sets_offers_no_heat_map(browser, model):
    model.in_set = None
    assert "What did the model look at?" not in browser.get(f"/result/{browser.uploaded()}").text


def test_too_many_heat_maps_are_refused_and_the_page_without_one_is_not(browser):
    row_id = browser.uploaded()
    limits.limiter.reset()
    limit = int(re.match(r"\d+", limits.HEATMAP_RATE)[0])
    statuses = [browser.get(f"/heatmap/{row_id}").status_code for _ in range(limit + 1)]
    assert statuses == [200] * limit + [429]
    page = browser.get(f"/result/{row_id}?heatmap=1")
    assert page.status_code == 429 and "Too many heat maps. Try again in" in page.text
    assert browser.get(f"/result/{row_id}").status_code == browser.get(f"/picture/{row_id}").status_code == 200
