import datetime

import pytest
import sqlalchemy as sa
import web_app
from web_app import Browser, photo

from web import database
from web.database import Upload, db

TOKEN = web_app.SETTINGS["admin_token"]
ODD_IDS = ["0" * 32, "1", "x" * 3000, "..%2f..%2fpilah.db", "..", "' OR 1=1 --", "\u202e"]


@pytest.fixture
def visitor(app):
    return Browser(app)


@pytest.fixture
def stranger(app):
    browser = Browser(app)
    browser.uploaded(photo("paper"))  # it gets its own cookie
    return browser


def sign_in(app, token=TOKEN):
    operator = Browser(app)
    return operator, operator.post("/operator", {"token": token})


def sees(browser, row_id):
    """Return a map of the ways to see a row -> HTTP status in this browser."""
    statuses = {name: browser.get(f"/{name}/{row_id}").status_code for name in ("result", "picture", "thumbnail")}
    statuses["state"] = browser.get(f"/result/{row_id}/state").status_code
    statuses["history"] = 200 if row_id in browser.get("/history").text else 404
    statuses["csv"] = 200 if row_id in browser.get("/history.csv").text else 404
    return statuses


def test_visitor_sees_own_row_and_a_stranger_gets_404(app, visitor, stranger):
    row_id = visitor.uploaded()
    assert set(sees(visitor, row_id).values()) == {200}
    assert set(sees(stranger, row_id).values()) == {404}
    assert set(sees(Browser(app), row_id).values()) == {404}  # a browser without a cookie
    assert app.test_client().get(f"/api/results/{row_id}").status_code == 404


def test_upload_with_a_lost_response_belongs_to_the_forms_cookie(app, visitor):
    visitor.get("/classify")
    before = visitor.cookie()
    row_id = visitor.uploaded()
    visitor.set_cookie(before)  # the response was lost
    assert set(sees(visitor, row_id).values()) == {200}


def test_stranger_cannot_correct_or_delete(app, visitor, stranger):
    row_id = visitor.uploaded()
    assert stranger.post(f"/result/{row_id}/correction", {"class_name": "metal"}).status_code == 404
    assert stranger.post(f"/result/{row_id}/deletion").status_code == 404
    [row] = [row for row in web_app.rows(app) if row.id == row_id]
    assert row.corrected_class is None
    assert set(sees(visitor, row_id).values()) == {200}


def test_tampered_cookie_gives_no_access(app, visitor):
    row_id = visitor.uploaded()
    thief = Browser(app)
    value = visitor.cookie()
    thief.set_cookie(value[:-3] + ("abc" if value[-3:] != "abc" else "cba"))
    assert set(sees(thief, row_id).values()) == {404}


def test_programs_row_is_available_only_in_the_api(app, visitor):
    row_id = web_app.classify(app, photo()).json["id"]
    assert app.test_client().get(f"/api/results/{row_id}").json["id"] == row_id
    assert set(sees(visitor, row_id).values()) == {404}


@pytest.mark.parametrize("row_id", ODD_IDS)
def test_invalid_row_id_is_404(visitor, row_id):
    visitor.uploaded()
    for path in ("/result/", "/picture/", "/thumbnail/", "/api/results/"):
        assert visitor.get(path + row_id).status_code == 404
    assert visitor.post(f"/result/{row_id}/deletion").status_code == 404
    assert visitor.post(f"/result/{row_id}/correction", {"class_name": "metal"}).status_code == 404


def test_operator_sees_all_rows_until_sign_out(app, visitor):
    ids = [visitor.uploaded(), web_app.classify(app, photo("metal")).json["id"]]
    operator, answer = sign_in(app)
    assert answer.status_code == 303
    for row_id in ids:
        assert set(sees(operator, row_id).values()) == {200}
    assert operator.post("/operator/leave").status_code == 303
    for row_id in ids:
        assert set(sees(operator, row_id).values()) == {404}


def test_operator_corrects_and_deletes_any_row(app, visitor):
    row_id = visitor.uploaded()
    operator, _ = sign_in(app)
    assert operator.post(f"/result/{row_id}/correction", {"class_name": "metal"}).status_code == 303
    assert web_app.rows(app)[0].corrected_class == "metal"
    assert operator.post(f"/result/{row_id}/deletion").status_code == 303
    assert web_app.rows(app) == web_app.files(app) == []


@pytest.mark.parametrize("token", ["wrong", TOKEN[:-1], TOKEN + " ", "тайна"])
def test_wrong_token_is_refused(app, visitor, token):
    row_id = visitor.uploaded()
    browser, answer = sign_in(app, token)
    assert answer.status_code == 403
    assert set(sees(browser, row_id).values()) == {404}


@pytest.mark.parametrize("token", ["", " ", "x", "None"])
def test_without_admin_token_nobody_can_sign_in(make_app, token):
    app = make_app(admin_token="")
    row_id = Browser(app).uploaded()
    browser, answer = sign_in(app, token)
    assert answer.status_code in (200, 403)
    assert set(sees(browser, row_id).values()) == {404}


def test_changed_admin_token_ends_the_session(make_app):
    row_id = Browser(make_app()).uploaded()
    operator, _ = sign_in(make_app())
    assert set(sees(operator, row_id).values()) == {200}
    later = Browser(make_app(admin_token="another operator's token"))
    later.set_cookie(operator.cookie())
    assert set(sees(later, row_id).values()) == {404}


def test_sign_in_attempts_are_limited(app):
    guesses = [sign_in(app, f"guess {number}")[1].status_code for number in range(11)]
    assert guesses == [403] * 10 + [429]
    assert sign_in(app)[1].status_code == 429


def test_correction_is_stored_in_addition_to_the_prediction(app, visitor):
    row_id = visitor.uploaded(photo("glass"))
    answer = visitor.post(f"/result/{row_id}/correction", {"class_name": "metal"})
    assert answer.status_code == 303 and answer.location == f"/result/{row_id}"
    [row] = web_app.rows(app)
    assert (row.class_name, row.corrected_class) == ("glass", "metal")
    assert row.corrected_at >= row.created_at
    for language, words in (
        ("en", "You said: <bdi>metal</bdi> (model said: <bdi>glass</bdi>). Thank you."),
        ("id", "Menurut Anda: <bdi>logam</bdi> (menurut model: <bdi>kaca</bdi>). Terima kasih."),
    ):
        assert words in visitor.get(f"/result/{row_id}", headers={"Accept-Language": language}).text


@pytest.mark.parametrize("fields", [{"feedback": "confirmed"}, {"class_name": "glass"}], ids=["yes", "its class"])
def test_confirmation_replaces_a_correction_and_is_a_label(app, visitor, fields):
    row_id = visitor.uploaded(photo("glass"))
    for answer in ({"class_name": "metal"}, fields):
        assert visitor.post(f"/result/{row_id}/correction", answer).status_code == 303
    [row] = web_app.rows(app)
    assert (row.corrected_class, row.feedback, row.label) == (None, "confirmed", "glass")
    assert row.corrected_at >= row.created_at
    assert "You said: <bdi>glass</bdi>, like the model." in visitor.get(f"/result/{row_id}").text


@pytest.mark.parametrize(("feedback", "words"), [("none", "none of these"), ("several", "several things")])
def test_photo_of_no_class_or_of_several_things_has_no_label_and_no_class_advice(app, visitor, feedback, words):
    row_id = visitor.uploaded(photo("glass"))
    for answer in ({"class_name": "metal"}, {"feedback": feedback}):
        assert visitor.post(f"/result/{row_id}/correction", answer).status_code == 303
    [row] = web_app.rows(app)
    assert (row.corrected_class, row.feedback, row.label) == (None, feedback, None)
    page = visitor.get(f"/result/{row_id}").text
    assert f"You said: {words} (model said: <bdi>glass</bdi>)." in page and "How to recycle" not in page


@pytest.mark.parametrize("fields", [{"class_name": "metal"}, {"feedback": "confirmed"}, {"feedback": "none"}])
def test_answer_is_withdrawn(app, visitor, fields):
    row_id = visitor.uploaded(photo("glass"))
    for answer in (fields, {"feedback": "withdrawn"}):
        assert visitor.post(f"/result/{row_id}/correction", answer).status_code == 303
    [row] = web_app.rows(app)
    assert (row.corrected_class, row.feedback, row.corrected_at, row.label) == (None, None, None, None)
    assert "Is this right?" in visitor.get(f"/result/{row_id}").text


@pytest.mark.parametrize("feedback", ["", "Confirmed", "glass", "none\0", "x" * 200])
def test_unknown_feedback_is_refused(app, visitor, feedback):
    row_id = visitor.uploaded()
    assert visitor.post(f"/result/{row_id}/correction", {"feedback": feedback}).status_code == 400
    assert web_app.rows(app)[0].feedback is None


def test_row_deleted_during_a_correction_stays_deleted(app, visitor, monkeypatch):
    row_id = visitor.uploaded(photo("glass"))

    def deleted_from_another_tab():
        with db.engine.begin() as other:
            other.execute(sa.delete(Upload))
        return datetime.datetime(2026, 3, 1)

    monkeypatch.setattr(database, "now", deleted_from_another_tab)
    answer = visitor.post(f"/result/{row_id}/correction", {"class_name": "metal"})
    assert answer.status_code == 303 and visitor.get(answer.location).status_code == 404
    assert web_app.rows(app) == []


@pytest.mark.parametrize("class_name", ["plastic", "Glass", "", "../../etc", "metal\0", "m" * 200])
def test_correction_to_an_unknown_class_is_refused(app, visitor, class_name):
    row_id = visitor.uploaded()
    assert visitor.post(f"/result/{row_id}/correction", {"class_name": class_name}).status_code == 400
    assert visitor.post(f"/result/{row_id}/correction").status_code == 400
    assert web_app.rows(app)[0].corrected_class is None


def test_waiting_row_cannot_be_corrected(make_app, model):
    app = make_app()
    visitor = Browser(app)
    model.stop()
    row_id = visitor.uploaded()
    for fields in ({"class_name": "metal"}, {"feedback": "confirmed"}):
        assert visitor.post(f"/result/{row_id}/correction", fields).status_code == 400
    assert web_app.rows(app)[0].label is None


def test_deletion_removes_the_row_and_its_files_only(app, visitor):
    deleted, kept = visitor.uploaded(), visitor.uploaded(photo("metal"))
    answer = visitor.post(f"/result/{deleted}/deletion", {"next": "https://evil.example/"})
    assert answer.status_code == 303 and answer.location == "/history"
    assert [row.id for row in web_app.rows(app)] == [kept]
    assert web_app.files(app) == [f"{kept}.jpg"]
    assert set(sees(visitor, deleted).values()) == {404}
    assert visitor.post(f"/result/{deleted}/deletion").status_code == 404


def test_visitors_keep_their_history_after_a_restart(make_app):
    browser = Browser(make_app())
    row_id = browser.uploaded()
    later = Browser(make_app())
    later.set_cookie(browser.cookie())
    assert set(sees(later, row_id).values()) == {200}
