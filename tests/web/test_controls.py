"""The controls of all pages in Chromium: focus outlines and sizes; the size of pictures and of a first visit."""

import pytest
import website

pytest.importorskip("playwright", reason="no Playwright here: make test installs it")

pytest_plugins = ["website_fixtures"]
PATHS = ("/", "/classify", "/history", "/operator", "/about", "/privacy", "/api/docs", "/nothing")
MAX_FIRST_VISIT_BYTES = 80_000
# Focuses each control and returns [its HTML, outline style and width, contrast of the outline to what surrounds it].
OUTLINES = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = colour.map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    if (!element) return [255, 255, 255];
    const [r, g, b, opacity = 1] = channels(getComputedStyle(element).backgroundColor);
    if (opacity === 1) return [r, g, b];
    const below = behind(element.parentElement);
    return [r, g, b].map((value, index) => value * opacity + below[index] * (1 - opacity));
  };
  return [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")].map((element) => {
    element.focus();
    if (document.activeElement !== element) return null;  // hidden
    const style = getComputedStyle(element);
    const both = [channels(style.outlineColor), behind(element.parentElement)].map(luminance).sort((a, b) => b - a);
    return [element.outerHTML.slice(0, 120), style.outlineStyle, parseFloat(style.outlineWidth),
      (both[0] + 0.05) / (both[1] + 0.05)];
  }).filter(Boolean);
}"""
# Controls smaller than 24 px, and main ones smaller than 44 px; links in a sentence may be as high as its line.
SMALL = """() => [...document.querySelectorAll("a[href], button, input, select, summary")].filter((element) => {
  const { width, height } = element.getBoundingClientRect();
  const isInText = element.matches("a") && getComputedStyle(element).display === "inline";
  if (!element.checkVisibility({ visibilityProperty: true }) || isInText || element.matches(".skip")) return false;
  const isMain = element.matches("header a, header button, .btn:not(.btn-sm), .form-control, .form-select");
  return Math.min(width, height) < (isMain ? 44 : 24) - 0.5;
}).map((element) => element.outerHTML.slice(0, 120))"""
# Visible pictures whose space is unknown before they are loaded.
UNSIZED = """() => [...document.images]
  .filter((image) => image.checkVisibility() && !(image.getAttribute("width") && image.getAttribute("height")))
  .map((image) => image.outerHTML)"""


def all_paths(site):
    (row_id,) = site.add_rows(1, certainty="unsure", prediction_set=["glass", "metal"])
    return (*PATHS, f"/result/{site.add_rows(1)[0]}", f"/result/{row_id}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_focused_control_has_an_outline_of_3_px_and_contrast_3(site, open_page, scheme):
    page = open_page("/", visitor=True, color_scheme=scheme)
    for path in all_paths(site):
        page.goto(path)
        if path == "/api/docs":
            page.wait_for_selector(".opblock")
        page.keyboard.press("Tab")  # browsers show outlines to those who use the keyboard
        outlines = page.evaluate(OUTLINES)
        assert len(outlines) > 5
        assert [row for row in outlines if row[1] != "solid" or row[2] < 3 or row[3] < 3] == [], path


def test_controls_are_large_enough_to_touch(site, open_page):
    page = open_page("/", visitor=True, **website.PHONE)
    for path in all_paths(site):
        if path != "/api/docs":  # Swagger UI has its own controls
            page.goto(path)
            assert page.evaluate(SMALL) == [], path


@pytest.mark.parametrize("path", ["/", "/classify", "/about"])
def test_pictures_have_a_size_so_that_they_move_nothing(site, open_page, path):
    assert open_page(path).evaluate(UNSIZED) == []


def test_first_visit_loads_at_most_80_kb(site, open_page):
    page = open_page("/privacy", user_agent="a first visit", **website.PHONE)
    network, received = page.context.new_cdp_session(page), []
    network.send("Network.enable")
    network.send("Network.clearBrowserCache")
    network.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    page.goto("/", wait_until="networkidle")
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")  # for pictures that load when they are seen
    page.wait_for_load_state("networkidle")
    assert len(received) >= 8
    assert sum(received) <= MAX_FIRST_VISIT_BYTES
