"""HSTS and cache headers, and the origin check of forms."""

import io

import pytest
import web_app
from web_app import Browser, photo

pytestmark = pytest.mark.databases("sqlite")  # no test depends on the database
KEY = "k" * 32


@pytest.mark.parametrize(
    ("environment", "scheme", "is_sent"),
    [("production", "https", True), ("production", "http", False), ("development", "https", False)],
)
def test_hsts_is_sent_in_production_over_https(make_app, environment, scheme, is_sent):
    app = make_app(pilah_env=environment, secret_key=KEY, trusted_proxies=1)
    for path in ("/", "/static/style.css", "/nothing", "/api/nothing"):
        headers = app.test_client().get(path, headers={"X-Forwarded-Proto": scheme}).headers
        assert ("Strict-Transport-Security" in headers) is is_sent


def test_hsts_seconds_0_ends_hsts(make_app):
    app = make_app(pilah_env="production", secret_key=KEY, trusted_proxies=1, hsts_seconds=0)
    headers = app.test_client().get("/", headers={"X-Forwarded-Proto": "https"}).headers
    assert headers["Strict-Transport-Security"] == "max-age=0"


def test_forged_scheme_is_ignored(make_app):
    app = make_app(pilah_env="production", secret_key=KEY)
    assert "Strict-Transport-Security" not in app.test_client().get("/", headers={"X-Forwarded-Proto": "https"}).headers


CACHED = {  # path -> Cache-Control of its answer
    "/history": "no-store",
    "/history.csv": "no-store",
    "/result/{id}": "no-store",
    "/result/{id}/state": "no-store",
    "/operator": "no-store",
    "/result/nothing": "no-store",
    "/api/results/nothing": "no-store",
    "/picture/nothing": "no-store",
    "/heatmap/{id}": "no-store",  # of a model that makes none: 404
    "/operator/review": "no-store",
    "/picture/{id}": "private, no-cache",
    "/thumbnail/{id}": "private, no-cache",
    "/classify": "private, no-cache",
    "/api/docs": "private, no-cache",
    "/": "private, no-cache",
}


def test_personal_responses_are_not_cached(app):
    browser = Browser(app)
    row_id = browser.uploaded()
    for open_path in (browser.get, browser.client.head):
        answers = {path: open_path(path.format(id=row_id)).headers["Cache-Control"] for path in CACHED}
        assert answers == CACHED


def test_api_responses_are_not_cached(app):
    answer = web_app.classify(app, photo())
    for response in (answer, app.test_client().get(f"/api/results/{answer.json['id']}")):
        assert response.status_code == 200 and response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("kind", ["picture", "thumbnail"])
def test_cached_picture_is_revalidated_and_404_after_deletion(app, kind):
    browser = Browser(app)
    row_id = browser.uploaded()
    etag = {"If-None-Match": browser.get(f"/{kind}/{row_id}").headers["ETag"]}
    cached = browser.get(f"/{kind}/{row_id}", headers=etag)
    assert cached.status_code == 304 and cached.headers["Cache-Control"] == "private, no-cache"
    browser.post(f"/result/{row_id}/deletion")
    assert browser.get(f"/{kind}/{row_id}", headers=etag).status_code == 404


def two_tabs(app):
    """Return a browser with two tabs on its first visit, and the token of the first tab's form."""
    browser, first_tab = Browser(app), Browser(app)
    token = first_tab.csrf_token()  # the second tab's response replaced the cookie of this token
    browser.get("/classify")
    return browser, token


def send(browser, token, **headers):
    fields = {"csrf_token": token, "image": (io.BytesIO(photo()), "photo.jpg")}
    return browser.client.post("/classify", data=fields, headers=headers)


def test_same_origin_form_of_the_first_of_two_tabs_is_accepted(app):
    browser, token = two_tabs(app)
    answer = send(browser, token, **{"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 303 and browser.get(answer.location).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", "", "same-origin, cross-site", None])
def test_form_of_another_site_is_refused_with_the_likely_reasons(app, site):
    browser, token = two_tabs(app)
    answer = send(browser, token, **({} if site is None else {"Sec-Fetch-Site": site}))
    assert answer.status_code == 400 and "Your session expired" in answer.text
    assert web_app.rows(app) == []


def test_same_origin_forms_need_no_csrf_token(app):
    browser, headers = Browser(app), {"Sec-Fetch-Site": "same-origin"}
    data = {"token": web_app.SETTINGS["admin_token"]}
    assert browser.client.post("/operator", data=data, headers=headers).status_code == 303
    row_id = browser.uploaded()
    path = f"/result/{row_id}/correction"
    assert browser.client.post(path, data={"class_name": "metal"}, headers=headers).status_code == 303
    assert browser.client.post(path, data={"class_name": "paper"}).status_code == 400
