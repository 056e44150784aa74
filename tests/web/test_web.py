import errno
import html
import io
import logging
import os
import re
from urllib.parse import urljoin, urlsplit

import pytest
import sqlalchemy as sa
import web_app
from PIL import Image
from web_app import Browser, photo

from web import uploads
from web.database import Upload, db

pytestmark = pytest.mark.databases("sqlite")  # both for tests that depend on the database
MIB = 1024 * 1024
PAGES = ["/", "/classify", "/history", "/history.csv", "/operator", "/healthz", "/metrics", "/api/openapi.json"]
NAMES = ["../../etc/passwd", "..\\..\\boot.jpg", "/etc/passwd.jpg", "a/b.jpg", "%2e%2e%2fx.jpg", "x" * 400 + ".jpg"]
NAMES += ["<script>.jpg", "; rm -rf *.jpg", "foto\u202egpj.exe", ".", "a\tb.jpg"]
FORMS = ["/classify", "/language", "/operator", "/operator/leave", "/result/{id}/correction", "/result/{id}/deletion"]


@pytest.fixture
def browser(app):
    return Browser(app)


def files_in(folder):
    return {path for path in folder.rglob("*") if path.is_file() and "pilah.db" not in path.name}


@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize("path", PAGES)
def test_page_is_200(browser, path):
    assert browser.get(path).status_code == 200


def test_unknown_address_is_a_page_and_json_in_the_api(browser):
    page, answer = browser.get("/nothing"), browser.get("/api/nothing")
    assert page.status_code == answer.status_code == 404
    assert page.mimetype == "text/html" and "</html>" in page.text
    assert answer.json.keys() == {"error", "detail"}
    assert browser.get("/language").status_code == 405
    assert browser.get("/api/classify").json["error"]


@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize(
    "path",
    ["/result/%00", "/picture/a%00", "/api/results/%00", "/history?class=%00", "/history.csv?class=a%00b"]
    + ["/history?after=1~2026-03-01T12:00:00~%00", "/%00", "/result/%ff%fe", "/history?class=%ff", "/static/%00"],
)
def test_address_with_invalid_bytes_is_below_500(browser, path):
    browser.uploaded()
    assert browser.get(path).status_code < 500


@pytest.mark.databases("sqlite", "postgresql")
def test_uploaded_photo_is_stored_classified_and_shown(app, model, browser):
    response = browser.upload(photo("metal", size=(1200, 900)))
    assert response.status_code == 303
    [row] = web_app.rows(app)
    assert re.fullmatch("[0-9a-f]{32}", row.id) and response.location == f"/result/{row.id}"
    assert (row.state, row.class_name, row.model_version) == ("done", "metal", web_app.VERSION)
    assert list(row.scores) == list(web_app.CLASSES) and row.score == max(row.scores.values())
    assert web_app.files(app) == [f"{row.id}.jpg"]
    page = browser.get(response.location)
    assert page.status_code == 200 and "metal" in page.text.lower() and "waiting.js" not in page.text
    picture, thumbnail = browser.get(f"/picture/{row.id}"), browser.get(f"/thumbnail/{row.id}")
    assert picture.mimetype == thumbnail.mimetype == "image/jpeg"
    assert model.photos == [picture.data]  # the page shows the picture that was classified
    assert Image.open(io.BytesIO(picture.data)).size == (1024, 768)
    assert Image.open(io.BytesIO(thumbnail.data)).size == (160, 120)
    assert web_app.files(app) == [f"{row.id}.jpg", f"{row.id}.small.jpg"]  # created by the first request
    assert browser.get(f"/thumbnail/{row.id}").data == thumbnail.data
    assert "private" in picture.headers["Cache-Control"]


@pytest.mark.databases("sqlite", "postgresql")
def test_api_answers_without_a_cookie(app):
    answer = web_app.classify(app, photo("paper"))
    [row] = web_app.rows(app)
    assert answer.status_code == 200 and "Set-Cookie" not in answer.headers
    assert answer.json["id"] == row.id
    assert (answer.json["class_name"], answer.json["score"], answer.json["scores"]) == ("paper", row.score, row.scores)
    assert list(answer.json["scores"]) == list(web_app.CLASSES)
    again = app.test_client().get(f"/api/results/{row.id}")
    assert again.status_code == 200 and {**again.json, "token": answer.json["token"]} == answer.json


@pytest.mark.parametrize(("content", "status"), [(b"", 400), (b"<html>", 415), (photo()[:-20], 400)])
def test_refused_upload_is_explained_and_not_stored(app, browser, content, status):
    page = browser.upload(content)
    assert page.status_code == status and "</html>" in page.text
    answer = web_app.classify(app, content)
    assert answer.status_code == status and answer.json["detail"] in html.unescape(page.text)
    assert web_app.rows(app) == web_app.files(app) == []


@pytest.mark.parametrize("path", ["/classify", "/api/classify"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"photo": (io.BytesIO(photo()), "photo.jpg")},
        {"image": "photo.jpg"},
        {"image": (io.BytesIO(b""), "")},
        {"image": [(io.BytesIO(photo("glass")), "a.jpg"), (io.BytesIO(photo("metal")), "b.jpg")]},
    ],
    ids=["no field", "wrong field", "text", "nothing chosen", "repeated field"],
)
def test_form_without_exactly_one_photo_is_refused(app, path, fields):
    copies = {  # the client closes the files that it sends
        name: [(io.BytesIO(file.getvalue()), file_name) for file, file_name in value]
        if isinstance(value, list)
        else value
        for name, value in fields.items()
        if not isinstance(value, tuple)
    }
    copies |= {
        name: (io.BytesIO(value[0].getvalue()), value[1]) for name, value in fields.items() if isinstance(value, tuple)
    }
    assert Browser(app).post(path, copies).status_code == 400
    assert web_app.rows(app) == web_app.files(app) == []


@pytest.mark.parametrize("name", NAMES)
def test_file_name_does_not_reach_the_disk(make_app, tmp_path, name):
    app = make_app()
    before = files_in(tmp_path.parent)
    assert web_app.classify(app, photo(), name).status_code == 200
    [row] = web_app.rows(app)
    new = {path.relative_to(tmp_path) for path in files_in(tmp_path.parent) - before}
    assert {str(path) for path in new} == {f"uploads/{row.id[:2]}/{row.id}.jpg"}


@pytest.mark.parametrize("size", [MIB + 1, 2 * MIB], ids=["by one byte", "by far"])
def test_photo_over_the_limit_is_refused_with_the_limit(make_app, size):
    app = make_app(max_upload_bytes=MIB)
    content = photo().ljust(size, b"\0")
    page, answer = Browser(app).upload(content), web_app.classify(app, content)
    assert page.status_code == answer.status_code == 413
    assert "1 MB" in page.text and "1 MB" in answer.json["detail"]
    assert web_app.rows(app) == []


def test_upload_without_free_space_is_explained_and_logged(app, monkeypatch, caplog):
    monkeypatch.setattr(uploads, "MIN_FREE_BYTES", 2**80)
    log = logging.getLogger("web")
    log.addHandler(caplog.handler)
    page, answer = Browser(app).upload(), web_app.classify(app, photo(), headers={"Accept-Language": "id"})
    log.removeHandler(caplog.handler)
    assert page.status_code == answer.status_code == 503
    assert "no space for more photos" in page.text and "tidak ada ruang" in answer.json["detail"]
    assert [record.levelname for record in caplog.records if "PILAH_DATA" in record.getMessage()] == ["ERROR"] * 2
    assert web_app.rows(app) == web_app.files(app) == []


def test_full_disk_leaves_no_partial_picture(app, monkeypatch):
    def no_space(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    assert web_app.classify(app, photo()).status_code == 503
    assert web_app.rows(app) == web_app.files(app) == []


def test_picture_is_synced_before_its_row_is_written(app, monkeypatch):
    synced, sync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), sync(handle)))
    row_id = web_app.classify(app, photo()).json["id"]
    picture = app.extensions["pilah_uploads"].store.picture(row_id)
    assert synced == [path.stat().st_ino for path in (picture, picture.parent, picture.parent.parent)]


def test_photo_at_the_limit_is_accepted(make_app):
    app = make_app(max_upload_bytes=MIB)
    assert Browser(app).upload(photo().ljust(MIB, b"\0")).status_code == 303


def test_photo_over_the_pixel_limit_is_refused_with_the_limit(make_app):
    app = make_app(max_pixels=2_000_000)
    page = Browser(app).upload(photo(size=(2001, 1000)))
    assert page.status_code == 413 and "up to 2 million pixels" in page.text and "Choose a smaller one" in page.text


def test_too_small_photo_is_refused_with_the_next_step(app):
    detail = web_app.classify(app, photo(size=(15, 40))).json["detail"]
    assert "at least 16 pixels" in detail and "Choose a larger one." in detail


@pytest.mark.parametrize(("name", "shown"), [("glass", "glass"), ("old paper", "old paper"), ("<b>", "&lt;b&gt;")])
def test_class_name_is_isolated_in_the_heading_and_plain_in_the_title(app, browser, name, shown):
    row_id = browser.uploaded()
    with app.app_context():
        db.session.execute(sa.update(Upload).values(class_name=name, score=1.0, scores={name: 1.0}))
        db.session.commit()
    text = browser.get(f"/result/{row_id}").text
    assert f"<h1>Probably <bdi>{shown}</bdi></h1>" in text and f"<title>Probably {shown} - Pilah</title>" in text


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("token", [None, "", "of another browser"])
def test_form_without_a_valid_csrf_token_is_refused(app, browser, path, token):
    fields = {"language": "id", "token": web_app.SETTINGS["admin_token"], "class_name": "metal"}
    fields["image"] = (io.BytesIO(photo()), "photo.jpg")
    if token is not None:
        fields["csrf_token"] = token and Browser(app).csrf_token()
    row_id = browser.uploaded()
    answer = browser.client.post(path.format(id=row_id), data=fields)
    assert answer.status_code == 400 and "</html>" in answer.text
    [row] = web_app.rows(app)
    assert (row.id, row.corrected_class) == (row_id, None)
    assert '<html lang="en">' in browser.get("/").text


def test_form_without_its_cookie_is_explained_and_logged(app, browser, caplog):
    log = logging.getLogger("web")
    log.addHandler(caplog.handler)
    page = app.test_client(use_cookies=False).post("/language", data={"csrf_token": browser.csrf_token()})
    log.removeHandler(caplog.handler)
    assert page.status_code == 400 and "cookie" in page.text and "https://" in page.text
    assert "400 /language: The CSRF session token is missing." in caplog.messages


@pytest.mark.parametrize("referrer", ["https://pilah.example/classify", None])
def test_form_with_a_wrong_referrer_is_explained_and_the_log_names_the_proxy(make_app, caplog, referrer):
    app = make_app(pilah_env="production", secret_key="k" * 32, trusted_proxies=1)
    browser = Browser(app, base_url="https://127.0.0.1:8000")  # the host behind a proxy that does not pass Host
    log = logging.getLogger("web")
    log.addHandler(caplog.handler)
    page = browser.post("/language", {"language": "id"}, headers={"Referer": referrer} if referrer else {})
    log.removeHandler(caplog.handler)
    assert page.status_code == 400 and "came from a page of this site" in page.text and "cookie" not in page.text
    [hint] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    for words in ("https://127.0.0.1:8000/", referrer or "no referrer", "proxy", "docs/deployment.md"):
        assert words in hint
    accepted = browser.post("/language", {"language": "id"}, headers={"Referer": "https://127.0.0.1:8000/classify"})
    assert accepted.status_code == 303


def test_forms_are_accepted_over_plain_http_in_development(app):
    phone = Browser(app, base_url="http://192.168.0.7:8000")
    assert phone.upload().status_code == 303
    assert phone.post("/language", {"language": "id"}).status_code == 303


def test_form_with_a_wrong_value_does_not_blame_cookies(browser):
    page = browser.post("/language", {"language": "tlh"})
    assert page.status_code == 400 and "incomplete or had a wrong value" in page.text and "cookie" not in page.text


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("id", "id"), ("id-ID,id;q=0.9,en;q=0.5", "id"), ("en-GB", "en"), ("fr", "en"), ("*", "en"), ("", "en")]
    + [("id-ID,en;q=0.5", "id"), ("id_ID,en;q=0.5", "id"), ("in-ID,en;q=0.5", "id"), ("ID-id,en;q=0.9", "id")]
    + [("en-GB,id;q=0.9", "en"), ("id;q=0.5,en-US;q=0.9", "en"), ("fr,id-ID;q=0.3", "id"), ("ms-MY,*;q=0.5", "en")]
    + [("id-ID;q=0,en;q=0.1", "en"), ("id-Latn-ID, en;q=0.8", "id"), ("i-default", "en"), ("idx,en", "en")]
    + [("id-ID;q=high,en;q=0.5", "en"), (";;,,=;q=", "en"), ("id-ID\t;q=1", "id"), ("-", "en"), ("x" * 5000, "en")],
)
def test_language_follows_accept_language(browser, accepted, language):
    assert f'<html lang="{language}">' in browser.get("/", headers={"Accept-Language": accepted}).text


def test_chosen_language_does_not_apply_to_the_api(browser):
    browser.post("/language", {"language": "id"})
    answer = browser.client.post("/api/classify", headers={"Accept-Language": "en"})
    assert answer.json["error"] == "type" and answer.json["detail"].startswith("Send a multipart/form-data form")
    assert "Set-Cookie" not in answer.headers and "Cookie" not in answer.headers.get("Vary", "")


def test_chosen_language_is_kept(browser):
    assert browser.post("/language", {"language": "id"}).status_code == 303
    assert '<html lang="id">' in browser.get("/classify", headers={"Accept-Language": "en"}).text
    assert browser.post("/language", {"language": "tlh"}).status_code == 400
    assert '<html lang="id">' in browser.get("/").text


@pytest.mark.parametrize(
    ("referrer", "path"),
    [
        ("http://localhost/history", "/history"),
        ("http://localhost/", "/"),
        (None, "/"),
        ("http://evil.example/history", "/"),
        ("http://localhost.evil.example/", "/"),
        ("http://localhost//evil.example/", None),
        ("http://localhost/\\evil.example/", None),
        ("http://localhost/\t/evil.example/", None),
        ("//evil.example/", "/"),
        ("javascript:alert(1)", None),
        ("http://[::1", "/"),
    ],
)
def test_language_switch_redirects_only_to_this_site(browser, referrer, path):
    headers = {"Referer": referrer} if referrer else {}
    answer = browser.post("/language", {"language": "id"}, headers=headers)
    assert answer.status_code == 303
    location = answer.location.replace("\\", "/").replace("\t", "")  # as browsers parse it
    target = urlsplit(urljoin("http://localhost/language", location))
    assert (target.scheme, target.netloc) == ("http", "localhost")
    assert path in (None, target.path)


@pytest.mark.parametrize("path", [*PAGES, "/nothing", "/api/nothing", "/static/style.css", "/picture/{id}"])
def test_only_the_upload_form_renews_the_cookie(browser, path):
    row_id = browser.uploaded()
    assert ("Set-Cookie" in browser.get(path.format(id=row_id)).headers) == (path in ("/", "/classify"))
    assert "Set-Cookie" not in browser.upload().headers  # this response may be late


@pytest.mark.parametrize("path", [*PAGES, "/nothing", "/api/nothing", "/static/style.css", "/picture/{id}"])
def test_every_response_has_security_headers(browser, path):
    headers = browser.get(path.format(id=browser.uploaded())).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] in ("same-origin", "strict-origin", "no-referrer")
    assert headers["X-Request-Id"]


def test_page_has_no_inline_script_or_style_and_no_other_host(browser):
    for path in ("/", "/classify", "/history", "/operator", f"/result/{browser.uploaded()}", "/nothing"):
        page = browser.get(path).text
        assert not re.search(r"<script(?![^>]*\bsrc=)", page) and "<style" not in page
        assert not re.search(r"\s(style|on[a-z]+)=[\"']", page)
        assert not re.search(r"(src|href|action)=[\"'](https?:)?//", page)


@pytest.mark.parametrize(("environment", "secure"), [("development", False), ("production", True)])
def test_cookie_is_http_only_same_site_and_secure_in_production(make_app, environment, secure):
    app = make_app(pilah_env=environment, secret_key="k" * 32)
    cookie = Browser(app, base_url="https://localhost").get("/classify").headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    assert ("Secure" in cookie) is secure


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/classify", {"OPTIONS", "POST"}),
        ("DELETE", "/", {"GET", "HEAD", "OPTIONS"}),
        ("GET", "/language", {"OPTIONS", "POST"}),
        ("TRACE", "/history", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_wrong_method_is_405_with_allow(app, method, path, allowed):
    answer = app.test_client().open(path, method=method)
    assert answer.status_code == 405
    assert allowed <= set(answer.headers["Allow"].split(", "))
    assert answer.mimetype == ("application/json" if path.startswith("/api/") else "text/html")


def test_error_keeps_its_own_headers(make_app):
    app = make_app(upload_rate="1 per minute")
    browser = Browser(app)
    row_id = browser.uploaded()
    assert int(browser.upload().headers["Retry-After"]) <= 61
    beyond_the_end = browser.get(f"/picture/{row_id}", headers={"Range": "bytes=9999999-"})
    assert beyond_the_end.status_code == 416
    assert beyond_the_end.headers["Content-Range"].startswith("bytes */")


@pytest.mark.parametrize("path", FORMS)
def test_language_button_on_a_form_error_page_leads_to_a_page(browser, path):
    path = path.format(id=browser.uploaded())
    assert browser.client.post(path).status_code == 400  # without a token
    answer = browser.post("/language", {"language": "id"}, headers={"Referer": f"http://localhost{path}"})
    page = browser.get(answer.location)
    assert page.status_code == 200 and '<html lang="id">' in page.text


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/result/{id}/correction", "/result/{id}"),
        ("/result/{id}/deletion", "/result/{id}"),
        ("/operator/leave", "/history"),
        ("/language", "/"),
        ("/nothing?a=b", "/nothing?a=b"),
        ("/result/%ff%00/deletion", "/result/%EF%BF%BD%00"),
    ],
)
def test_language_button_on_an_error_page_leads_to_the_right_page(browser, path, page):
    row_id = "0" * 32
    referrer = f"http://localhost{path.format(id=row_id)}"
    answer = browser.post("/language", {"language": "id"}, headers={"Referer": referrer})
    assert answer.location == page.format(id=row_id)
