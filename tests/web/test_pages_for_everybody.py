"""The pages without JavaScript, in dark mode, and under axe-core's accessibility checks."""

from typing import Any

import pytest
import sqlalchemy as sa
import web_app
import website

from web.database import Upload, db

pytest.importorskip("playwright", reason="no Playwright here: make test installs it")
from playwright.sync_api import expect

pytest_plugins = ["website_fixtures"]
PAGES = (
    "home classify refusal result unsure untypical heatmap corrected waiting refused history filtered operator review "
    "about privacy api nothing"
).split()
UNSURE = {"certainty": "unsure", "prediction_set": ["glass", "plastic", "metal", "trash"], "typicality": 0.5}
UNTYPICAL = {"certainty": "untypical", "prediction_set": ["glass"], "typicality": 0.001}
HEATMAP = [[row * column / 36 for column in range(7)] for row in range(7)]
LANDMARK_RULES = ("landmark-main-is-top-level", "landmark-no-duplicate-main", "landmark-unique")


def path_to(site, name):
    """Return the address of one of `PAGES`, after adding the rows that it shows."""
    if name in ("result", "unsure", "untypical", "heatmap", "corrected", "waiting", "refused"):
        nothing = {"class_name": None, "score": None, "scores": None, "model_version": None}
        columns: dict[str, dict[str, Any]] = {
            "result": {},
            "unsure": UNSURE,
            "untypical": UNTYPICAL,
            "heatmap": UNSURE,
            "corrected": {"corrected_class": "plastic"},
            "waiting": {"state": "waiting", **nothing},
            "refused": {"state": "refused", **nothing},
        }
        query = "?heatmap=1#photo" if name == "heatmap" else ""
        return f"/result/{site.add_rows(1, **columns[name])[0]}{query}"
    if name == "review":
        site.add_rows(2, **UNSURE)
        site.add_rows(1, **UNTYPICAL)
        return "/operator/review"
    if name == "history":
        site.add_rows(21, corrected_class="cardboard")
        site.add_rows(1, state="waiting", class_name=None, score=None, scores=None)
    paths = {"home": "/", "refusal": "/classify", "filtered": "/history?class=metal", "api": "/api/docs"}
    return paths.get(name, f"/{name}")


@pytest.fixture
def visit(site, open_page, model):
    """Return visit(name, **options), which opens one of `PAGES` and its delete dialog."""
    model.heatmap = HEATMAP

    def open_named(name, **options):
        page = open_page("/operator" if name == "review" else path_to(site, name), visitor=True, **options)
        if name == "review":
            page.fill("#token", web_app.SETTINGS["admin_token"])
            page.locator(".sign-in .btn").click()
            page.goto(path_to(site, name))
            expect(page.locator(".review li")).not_to_have_count(0)
        if name == "refusal":
            page.set_input_files("#image", {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"})
            expect(page.get_by_role("alert")).not_to_be_empty()
        if name == "api":
            expect(page.locator(".opblock")).to_have_count(3, timeout=website.TIMEOUT_MS)
        if page.locator("summary").count():
            page.locator("summary").first.click()
        return page

    return open_named


def test_photo_is_sent_corrected_and_deleted_without_javascript(site, open_page):
    page = open_page("/", java_script_enabled=False)
    expect(page.get_by_role("button", name="Take a photo")).to_have_count(0)
    expect(page.get_by_role("button", name="Choose another photo")).to_have_count(0)
    page.set_input_files("#image", website.chosen())
    page.get_by_role("button", name="What is it?").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Probably glass")
    expect(page.locator("progress")).to_have_count(3)
    expect(page.locator("time")).to_contain_text("UTC")
    expect(page.get_by_role("button", name="Copy")).to_have_count(0)
    page.locator(".feedback summary").click()
    page.get_by_role("button", name="metal").click()
    expect(page.locator(".corrected")).to_contain_text("You said: metal")
    page.get_by_role("link", name="History").click()
    expect(page.locator("tbody .correction")).to_have_text("metal")
    page.locator("tbody .image a").click()
    page.locator(".deletion summary").click()
    page.get_by_role("button", name="Yes, delete this photo").click()
    expect(page.locator("main")).to_contain_text("There are no photos yet.")
    assert web_app.rows(site.app) == [] and web_app.files(site.app) == []


def test_heat_map_lies_exactly_on_the_photo_without_javascript(site, open_page, model):
    model.heatmap = HEATMAP
    (row_id,) = site.add_rows(1, **UNSURE)
    page = open_page(f"/result/{row_id}", visitor=True, java_script_enabled=False, **website.PHONE)
    page.get_by_role("link", name="What did the model look at?").click()
    heatmap, photo = page.locator(".heatmap"), page.get_by_alt_text("The photo you sent")
    expect(heatmap).to_have_js_property("naturalWidth", 256)
    assert heatmap.bounding_box() == photo.bounding_box() and photo.bounding_box()["height"] > 100
    expect(page.locator("main")).to_contain_text("does not say whether the answer is right")
    page.get_by_role("link", name="Hide the heat map").click()
    expect(heatmap).to_have_count(0)


def test_sample_photo_is_sent_without_javascript(site, open_page):
    page = open_page("/", java_script_enabled=False)
    page.get_by_role("button", name="A can").click()
    expect(page.get_by_alt_text("The photo you sent")).to_be_visible()
    assert len(web_app.rows(site.app)) == 1


def test_waiting_page_has_a_link_to_check_again_without_javascript(site, open_page):
    (row_id,) = site.add_rows(1, state="waiting", class_name=None, score=None, scores=None, model_version=None)
    page = open_page(f"/result/{row_id}", visitor=True, java_script_enabled=False)
    expect(page.get_by_role("status").first).to_contain_text("Your photo is saved.")
    expect(page.locator("#polling")).to_be_hidden()
    with site.app.app_context():
        db.session.execute(sa.update(Upload).values(state="done", class_name="glass", score=0.9, scores={"glass": 0.9}))
        db.session.commit()
    page.get_by_role("link", name="Check now").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Probably glass")


def test_refusal_language_filter_and_paging_work_without_javascript(site, open_page):
    site.add_rows(21)
    page = open_page("/classify", visitor=True, java_script_enabled=False)
    page.set_input_files("#image", {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"})
    page.get_by_role("button", name="What is it?").click()
    expect(page.get_by_role("alert")).to_contain_text("We can't read this file.")
    expect(page.get_by_role("alert")).to_be_focused()
    page.get_by_role("button", name="Bahasa Indonesia").click()
    page.get_by_role("link", name="Riwayat").click()
    page.get_by_role("link", name="Lebih lama").click()
    expect(page.locator("tbody .no")).to_have_text(["21"])
    page.get_by_label("Prediksi").select_option("kaca")
    page.get_by_role("button", name="Saring").click()
    expect(page.locator("tbody tr")).to_have_count(20)


def test_colours_follow_the_browser_setting(visit):
    page, styles = visit("home", java_script_enabled=False), {}
    colours = "body => [getComputedStyle(body).backgroundColor, getComputedStyle(body).color]"
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        styles[scheme] = page.locator("body").evaluate(colours)
    assert _lightness(styles["light"][0]) > 200 > 100 > _lightness(styles["light"][1])
    assert _lightness(styles["dark"][1]) > 200 > 100 > _lightness(styles["dark"][0])


def _lightness(colour):
    """Return the lowest of the three channels of a colour such as "rgb(253, 253, 251)"."""
    return min(map(int, colour.removeprefix("rgb(").removesuffix(")").split(",")))


@pytest.mark.parametrize("name", PAGES)
def test_page_has_no_axe_violations(visit, name):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core here: make test installs it")
    for options in ({"color_scheme": "light"}, {"color_scheme": "dark", **website.PHONE}):
        page = visit(name, reduced_motion="reduce", **options)
        violations = axe.Axe().run(page).response["violations"]
        if name == "api":  # Swagger UI has a landmark of its own, which its options do not remove
            violations = [violation for violation in violations if violation["id"] not in LANDMARK_RULES]
        assert [(violation["id"], node["html"]) for violation in violations for node in violation["nodes"]] == []
        assert page.get_by_role("heading", level=1).count() == 1
