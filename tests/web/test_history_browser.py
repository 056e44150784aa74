"""The filter and the deletion of the history in a browser."""

import pytest
import website

pytest.importorskip("playwright", reason="no Playwright here: make test installs it")
from playwright.sync_api import expect

pytest_plugins = ["website_fixtures"]
expect.set_options(timeout=website.TIMEOUT_MS)


def test_changed_filter_applies_without_a_button_and_keeps_the_focus(site, open_page):
    site.add_rows(2, class_name="metal")
    site.add_rows(1, class_name="paper")
    page = open_page("/history", visitor=True)
    expect(page.get_by_role("button", name="Filter")).to_be_hidden()
    page.get_by_label("Prediction").focus()
    page.keyboard.press("ArrowDown")  # from "all" to the first class
    expect(page.locator("tbody .prediction")).to_have_text(["metal"] * 2)
    expect(page.get_by_label("Prediction")).to_be_focused()
    page.get_by_label("corrected only").check()
    expect(page.locator(".empty")).to_contain_text("No photos match.")
    expect(page.get_by_label("corrected only")).to_be_focused()
    page.reload()
    expect(page.get_by_label("corrected only")).not_to_be_focused()


def test_filter_has_a_button_without_javascript(site, open_page):
    site.add_rows(1)
    page = open_page("/history", visitor=True, java_script_enabled=False)
    expect(page.get_by_role("button", name="Filter")).to_be_visible()


@pytest.mark.parametrize("options", [{}, website.PHONE])
def test_delete_button_is_large_enough_for_a_finger(site, open_page, options):
    site.add_rows(1)
    page = open_page("/history", visitor=True, **options)
    box = page.locator(".deletion summary").bounding_box()
    assert min(box["width"], box["height"]) >= (44 if options else 24)


def test_photo_with_a_correction_shows_it_first(site, open_page):
    site.add_rows(1, corrected_class="plastic")
    page = open_page("/history", visitor=True)
    expect(page.locator("tbody .prediction")).to_have_text("plastic Corrected. Model: glass, 87%")
    page.get_by_role("link", name="Photo 1: plastic", exact=True).click()
    expect(page.locator("main")).to_contain_text("glass")
