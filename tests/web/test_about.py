import errno
import os
import pathlib
import re

import pytest
import web_app
from web_app import Browser

from serving import client
from web.pages import about

pytestmark = pytest.mark.databases("sqlite")  # no test depends on the database


def write_card(folder, version, name, sentence):
    path = folder / version / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<html><head><style>b {{}}</style></head><body><main><h1>{sentence}</h1></main></body></html>")


@pytest.fixture
def served(tmp_path):
    """Return a folder of versions whose newest is 10."""
    folder = tmp_path / "served"
    write_card(folder, "9", "model_card.html", "of version 9")
    write_card(folder, "10", "model_card.html", "of version 10")
    write_card(folder, "10", "model_card.id.html", "dari versi 10")
    write_card(folder, "incoming", "model_card.html", "half a version")
    return folder


def test_newest_version_card_is_shown_without_its_own_head(make_app, served):
    browser = Browser(make_app(model_folder=str(served)))
    text = browser.get("/about").text
    assert "<h1>of version 10</h1>" in text and "<style>b" not in text
    assert 'href="/about"' in browser.get("/").text


def test_card_is_in_the_pages_language_else_in_english(served):
    assert about.card(served, "id") == "<h1>dari versi 10</h1>"
    (served / "10" / "model_card.id.html").unlink()
    assert about.card(served, "id") == "<h1>of version 10</h1>"


def test_home_page_lists_the_classes_of_the_newest_version(make_app, served):
    (served / "9" / "model.json").write_text('{"classes": ["glass"]}')
    (served / "10" / "model.json").write_text('{"classes": ["HDPE", "metal"]}')
    text = Browser(make_app(model_folder=str(served))).get("/").text
    listed = text.partition('<ul class="classes">')[2].partition("</ul>")[0]
    assert re.sub(r"<[^>]*>", "", listed).split() == ["HDPE", "metal"]
    assert "#metal" in listed and "#HDPE" not in listed  # HDPE has no icon


@pytest.mark.parametrize("description", [None, "", "{}", "[]", '{"classes": 5}'])
def test_unknown_classes_are_not_listed_on_the_home_page(make_app, served, description):
    if description is not None:
        (served / "10" / "model.json").write_text(description)
    for folder in ("", str(served)):
        page = Browser(make_app(model_folder=folder)).get("/")
        assert page.status_code == 200 and "What it can recognise" not in page.text and "cardboard" not in page.text


def test_newest_version_without_a_card_shows_no_older_card(served):
    (served / "11").mkdir()
    assert about.card(served, "en") is None


def test_card_is_of_the_version_that_the_model_server_serves(make_app, model, served):
    write_card(served, str(web_app.VERSION), "model_card.html", "of the version that answers")
    browser = Browser(make_app(model_folder=str(served)))
    web_app.wait_until(lambda: "of the version that answers" in browser.get("/about").text)
    model.stop()
    web_app.wait_until(lambda: "of version 10" in browser.get("/about").text)


def test_page_does_not_wait_for_a_silent_model_server(make_app, served, monkeypatch):
    timeouts = []

    def time_out(caller, timeout_seconds):
        timeouts.append(timeout_seconds)
        raise client.ServingUnavailable("It did not answer.")

    monkeypatch.setattr(client.Client, "available_versions", time_out)
    assert "of version 10" in Browser(make_app(model_folder=str(served))).get("/about").text
    assert timeouts == [about.VERSIONS_SECONDS] and about.VERSIONS_SECONDS <= 0.2


def test_card_removed_during_reading_is_none(served):
    card = served / "10" / "model_card.html"
    card.unlink()
    card.symlink_to("/proc/self/mem")  # it exists and cannot be read
    assert about.card(served, "en") is None


@pytest.fixture
def log(web_log):
    """Capture the records that the page logs, as if it had logged none before."""
    about._log_once.cache_clear()
    return web_log


@pytest.mark.parametrize("name", ["", "10/model_card.html", "10/model.json"])
def test_unreadable_file_is_logged_once_with_the_user_id(make_app, served, monkeypatch, log, name):
    def refuse(path, *args, **kwargs):
        if path == served / name:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return original(path, *args, **kwargs)

    method = "read_text" if name else "iterdir"
    original = getattr(pathlib.Path, method)
    monkeypatch.setattr(pathlib.Path, method, refuse)
    browser = Browser(make_app(model_folder=str(served)))
    for address in ("/", "/about") * 2:
        assert browser.get(address).status_code == 200
    (line,) = [message for message in log.messages if "cannot be read" in message]
    assert line.startswith(f"{served / name} cannot be read by user id {os.getuid()}: Permission denied. ")


def test_card_with_invalid_utf8_is_logged(served, log):
    (served / "10" / "model_card.html").write_bytes(b"\xff")
    assert about.card(served, "en") is None
    assert "10/model_card.html cannot be read" in log.text


def test_missing_card_is_stated_on_the_page(make_app, tmp_path):
    for folder in ("", str(tmp_path / "nothing")):
        assert "no information about this model" in Browser(make_app(model_folder=folder)).get("/about").text
