"""The cookie: its name, other programs on the same host, and visitors of earlier versions."""

import flask
import flask.sessions
import pytest
from web_app import Browser

pytestmark = pytest.mark.databases("sqlite")  # no test depends on the database
KEY, OTHER_KEY = "k" * 32, "o" * 32
HTTPS = {"base_url": "https://localhost", "headers": {"Referer": "https://localhost/"}}


def old_cookie(values, key=KEY):
    """Return the cookie `session` as Flask signs it by default, and earlier versions did."""
    app = flask.Flask(__name__)
    app.secret_key = key
    return flask.sessions.SecureCookieSessionInterface().get_signing_serializer(app).dumps(values)


def visitor_of(browser):
    with browser.client.session_transaction() as session:
        return session.get("visitor")


@pytest.mark.parametrize(("environment", "prefix"), [("development", "pilah_"), ("production", "__Host-pilah_")])
def test_cookie_name_is_unique_and_bound_to_the_host_in_production(make_app, environment, prefix):
    app = make_app(pilah_env=environment, secret_key=KEY)
    answer = app.test_client().get("/classify", **HTTPS, environ_overrides={"SCRIPT_NAME": "/pilah"})
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(prefix) and "Path=/;" in cookie + ";" and "Domain" not in cookie
    assert ("Secure" in cookie) is (environment == "production")


def test_two_installations_on_one_host_do_not_share_cookies(make_app):
    first, second = (Browser(make_app(secret_key=key)) for key in (KEY, OTHER_KEY))
    row_id = first.uploaded()
    second.get("/classify")
    first.client._cookies = second.client._cookies = {**first.client._cookies, **second.client._cookies}
    second.get("/classify")
    assert first.get(f"/result/{row_id}").status_code == 200


def test_cookie_of_another_flask_program_is_ignored(make_app):
    browser = Browser(make_app(secret_key=KEY))
    row_id = browser.uploaded()
    browser.client.set_cookie("session", old_cookie({"visitor": "f" * 32}, OTHER_KEY))
    assert browser.get(f"/result/{row_id}").status_code == 200


def test_visitor_of_an_earlier_version_keeps_history_language_and_open_form(make_app):
    app = make_app(secret_key=KEY)
    old = Browser(app)
    row_id = old.uploaded()
    with old.client.session_transaction() as session:
        values = dict(session) | {"language": "id"}
    new = Browser(app)
    new.client.set_cookie("session", old_cookie(values))
    answer = new.client.post("/language", data={"csrf_token": old.csrf_token(), "language": "id"})
    assert answer.status_code == 303
    new.client.delete_cookie("session")  # only the first request needs it
    page = new.get(f"/result/{row_id}")
    assert page.status_code == 200 and 'lang="id"' in page.text


@pytest.mark.parametrize(
    ("values", "key"), [({"visitor": "f" * 32}, OTHER_KEY), ({"operator": "x" * 43}, KEY), ({}, KEY)]
)
def test_invalid_old_cookie_gives_no_access(make_app, values, key):
    app = make_app(secret_key=KEY)
    browser = Browser(app)
    browser.client.set_cookie("session", old_cookie(values, key))
    page = browser.get("/history")
    assert visitor_of(browser) is None and "/operator/leave" not in page.text


def test_new_cookie_is_not_accepted_under_the_old_name(make_app):
    app = make_app(secret_key=KEY)
    attacker, victim = Browser(app), Browser(app)
    attacker.get("/classify")
    victim.client.set_cookie("session", attacker.cookie())  # as a page of a sibling domain could
    victim.get("/classify")
    assert visitor_of(victim) not in (None, visitor_of(attacker))


def test_old_cookie_does_not_replace_the_new_one(make_app):
    browser = Browser(make_app(secret_key=KEY))
    browser.get("/classify")
    visitor = visitor_of(browser)
    browser.client.set_cookie("session", old_cookie({"visitor": "f" * 32}))
    browser.get("/classify")
    assert visitor_of(browser) == visitor
