"""No page scrolls sideways, with any class names: on a screen of 320 px, and with those of known data sets on any."""

import json

import pytest
import web_app
import website

pytest.importorskip("playwright", reason="no Playwright here: make test installs it")
from playwright.sync_api import expect

pytest_plugins = ["website_fixtures"]
NAMES = [
    "Miscellaneous Trash",
    "Leichtverpackungen",
    "Donaudampfschifffahrtsgesellschaftskapitaenskajuetenmuell" + "x" * 53,
    "不可回收的其他垃圾和厨余垃圾以及有害垃圾和电子废物请放入指定的垃圾桶",
    "نفايات-بلاستيكية-غير-قابلة-لإعادة-التدوير",
    "♻️" * 40,
    "<b>soft_plastic_wrapping_that_nobody_takes</b>&amp;",
    "\u202eevil\u202c",
]
REAL_NAMES = [  # of RealWaste, of Kaggle's garbage of twelve classes, and the longest of TACO
    *"Cardboard,Food Organics,Glass,Metal,Miscellaneous Trash,Paper,Plastic,Textile Trash,Vegetation".split(","),
    *"battery,biological,brown-glass,clothes,green-glass,shoes,white-glass".split(","),
    *"Aluminium blister pack,Carded blister pack,Other plastic container,Disposable plastic cup".split(","),
    *"Plastified paper bag,Other plastic wrapper,Single-use carrier bag,Disposable food container".split(","),
    *"Foam food container,Polypropylene bag,Unlabeled litter,Corrugated carton,Squeezable tube".split(","),
]
WIDTH_PX = 320  # the smallest phones; WCAG 2.1 requires it (reflow)
PHONE = {"viewport": {"width": WIDTH_PX, "height": 640}, "is_mobile": True, "has_touch": True}
SCORES = {name: (1 - 1e-9 if number == 0 else 1e-9) for number, name in enumerate(NAMES)}
WIDER = """() => [...document.querySelectorAll("body *")]
  .filter((element) => element.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
  .map((element) => `${element.tagName}.${element.className}`)"""

CUT = """() => [...document.querySelectorAll("main li, main th, main td, main button, main dd, main h1")]
  .filter((element) => element.offsetParent && element.scrollWidth > element.clientWidth + 1)
  .map((element) => `${element.tagName}.${element.className}: ${element.textContent.trim()}`)"""  # wider than its box


@pytest.fixture
def site_of(make_site, tmp_path):
    """Return site_of(names), a site whose model has these classes and whose card has two of them."""

    def make(names):
        folder = website.write_card(tmp_path / f"{len(names)} classes")
        card = f"<main><h1>Model card: {names[2]}</h1><p>{names[4]}</p></main>"
        (folder / "1" / "model_card.html").write_text(card, encoding="utf-8")
        (folder / "1" / "model.json").write_text(json.dumps({"classes": names}), encoding="utf-8")
        return make_site(model_folder=str(folder))

    return make


@pytest.fixture
def site(site_of):
    return site_of(NAMES)


def paths_of_pages(site):
    """Return the addresses of all pages; each name is a prediction and a correction in the history."""
    nothing = {"class_name": None, "score": None, "scores": None, "model_version": None}
    odd = {"scores": SCORES, "score": 1.0}
    for name, correction in zip(NAMES, reversed(NAMES), strict=True):
        site.add_rows(1, class_name=name, corrected_class=correction, **odd)
    site.add_rows(14, class_name=NAMES[0], **odd)
    rows = [{"state": "waiting", **nothing}, {"state": "refused", **nothing}, {"class_name": NAMES[1], **odd}]
    rows += [{"class_name": NAMES[2], "corrected_class": name, **odd} for name in NAMES[3:5]]
    rows += [{"prediction_set": NAMES, "certainty": name, "class_name": NAMES[1]} for name in ("unsure", "untypical")]
    results = [f"/result/{site.add_rows(1, **columns)[0]}" for columns in rows]
    return ["/", "/classify", "/history", "/history?class=none", "/about", "/operator", "/nothing", *results]


def check_fits(page):
    """Check that the page fits its screen, also at twice the text size."""
    if page.locator("summary").count():
        page.locator("summary").first.click()
    for size in ("100%", "200%"):
        width = page.evaluate(
            f"document.documentElement.style.fontSize = '{size}', document.documentElement.scrollWidth"
        )
        assert width <= WIDTH_PX, (page.url, size, page.evaluate(WIDER))
    assert page.evaluate("visualViewport.width") == WIDTH_PX  # a page that is too wide is zoomed out


@pytest.mark.parametrize(("locale", "scheme"), [("en-GB", "light"), ("id-ID", "dark")])
def test_page_with_long_class_names_does_not_scroll_sideways(site, open_page, locale, scheme):
    page = open_page("/", visitor=True, locale=locale, color_scheme=scheme, **PHONE)
    for path in paths_of_pages(site):
        page.goto(path)
        check_fits(page)
    page.goto("/classify")
    page.evaluate("document.addEventListener('submit', (event) => event.preventDefault(), { once: true })")
    page.set_input_files("#image", {"name": f"{'x' * 90}.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"})
    expect(page.locator(".busy")).to_be_visible()
    check_fits(page)
    page.evaluate(
        "const form = document.getElementById('upload'); form.removeAttribute('aria-busy'); form.requestSubmit()"
    )
    expect(page.get_by_role("alert")).not_to_be_empty()
    check_fits(page)
    page.goto("/operator")
    page.fill("#token", web_app.SETTINGS["admin_token"])
    page.locator(".sign-in .btn").click()
    expect(page.locator(".operator")).to_be_visible()
    check_fits(page)
    page.goto("/operator/review")
    expect(page.locator(".review li")).not_to_have_count(0)
    check_fits(page)


@pytest.mark.parametrize("locale", ["en-GB", "id-ID"])
def test_page_with_the_class_names_of_a_data_set_fits_every_width(site_of, open_page, locale):
    site, scores = site_of(REAL_NAMES), dict.fromkeys(REAL_NAMES, 1 / len(REAL_NAMES))
    for name, correction in zip(REAL_NAMES[:15], REAL_NAMES[-15:], strict=True):
        site.add_rows(1, class_name=name, corrected_class=correction, scores=scores, score=0.9)
    (row_id,) = site.add_rows(1, class_name=REAL_NAMES[4], scores=scores, score=0.9)
    page = open_page("/", visitor=True, of=site, locale=locale)
    for path in ("/", "/classify", "/history", "/about", f"/result/{row_id}"):
        page.goto(path)
        for width_px in (320, 360, 768, 1440):
            page.set_viewport_size({"width": width_px, "height": 740})
            assert page.evaluate("document.documentElement.scrollWidth") <= width_px, (path, page.evaluate(WIDER))
            assert page.evaluate(CUT) == [], (path, width_px)
