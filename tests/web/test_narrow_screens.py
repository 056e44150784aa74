"""No page scrolls sideways on a screen of 320 px, with any class names."""

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
WIDTH_PX = 320  # the smallest phones; WCAG 2.1 requires it (reflow)
PHONE = {"viewport": {"width": WIDTH_PX, "height": 640}, "is_mobile": True, "has_touch": True}
SCORES = {name: (1 - 1e-9 if number == 0 else 1e-9) for number, name in enumerate(NAMES)}
WIDER = """() => [...document.querySelectorAll("body *")]
  .filter((element) => element.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
  .map((element) => `${element.tagName}.${element.className}`)"""


@pytest.fixture
def site(make_site, tmp_path):
    """Return a site whose model card, classes and history have the names above."""
    folder = website.write_card(tmp_path / "odd")
    card = f"<main><h1>Model card: {NAMES[2]}</h1><p>{NAMES[4]}</p></main>"
    (folder / "1" / "model_card.html").write_text(card, encoding="utf-8")
    (folder / "1" / "model.json").write_text(json.dumps({"classes": NAMES}), encoding="utf-8")
    return make_site(model_folder=str(folder))


def paths_of_pages(site):
    """Return the addresses of all pages; each name is a prediction and a correction in the history."""
    nothing = {"class_name": None, "score": None, "scores": None, "model_version": None}
    odd = {"scores": SCORES, "score": 1.0}
    for name, correction in zip(NAMES, reversed(NAMES), strict=True):
        site.add_rows(1, class_name=name, corrected_class=correction, **odd)
    site.add_rows(14, class_name=NAMES[0], **odd)
    rows = [{"state": "waiting", **nothing}, {"state": "refused", **nothing}, {"class_name": NAMES[1], **odd}]
    rows += [{"class_name": NAMES[2], "corrected_class": name, **odd} for name in NAMES[3:5]]
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
    page.set_input_files("#image", {"name": f"{'x' * 90}.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"})
    check_fits(page)
    page.locator("#send").click()
    expect(page.get_by_role("alert")).not_to_be_empty()
    check_fits(page)
    page.goto("/operator")
    page.fill("#token", web_app.SETTINGS["admin_token"])
    page.locator(".sign-in .btn").click()
    expect(page.locator(".operator")).to_be_visible()
    check_fits(page)
