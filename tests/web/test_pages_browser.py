"""The pages in a browser with JavaScript."""

import re

import pytest
import sqlalchemy as sa
import web_app
import website

from components.data import images
from web.database import Upload, db

pytest.importorskip("playwright", reason="no Playwright here: make test installs it")
from playwright.sync_api import expect

pytest_plugins = ["website_fixtures"]
expect.set_options(timeout=website.TIMEOUT_MS)
RESULT = re.compile(r"/result/[0-9a-f]{32}$")
TRANSFER = """([name, type, bytes, count]) => {
  const transfer = new DataTransfer();
  for (let i = 0; i < count; i++) transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
  return transfer;
}"""


def transfer_of(page, count=1):
    """Return the DataTransfer of photos that are dropped or pasted."""
    photo = website.chosen()
    return page.evaluate_handle(TRANSFER, [photo["name"], photo["mimeType"], list(photo["buffer"]), count])


def check_result(page):
    expect(page).to_have_url(RESULT)
    expect(page.get_by_role("heading", level=1)).to_contain_text("glass", ignore_case=True)


def check_refusal(page, sentence):
    """Check that the page says why it refuses the photo, at the focus, and keeps no photo."""
    expect(page.get_by_role("alert")).to_contain_text(sentence)
    expect(page.get_by_role("alert")).to_be_focused()
    assert page.locator("#image").input_value() == ""


def choose_without_leaving(page):
    """Choose a photo but prevent the request, so that the page stays in the middle of an upload."""
    page.evaluate("document.addEventListener('submit', (event) => event.preventDefault(), { once: true })")
    page.set_input_files("#image", website.chosen())
    expect(page.locator("#upload")).to_have_attribute("aria-busy", "true")


def check_ready(page):
    expect(page.get_by_role("button", name="What is it?")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("Ready to send: photo.jpg")
    assert page.locator("#upload").get_attribute("aria-busy") is None


@pytest.mark.parametrize("path", ["/", "/classify"])
def test_chosen_photo_is_sent_and_classified(site, open_page, path):
    page = open_page(path)
    with page.expect_file_chooser() as choice:
        page.get_by_label("Choose a photo", exact=True).click()
    choice.value.set_files(website.chosen())
    check_result(page)
    expect(page.get_by_alt_text("The photo you sent")).to_have_js_property("naturalWidth", 160)
    (row,) = web_app.rows(site.app)
    highest_first = sorted(row.scores, key=row.scores.get, reverse=True)
    expect(page.locator(".bars tbody th")).to_have_text(highest_first)
    bars = page.locator("progress").evaluate_all("bars => bars.map(bar => bar.value)")
    assert bars == pytest.approx([row.scores[name] for name in highest_first], abs=1e-4)
    expect(page.locator(".advice")).to_contain_text("Empty and rinse bottles and jars.")
    expect(page.locator(".about")).to_contain_text("Model version 3")


def test_dropped_photo_is_sent_and_classified(open_page):
    page = open_page("/")
    page.dispatch_event("#drop", "dragover", {"dataTransfer": transfer_of(page)})
    expect(page.locator("#drop")).to_have_class("drop over")
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer_of(page)})
    check_result(page)


def test_pasted_photo_is_sent_and_classified(open_page):
    page = open_page("/classify")
    paste = "data => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, cancelable: true }))"
    page.evaluate(paste, transfer_of(page))
    check_result(page)


def test_photo_from_a_phone_camera_is_sent_and_classified(open_page):
    page = open_page("/", **website.PHONE)
    assert page.locator("#camera").get_attribute("capture") == "environment"
    with page.expect_file_chooser() as choice:
        page.get_by_role("button", name="Take a photo").click()
    choice.value.set_files(website.chosen(size=(2400, 1800)))
    check_result(page)


def test_sample_photo_is_sent_and_answered(site, open_page):
    page = open_page("/")
    expect(page.locator(".samples button")).to_have_text(["A box", "A bottle", "A can"])
    page.get_by_role("button", name="A bottle").click()
    expect(page).to_have_url(RESULT)
    expect(page.get_by_alt_text("The photo you sent")).to_have_js_property("naturalWidth", 384)
    assert len(web_app.rows(site.app)) == 1


def test_home_without_the_classes_of_the_samples_shows_none(make_site, open_page):
    page = open_page("/", of=make_site(model_folder=""))
    expect(page.get_by_label("Choose a photo", exact=True)).to_be_visible()
    expect(page.locator(".samples, .example")).to_have_count(0)


def test_several_dropped_photos_are_refused_before_sending(open_page):
    page = open_page("/classify")
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer_of(page, count=2)})
    check_refusal(page, "Send one photo at a time.")


def test_photo_over_the_limit_is_refused_before_sending(make_site, open_page):
    site = make_site(max_upload_bytes=1_000)
    page = open_page("/classify", of=site)
    page.set_input_files("#image", website.chosen())
    check_refusal(page, "MB. Choose a smaller one.")
    expect(page.locator("#preview")).to_be_hidden()


@pytest.mark.parametrize(
    ("name", "mime", "content", "sentence"),
    [
        ("bill.pdf", "application/pdf", b"%PDF-1.7", f"in one of these formats: {images.FORMAT_NAMES}."),
        ("icon.svg", "image/svg+xml", b"<svg/>", f"in one of these formats: {images.FORMAT_NAMES}."),
        ("photo.jpg", "image/jpeg", b"", "This file is empty."),
    ],
)
def test_file_of_a_wrong_kind_is_refused_before_sending(open_page, name, mime, content, sentence):
    page = open_page("/")
    page.route("**/classify", lambda route: pytest.fail("the file was sent"))
    page.set_input_files("#image", {"name": name, "mimeType": mime, "buffer": content})
    check_refusal(page, sentence)
    page.unroute_all()
    page.set_input_files("#image", website.chosen())  # the next choice counts
    check_result(page)


def test_file_that_is_no_photo_is_refused_with_the_next_step(open_page):
    page = open_page("/classify")
    page.set_input_files("#image", {"name": "photo.heic", "mimeType": "image/heic", "buffer": b"no picture"})
    check_refusal(page, f"in one of these formats: {images.FORMAT_NAMES}.")
    expect(page).to_have_title("Upload failed - Pilah")
    page.set_input_files("#image", website.chosen())
    check_result(page)


def test_too_many_uploads_are_refused_with_the_seconds_to_wait(make_site, open_page):
    page = open_page("/", of=make_site(upload_rate="1 per minute"))
    page.set_input_files("#image", website.chosen())
    expect(page).to_have_url(RESULT)
    page.goto("/")
    with page.expect_response(lambda response: response.status == 429) as refused:
        page.set_input_files("#image", website.chosen())
    expect(page.get_by_role("alert")).to_contain_text(
        re.compile(r"^\s*Too many uploads\. Try again in (\d+ seconds?|1 minute)\.\s*$")
    )
    expect(page.get_by_role("alert")).to_be_focused()
    assert 0 < int(refused.value.headers["retry-after"]) <= 60


def test_form_shows_the_photo_and_is_busy_while_sending(open_page):
    page = open_page("/classify")
    expect(page.locator("#send")).to_be_hidden()
    choose_without_leaving(page)
    expect(page.get_by_role("status")).to_have_text("Sending the photo ...")
    expect(page.get_by_role("button", name="Sending the photo ...")).to_be_focused()
    expect(page.locator(".spinner")).to_be_visible()
    expect(page.locator("#preview")).to_be_visible()
    assert page.locator("#preview").get_attribute("src").startswith("blob:")
    expect(page.get_by_label("Choose a photo", exact=True)).to_be_hidden()


def test_photo_is_sent_once_however_often_it_is_submitted(site, open_page):
    page = open_page("/")
    page.evaluate(
        """(transfer) => {
      document.getElementById("image").files = transfer.files;
      const form = document.getElementById("upload");
      for (let i = 0; i < 3; i++) {
        const prevented = !form.dispatchEvent(new SubmitEvent("submit", { cancelable: true }));
        window.sent = [...(window.sent ?? []), !prevented];
      }
    }""",
        transfer_of(page),
    )
    assert page.evaluate("window.sent") == [True, False, False]


def test_form_is_ready_after_going_back(open_page):
    page = open_page("/classify")
    page.set_input_files("#image", website.chosen())
    check_result(page)
    page.go_back()
    expect(page.locator("#upload")).not_to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("status")).not_to_have_text("Sending the photo ...")


def test_stopped_upload_makes_the_form_ready_for_this_or_another_photo(open_page):
    page = open_page("/classify")
    page.route("**/classify", lambda route: None)  # never responds
    page.evaluate("document.addEventListener('submit', () => setTimeout(() => window.stop(), 500), { once: true })")
    page.set_input_files("#image", website.chosen())
    check_ready(page)
    page.unroute_all()
    page.get_by_role("button", name="Choose another photo").click()
    expect(page.get_by_label("Choose a photo", exact=True)).to_be_focused()
    page.set_input_files("#image", website.chosen(size=(80, 60)))
    check_result(page)


def test_correction_takes_two_taps_and_can_be_withdrawn(site, open_page):
    (row_id,) = site.add_rows(1)
    page = open_page(f"/result/{row_id}", visitor=True)
    place = page.locator(".feedback summary").bounding_box()
    page.locator(".feedback summary").click()
    assert page.locator(".feedback summary").bounding_box() == place  # a second tap there closes it
    page.get_by_role("button", name="plastic").click()
    expect(page.locator(".corrected")).to_have_text("You said: plastic (model said: glass). Thank you.")
    expect(page.get_by_role("heading", name="How to recycle plastic")).to_be_visible()
    assert web_app.rows(site.app)[0].corrected_class == "plastic"
    page.locator(".feedback summary").click()
    page.get_by_role("button", name="Withdraw my answer").click()
    expect(page.locator(".corrected")).to_have_count(0)
    assert web_app.rows(site.app)[0].label is None


def test_result_is_confirmed_with_one_tap_on_a_phone_without_scrolling(site, open_page):
    (row_id,) = site.add_rows(1)
    page = open_page(f"/result/{row_id}", visitor=True, **website.PHONE)
    box = page.get_by_role("button", name="Yes", exact=True).bounding_box()
    assert box["y"] + box["height"] <= 740 and box["height"] >= 44
    page.get_by_role("button", name="Yes", exact=True).click()
    expect(page.locator(".corrected")).to_have_text("You said: glass, like the model. Thank you.")
    assert web_app.rows(site.app)[0].label == "glass"


def test_waiting_page_shows_the_result_by_itself(make_site, open_page):
    site = make_site()  # not shared, because its retry thread continues
    site.model.stop()
    page = open_page("/classify", of=site)
    page.set_input_files("#image", website.chosen())
    expect(page.get_by_role("heading", level=1)).to_have_text("Waiting for a result")
    expect(page.get_by_role("status").first).to_contain_text("Your photo is saved.")
    site.model.start()
    site.app.extensions["pilah_uploads"].start_retrying(site.app)
    with site.app.app_context():
        db.session.execute(sa.update(Upload).values(created_at=website.NOON))  # old enough for a retry
        db.session.commit()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Probably glass")


def test_waiting_page_keeps_an_open_dialog_until_the_state_changes(site, open_page):
    (row_id,) = site.add_rows(1, state="waiting", class_name=None, score=None, scores=None, model_version=None)
    page = open_page(f"/result/{row_id}", visitor=True)
    expect(page.get_by_role("status").first).to_contain_text("updates by itself")
    page.locator("summary").click()
    page.get_by_role("button", name="Yes, delete").focus()
    for _ in range(2):
        page.wait_for_event("response", lambda response: response.url.endswith("/state"))
    expect(page.get_by_role("button", name="Yes, delete")).to_be_focused()
    with site.app.app_context():
        db.session.execute(sa.update(Upload).values(state="refused"))
        db.session.commit()
    expect(page.get_by_role("heading", level=1)).to_have_text("No result for this photo")


def test_history_links_lead_through_all_pages_and_back(site, open_page):
    site.add_rows(45)
    page = open_page("/history", visitor=True)
    numbers = page.locator("tbody .no")
    for first, last in ((1, 20), (21, 40), (41, 45)):
        expect(numbers).to_have_text([str(number) for number in range(first, last + 1)])
        if last < 45:
            page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("link", name="Older")).to_have_count(0)
    page.get_by_role("link", name="Newest").click()
    expect(numbers.first).to_have_text("1")
    expect(page.get_by_alt_text("Photo 1: glass, 87%", exact=True)).to_have_js_property("naturalWidth", 160)


def test_history_is_filtered_on_every_page(site, open_page):
    site.add_rows(25, class_name="metal")
    site.add_rows(3, corrected_class="plastic")
    page = open_page("/history", visitor=True)
    page.get_by_label("Prediction").select_option("metal")
    expect(page.locator("tbody .prediction")).to_have_text(["metal"] * 20)
    page.get_by_role("link", name="Older").click()
    expect(page.locator("tbody .prediction")).to_have_text(["metal"] * 5)
    page.get_by_label("corrected only").check()
    expect(page.locator(".empty")).to_contain_text("No photos match.")
    page.get_by_label("Prediction").select_option("all")
    expect(page.locator("tbody .correction")).to_have_text(["plastic"] * 3)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    assert len(download.value.path().read_text().splitlines()) == 1 + 3


def test_row_is_deleted_after_confirmation(site, open_page):
    site.add_rows(2)
    page = open_page("/history", visitor=True)
    page.locator("summary").first.click()
    expect(page.get_by_text("Delete this photo and its result permanently?").first).to_be_visible()
    assert len(web_app.rows(site.app)) == 2
    page.locator("summary").nth(1).click()
    expect(page.get_by_role("button", name="Yes, delete")).to_have_count(1)  # one open dialog at a time
    page.get_by_role("button", name="Yes, delete photo 2").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    (row,) = web_app.rows(site.app)
    assert web_app.files(site.app) == [f"{row.id}.jpg", f"{row.id}.small.jpg"]


def test_empty_history_links_to_the_upload_form(open_page):
    page = open_page("/history")
    expect(page.locator("main")).to_contain_text("There are no photos yet.")
    page.get_by_role("link", name="Check an item").click()
    expect(page).to_have_url(re.compile("/classify$"))


def test_switched_language_applies_to_every_page(site, open_page):
    (row_id,) = site.add_rows(1)
    page = open_page(f"/result/{row_id}", visitor=True)
    page.get_by_role("button", name="Bahasa Indonesia").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("kaca")
    expect(page.locator("html")).to_have_attribute("lang", "id")
    page.get_by_role("link", name="Riwayat").click()
    expect(page.get_by_role("columnheader", name="Probabilitas")).to_be_visible()
    page.goto("/history?class=metal")
    page.get_by_role("button", name="English").click()
    expect(page.locator(".empty")).to_contain_text("No photos match.")  # the filter stays


def test_language_switch_stays_on_this_site_for_a_double_slash_path(site, open_page):
    page = open_page(f"{site.address}//example.org/")
    page.get_by_role("button", name="Bahasa Indonesia").click()
    expect(page).to_have_url(f"{site.address}/example.org/")


def test_browser_language_is_the_default(open_page):
    expect(open_page("/", locale="id-ID").get_by_role("heading", level=1)).to_contain_text("Dibuang ke tempat sampah")


def test_times_are_in_the_visitors_time_zone(site, open_page):
    site.add_rows(1)
    page = open_page("/history", visitor=True, timezone_id="Asia/Jakarta")
    expect(page.locator("time")).to_have_text("2 Jan 2026, 19:00")
    expect(page.locator("time")).to_have_attribute("title", "2 Jan 2026 12:00 UTC")


def test_copy_button_copies_the_result_address(site, open_page):
    (row_id,) = site.add_rows(1)
    page = open_page(f"/result/{row_id}", visitor=True, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == f"{site.address}/result/{row_id}"


def test_operator_signs_in_sees_every_row_and_signs_out(site, open_page):
    site.add_rows(1)
    page = open_page("/operator")
    for token, answer in (("a guess", "Wrong token."), (web_app.SETTINGS["admin_token"], "everyone's photos")):
        page.get_by_label("Operator token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("main")).to_contain_text(answer)
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("main")).to_contain_text("There are no photos yet.")


def test_keyboard_skips_to_the_content(open_page):
    page = open_page("/classify")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#image")).to_be_focused()


def test_api_documentation_shows_every_operation_and_sends_a_photo(site, open_page):
    page = open_page("/about")
    page.get_by_role("contentinfo").get_by_role("link", name="API").click()
    operations = page.locator(".opblock-summary")
    expect(operations).to_have_count(3)
    description = page.request.get("/api/openapi.json").json()
    shown = [(row.locator(".opblock-summary-method"), row.locator("[data-path]")) for row in operations.all()]
    assert [(method.inner_text().lower(), path.get_attribute("data-path")) for method, path in shown] == [
        (method, path) for path, methods in description["paths"].items() for method in methods
    ]
    operations.filter(has_text="/api/classify").locator(".opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    page.set_input_files("#swagger-ui input[type=file]", website.chosen())
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table")).to_contain_text('"class_name": "glass"')
    assert len(web_app.rows(site.app)) == 1
