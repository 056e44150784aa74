"""The operator's sessions: expiry, sign-out, revocation, copied cookies, and the log."""

import datetime

import pytest
import sqlalchemy as sa
import web_app
from web_app import Browser

from web import database, operator_sessions
from web.database import db

TOKEN = web_app.SETTINGS["admin_token"]
SECOND = datetime.timedelta(seconds=1)


@pytest.fixture
def clock(monkeypatch):
    """Return the page's clock, which a test may set."""
    times = {"now": database.now()}
    monkeypatch.setattr(database, "now", lambda: times["now"])
    return times


def signed_in(app):
    operator = Browser(app)
    assert operator.post("/operator", {"token": TOKEN}).status_code == 303
    assert is_operator(operator)
    return operator


def is_operator(browser):
    return "/operator/leave" in browser.get("/history").text


def copy_of(operator, app):
    thief = Browser(app)
    thief.set_cookie(operator.cookie())
    return thief


def stored(app):
    with app.app_context():
        return db.session.execute(sa.select(operator_sessions.OperatorSession.used_at)).scalars().all()


def command(app, *words):
    return app.test_cli_runner().invoke(args=["operator-sessions", *words])


def test_copied_cookie_gives_no_access_after_sign_out(app):
    row_id = Browser(app).uploaded()
    operator = signed_in(app)
    thief = copy_of(operator, app)
    assert thief.get(f"/picture/{row_id}").status_code == 200
    operator.post("/operator/leave")
    assert thief.get(f"/picture/{row_id}").status_code == 404 and not is_operator(thief)
    assert row_id not in thief.get("/history.csv").text
    assert stored(app) == []


@pytest.mark.parametrize(
    ("age", "uses_every", "is_valid"),
    [
        (datetime.timedelta(minutes=30) - SECOND, None, True),
        (datetime.timedelta(minutes=30), None, False),
        (datetime.timedelta(hours=12) - SECOND, datetime.timedelta(minutes=29), True),
        (datetime.timedelta(hours=12), datetime.timedelta(minutes=29), False),
        (datetime.timedelta(days=399), None, False),
        (-SECOND, None, True),  # the clock was set back a little
        (datetime.timedelta(hours=-2), None, False),
    ],
)
def test_session_ends_after_12_hours_or_30_minutes_without_use(app, clock, age, uses_every, is_valid):
    operator, start = signed_in(app), clock["now"]
    while uses_every and clock["now"] + uses_every < start + age:
        clock["now"] += uses_every
        assert is_operator(operator)
    clock["now"] = start + age
    assert is_operator(operator) is is_valid


def test_use_is_stored_at_most_once_a_minute(app, clock):
    operator, start = signed_in(app), clock["now"]
    clock["now"] = start + 59 * SECOND
    assert is_operator(operator) and stored(app) == [start]
    clock["now"] = start + 60 * SECOND
    assert is_operator(operator) and stored(app) == [start + 60 * SECOND]


def test_second_sign_in_ends_the_first_session_and_changes_the_csrf_token(app):
    operator = signed_in(app)
    thief, form_token = copy_of(operator, app), operator.csrf_token()
    assert operator.post("/operator", {"token": TOKEN}).status_code == 303
    assert is_operator(operator) and not is_operator(thief)
    assert operator.csrf_token() != form_token
    assert operator.client.post("/operator/leave", data={"csrf_token": form_token}).status_code == 400
    assert is_operator(operator)


def test_cookie_planted_before_sign_in_gives_no_access(app):
    attacker = Browser(app)
    attacker.get("/classify")
    operator = Browser(app)
    operator.set_cookie(attacker.cookie())
    operator.post("/operator", {"token": TOKEN})
    assert is_operator(operator) and not is_operator(attacker)


def test_sign_in_deletes_expired_sessions(app, clock):
    signed_in(app)
    clock["now"] += datetime.timedelta(minutes=31)
    signed_in(app)
    assert stored(app) == [clock["now"]]


def test_command_lists_sessions_and_revokes_one_or_all(app):
    first, second = signed_in(app), signed_in(app)
    heading, *lines = command(app).output.splitlines()
    assert "last used" in heading and len(lines) == 2
    assert command(app, "--revoke", lines[0].split()[0]).output == "revoked 1 sessions\n"
    assert sorted([is_operator(first), is_operator(second)]) == [False, True]
    assert command(app, "--revoke", "all").output == "revoked 1 sessions\n"
    assert not is_operator(first) and not is_operator(second)
    assert command(app, "--revoke", "all").exit_code == 0


def test_revoking_an_unknown_session_fails_with_one_line(app):
    done = command(app, "--revoke", "0" * 12)
    assert done.exit_code == 1 and len(done.output.splitlines()) == 1 and "--revoke must be the ID" in done.output


def test_sign_ins_and_sign_outs_are_logged_without_tokens(app, log):
    operator = signed_in(app)
    secret = {TOKEN, operator.cookie()}
    with operator.client.session_transaction() as session:
        secret.add(session["operator"])
    Browser(app).post("/operator", {"token": "a wrong token"})
    operator.post("/operator/leave")
    lines = [line for line in web_app.records(log) if "operator" in line["message"]]
    assert [(line["message"], line["level"]) for line in lines] == [
        ("operator signed in", "INFO"),
        ("operator sign-in refused: wrong token", "WARNING"),
        ("operator signed out", "INFO"),
    ]
    assert {line["address"] for line in lines} == {"127.0.0.1"}
    assert lines[0]["session"] == lines[2]["session"]
    assert not any(word in log.getvalue() for word in (*secret, "a wrong token"))
