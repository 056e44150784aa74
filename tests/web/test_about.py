import errno
import json
import os
import pathlib
import re

import pytest
import web_app
from web_app import Browser

from serving import client
from web import model_card, settings
from web.pages import about

pytestmark = pytest.mark.databases("sqlite")  # no test depends on the database


def write_card(folder, version, name, sentence):
    path = folder / version / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<html><head><style>b {{}}</style></head><body><main><h1>{sentence}</h1></main></body></html>")


# Rows: actual class, columns: predicted class. 20 of 100 photos of glass are taken for plastic, 4 of 100 of plastic for
# metal, and 2 of 50 of metal for glass, which may be chance.
MATRIX = {"glass": [79, 1, 20], "metal": [2, 48, 0], "plastic": [0, 4, 96]}


def results(**changes):
    """Return the content of model_card.json of a model of the classes of `MATRIX`."""
    names = list(MATRIX)
    rights = [row[number] for number, row in enumerate(MATRIX.values())]
    classes = [
        {"name": name, "photos": sum(MATRIX[name]), "right": right, "precision": 0.9, "recall": 0.9, "f1": 0.9}
        for name, right in zip(names, rights, strict=True)
    ]
    return {
        "synthetic": False,
        "random_weights": False,
        "photos": 250,
        "right": sum(rights),
        "folds": 5,
        "f1": 0.9,
        "f1_low": 0.87,
        "f1_high": 0.93,
        "coverage": 0.95,
        "certainty": [{"name": "unsure", "answers": 250, "right": sum(rights)}],
        "classes": classes,
        "confusion_matrix": list(MATRIX.values()),
        **changes,
    }


def write_results(folder, version, **changes):
    (folder / version).mkdir(parents=True, exist_ok=True)
    (folder / version / "model_card.json").write_text(json.dumps(results(**changes)))


def words(text):
    """Return the text of a page's main part, without tags and with single spaces."""
    return " ".join(re.sub(r"<[^>]*>", " ", text.partition("<main")[2].partition("</main>")[0]).split())


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
    assert "<h2>of version 10</h2>" in text and "<style>b" not in text
    assert text.count("<h1>") == 1
    assert 'href="/about"' in browser.get("/").text


def test_card_is_in_the_pages_language_else_in_english(served):
    version = served / "10"
    assert about.details(version, "id") == "<h2>dari versi 10</h2>"
    (version / "model_card.id.html").unlink()
    assert about.details(version, "id") == "<h2>of version 10</h2>"


def test_results_are_stated_in_words_by_class_and_as_a_matrix(make_app, served):
    write_results(served, "10")
    page = Browser(make_app(model_folder=str(served))).get("/about").text
    text = words(page)
    assert "<h1>How good is it?</h1>" in page
    assert "Right for 89 of 100 photos in testing." in text and "223 of 250 photos were classified correctly" in text
    recalls = ["48 of 50 photos of metal", "96 of 100 photos of plastic", "79 of 100 photos of glass"]
    positions = [text.index(f"{recall} recognised") for recall in recalls]
    assert positions == sorted(positions)  # the best recognised class first
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    cells = [re.findall(r"<td[^>]*>(\d+)</td>", row) for row in body.split("</tr>")[:3]]
    assert cells == [list(map(str, row)) for row in MATRIX.values()]
    assert '<td class="right">79</td>' in body and '<td class="notable">20</td>' in body and "<td>2</td>" in body


def test_notable_confusions_are_stated_the_most_frequent_first(make_app, served):
    write_results(served, "10")
    text = words(Browser(make_app(model_folder=str(served))).get("/about").text)
    mixed_up = text.partition("What it mixes up")[2].partition("All answers")[0]
    often, sometimes = "Glass is often taken for plastic : 20 of 100", "Plastic is sometimes taken for metal : 4 of 100"
    assert 0 < mixed_up.index(often) < mixed_up.index(sometimes)
    assert "for glass" not in mixed_up and mixed_up.count("taken for") == 2


def test_results_are_in_indonesian_with_translated_class_names(make_app, served):
    write_results(served, "10")
    answer = Browser(make_app(model_folder=str(served))).get("/about", headers={"Accept-Language": "id"})
    text = words(answer.text)
    assert "Seberapa akurat" in text and "plastik" in text and "plastic" not in text


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"synthetic": True}, "trained on synthetic photos"),
        ({"random_weights": True}, "random weights"),
        ({"f1": 0.6}, "often wrong"),
        ({}, None),
    ],
)
def test_unreliable_model_has_a_warning(make_app, served, changes, warning):
    write_results(served, "10", **changes)
    text = Browser(make_app(model_folder=str(served))).get("/about").text
    assert ("model-warning" in text) == bool(warning) and (warning or "") in text
    assert ("synthetic photos in testing" in text) == ("synthetic" in changes)


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"photos": 5}', json.dumps(results(photos="many"))])
def test_page_without_valid_results_opens_the_model_card(make_app, served, content):
    if content is not None:
        (served / "10" / "model_card.json").write_text(content)
    text = Browser(make_app(model_folder=str(served))).get("/about").text
    assert '<details class="model-card" open>' in text and "of version 10" in text
    assert "in testing" not in text and "no information about" not in text


def test_results_of_other_classes_are_not_shown(make_app, served):
    write_results(served, "10")
    (served / "10" / "model.json").write_text('{"classes": ["HDPE", "PET"]}')
    assert "in testing" not in Browser(make_app(model_folder=str(served))).get("/about").text


def test_model_card_is_folded_below_the_results(make_app, served):
    write_results(served, "10")
    text = Browser(make_app(model_folder=str(served))).get("/about").text
    assert text.index("All answers") < text.index('<details class="model-card">') < text.index("of version 10")


def test_class_names_are_escaped(make_app, served):
    name = "<b>x</b>"
    classes = [{**item, "name": name} if item["name"] == "glass" else item for item in results()["classes"]]
    write_results(served, "10", classes=classes)
    text = Browser(make_app(model_folder=str(served))).get("/about").text
    assert name not in text and text.count("&lt;b&gt;x&lt;/b&gt;") >= 4  # in the bars, the confusions and the matrix


@pytest.mark.parametrize(
    ("part", "photos", "shown"),
    [
        (2181, 2521, (87, 100)),
        (2520, 2521, (99, 100)),
        (2521, 2521, (100, 100)),
        (1, 2521, (1, 100)),
        (0, 2521, (0, 100)),
        (99, 100, (99, 100)),
        (7, 9, (7, 9)),
    ],
)
def test_rounded_counts_are_100_or_0_only_for_all_or_none(part, photos, shown):
    assert about.of_100(part, photos) == shown


def test_report_is_linked_only_if_its_url_is_set(make_app, served):
    write_results(served, "10")
    (served.parent / "report").mkdir()
    (served.parent / "report" / "report.html").write_text("a report with photos")
    assert "report" not in words(Browser(make_app(model_folder=str(served))).get("/about").text)
    url = "https://example.org/report.html"
    text = Browser(make_app(model_folder=str(served), report_url=url)).get("/about").text
    assert f'<a href="{url}">' in text


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "report.html",
        "//example.org",
        "ftp://example.org",
        "https://",
        "https:///report.html",
        "https://[::1",
    ],
)
def test_report_url_must_be_of_the_web(url):
    with pytest.raises(settings.SettingsError, match="REPORT_URL must be a URL with https:// or http:// and a host"):
        settings.read({"PILAH_ENV": "development", "REPORT_URL": url})


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
    assert about.details(about.latest(served), "en") is None


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
    assert about.details(served / "10", "en") is None


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


@pytest.mark.parametrize("content", [b"\xff", b"", b"<html><main> </main></html>", b"<html><main>of ver"])
def test_card_that_is_damaged_or_empty_is_logged(served, log, content):
    (served / "10" / "model_card.html").write_bytes(content)
    assert about.details(served / "10", "en") is None
    assert "10/model_card.html cannot be read" in log.text


def test_missing_card_is_stated_on_the_page(make_app, tmp_path):
    for folder in ("", str(tmp_path / "nothing")):
        assert "no information about" in Browser(make_app(model_folder=folder)).get("/about").text


@pytest.mark.parametrize("name", ["model_card.html", "model.json", "model_card.json"])
def test_pipe_in_the_place_of_a_file_is_logged_and_not_read(make_app, served, log, name):
    (served / "10" / name).unlink(missing_ok=True)
    os.mkfifo(served / "10" / name)
    model_card._log_once.cache_clear()
    browser = Browser(make_app(model_folder=str(served)))
    for address in ("/", "/about"):
        assert browser.get(address).status_code == 200
    assert f"10/{name} cannot be read" in log.text and "it is not a file" in log.text
