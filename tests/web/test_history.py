import csv
import datetime
import html
import io
import re
from typing import Any

import flask
import pytest
import sqlalchemy as sa
import web_app
from web_app import Browser, photo

from web import history_query
from web.database import Feedback, Upload, db, new_id

NOON = datetime.datetime(2026, 3, 1, 12)
WRONG_CURSORS = ["x", "1~2", "~~", "1~yesterday~0", "9" * 5000, "1~2026-03-01T12:00:00Z~a"]
WRONG_CURSORS += ["x~2026-03-01T12:00:00~a", "-1~0001-01-01T00:00:00~", "1~9999-12-31T23:59:59~z", "1~~~~"]


@pytest.fixture
def visitor(app):
    browser = Browser(app)
    browser.uploaded()
    with app.app_context():
        db.session.query(Upload).delete()
        db.session.commit()
    return browser


def add(app, browser, count, per_second=3, **columns):
    """Add `count` rows of this browser, `per_second` a second, and return all ids, newest first."""
    with browser.client.session_transaction() as cookie:
        visitor = cookie["visitor"]
    with app.app_context():
        values = {"visitor": visitor, "state": "done", "class_name": "glass", "score": 0.75, "model_version": 3}
        values |= {"scores": {"glass": 0.75, "metal": 0.25, "paper": 0.0}}
        new = [
            Upload(
                id=new_id(), created_at=NOON + datetime.timedelta(seconds=number // per_second), **{**values, **columns}
            )
            for number in range(count)
        ]
        db.session.add_all(new)
        db.session.commit()
    return [row.id for row in reversed(web_app.rows(app))]


def page(app, browser, **arguments):
    """Return a map of number -> id on a page of the history, and the cursor of the next page."""
    rendered = []

    def record(sender, template, context, **extra):
        rendered.append(context["page"])

    with flask.template_rendered.connected_to(record, app):
        answer = browser.get("/history", query_string=arguments)
    assert answer.status_code == 200
    [history] = rendered
    for row in history.rows:
        assert row.id in answer.text
    return dict(enumerate((row.id for row in history.rows), history.first_number)), history.next_cursor


def pages(app, browser, **arguments):
    ids, cursor = page(app, browser, **arguments)
    while cursor:
        next_ids, cursor = page(app, browser, after=cursor, **arguments)
        assert not set(ids) & set(next_ids)
        ids |= next_ids
    return ids


def lines(browser, **arguments):
    answer = browser.get("/history.csv", query_string=arguments)
    assert answer.mimetype == "text/csv" and "attachment" in answer.headers["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))


@pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 40, 45])
def test_pages_show_each_row_once_newest_first_with_running_numbers(app, visitor, count):
    ids = add(app, visitor, count)
    assert pages(app, visitor) == dict(enumerate(ids, 1))


def test_rows_with_equal_times_are_shown_once(app, visitor):
    ids = add(app, visitor, 45, per_second=45)
    assert list(pages(app, visitor).values()) == ids


def test_upload_between_two_pages_neither_repeats_nor_hides_a_row(app, visitor):
    ids = add(app, visitor, 30)
    first, cursor = page(app, visitor)
    visitor.uploaded()
    second, _ = page(app, visitor, after=cursor)
    assert [*first.values(), *second.values()] == ids


def test_deletion_between_two_pages_neither_repeats_nor_hides_a_row(app, visitor):
    ids = add(app, visitor, 30)
    first, cursor = page(app, visitor)
    visitor.post(f"/result/{first[20]}/deletion")
    second, _ = page(app, visitor, after=cursor)
    assert [*first.values(), *second.values()] == ids


def test_deleting_the_last_row_of_a_page_leads_to_the_first_page_with_the_filters(app, visitor):
    add(app, visitor, 21)
    with app.app_context():
        db.session.query(Upload).update({"corrected_class": "metal"})
        db.session.commit()
    filters = {"class": "glass", "corrected": "1"}
    first, cursor = page(app, visitor, **filters)
    second, _ = page(app, visitor, after=cursor, **filters)
    older = visitor.get("/history", query_string={"after": cursor, **filters}).request.query_string.decode()
    answer = visitor.post(f"/result/{second[21]}/deletion", {"history": older})
    assert answer.location == f"/history?{older}"
    answer = visitor.get(answer.location)
    assert answer.status_code == 303 and answer.location == "/history?class=glass&corrected=1"
    assert page(app, visitor, **filters) == (first, None)


@pytest.mark.parametrize("cursor", WRONG_CURSORS)
def test_invalid_cursor_is_answered(app, visitor, cursor):
    add(app, visitor, 3)
    assert visitor.get(f"/history?after={cursor}").status_code == 200


def test_history_is_filtered_by_class_and_by_correction(app, visitor):
    ids = {name: visitor.uploaded(photo(name)) for name in web_app.CLASSES}
    again = visitor.uploaded(photo("glass", seed=1))
    visitor.post(f"/result/{again}/correction", {"class_name": "metal"})
    visitor.post(f"/result/{ids['paper']}/correction", {"feedback": "several"})
    visitor.post(f"/result/{ids['metal']}/correction", {"feedback": "confirmed"})
    expected = {
        (): [again, ids["paper"], ids["metal"], ids["glass"]],
        (("class", "glass"),): [again, ids["glass"]],
        (("corrected", "1"),): [again, ids["paper"]],
        (("class", "paper"), ("corrected", "1")): [ids["paper"]],
        (("class", "glass"), ("corrected", "1")): [again],
        (("class", "plastic"),): [],
        (("class", ""), ("corrected", "")): [again, ids["paper"], ids["metal"], ids["glass"]],
    }
    for arguments, rows in expected.items():
        assert list(pages(app, visitor, **dict(arguments)).values()) == rows
        assert [line["id"] for line in lines(visitor, **dict(arguments))] == rows


UNSURE = {"certainty": "unsure", "prediction_set": ["glass", "metal"], "typicality": 0.25}
CERTAINTIES: dict[str, dict[str, Any]] = {
    "sure": {"certainty": "sure", "prediction_set": ["glass"], "typicality": 0.5},
    "unsure": UNSURE,
    "untypical": {"certainty": "untypical", "prediction_set": ["glass"], "typicality": 0.001},
    "unknown": {},
}


def test_history_is_filtered_by_unsure_answers(app, visitor):
    [metal] = add(app, visitor, 1, class_name="metal", **UNSURE)
    ids = {name: (set(add(app, visitor, 1, **columns)) - {metal}) for name, columns in CERTAINTIES.items()}
    unsure = ids["unsure"] - ids["sure"] | ids["untypical"] - ids["unsure"]
    for arguments, rows in (({"unsure": "1"}, unsure | {metal}), ({"unsure": "1", "class": "metal"}, {metal})):
        assert set(pages(app, visitor, **arguments).values()) == rows
        assert {line["id"] for line in lines(visitor, **arguments)} == rows
    assert pages(app, visitor, unsure="1", corrected="1") == {}
    assert len(pages(app, visitor, unsure="0")) == 5


def test_links_of_the_history_keep_the_unsure_filter(app, visitor):
    add(app, visitor, 45, **UNSURE)
    add(app, visitor, 5, **CERTAINTIES["sure"])
    assert len(pages(app, visitor, unsure="1")) == 45
    text = html.unescape(visitor.get("/history?unsure=1").text)
    assert re.search(r'rel="next" href="/history\?[^"]*unsure=1', text) and 'href="/history.csv?unsure=1"' in text
    assert re.search(r'id="unsure"[^>]* checked', text) and not re.search(r'id="corrected"[^>]* checked', text)
    first, cursor = page(app, visitor, unsure="1")
    answer = visitor.post(f"/result/{first[1]}/deletion", {"history": f"unsure=1&after={cursor}"})
    assert answer.location == f"/history?unsure=1&after={cursor}"


def test_empty_unsure_history_says_that_no_photos_match(app, visitor):
    add(app, visitor, 1)
    assert "No photos match." in visitor.get("/history?unsure=1").text


@pytest.mark.databases("sqlite")
def test_unsure_photos_of_a_visitor_are_read_from_their_index_without_sorting(app, visitor):
    rows = sa.select(Upload).where(Upload.visitor == "a")
    filtered = history_query.filtered(rows, history_query.Filters(is_unsure=True))
    ordered = filtered.order_by(Upload.created_at.desc(), Upload.id.desc()).limit(21)
    with app.app_context():
        compiled: Any = ordered.compile(db.engine, compile_kwargs={"render_postcompile": True})
        values = tuple(compiled.params[name] for name in compiled.positiontup)
        answer = db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values)
        plan = [row[3] for row in answer]
    assert len(plan) == 1 and "USING INDEX ix_upload_unsure (visitor=?)" in plan[0]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (CERTAINTIES["sure"], "glass"),
        (UNSURE, "glass Not sure"),
        (CERTAINTIES["untypical"], "glass Unlike the photos it learned from"),
        ({**UNSURE, "corrected_class": "metal"}, "metal Corrected. Model: glass, 75%"),
    ],
)
def test_row_says_that_its_answer_is_unsure(app, visitor, columns, words):
    add(app, visitor, 1, **columns)
    prediction = re.search(r'class="prediction">(.*?)</td>', visitor.get("/history").text, re.DOTALL)
    assert prediction and " ".join(re.sub(r"<[^>]*>", " ", prediction[1]).split()) == words


def test_csv_has_the_prediction_set_typicality_and_certainty(app, visitor):
    add(app, visitor, 1, **{**UNSURE, "prediction_set": ["=1+1", "metal"]})
    [line] = lines(visitor)
    assert (line["prediction_set"], line["typicality"], line["certainty"]) == ("'=1+1/metal", "0.25", "unsure")


def test_filter_applies_to_all_pages(app, visitor):
    add(app, visitor, 45, class_name="metal")
    ids = add(app, visitor, 45)
    glass = {row.id for row in web_app.rows(app) if row.class_name == "glass"}
    assert pages(app, visitor, **{"class": "glass"}) == dict(
        enumerate([row_id for row_id in ids if row_id in glass], 1)
    )


def test_csv_has_every_row_in_the_order_of_the_pages(app, visitor):
    ids = add(app, visitor, 1100)  # more than one batch
    csv_rows = lines(visitor)
    assert [line["id"] for line in csv_rows] == ids
    assert [line["no"] for line in csv_rows] == [str(number) for number in range(1, 1101)]
    row = {row.id: row for row in web_app.rows(app)}[ids[0]]
    assert csv_rows[0] == {
        "no": "1",
        "id": row.id,
        "prediction": "glass",
        "probability": "0.75",
        "correction": "",
        "model_version": "3",
        "state": "done",
        "timestamp_utc": f"{row.created_at.isoformat()}Z",
        "feedback": "",
        "prediction_set": "",
        "typicality": "",
        "certainty": "",
    }


@pytest.mark.parametrize("feedback", [None, *Feedback])
def test_csv_has_the_feedback(app, visitor, feedback):
    add(app, visitor, 1, feedback=feedback)
    assert [line["feedback"] for line in lines(visitor)] == [feedback or ""]


def test_csv_without_rows_has_a_header(app):
    assert Browser(app).get("/history.csv").data.startswith("\ufeffno,id,prediction,".encode())


def test_csv_is_utf_8_for_excel_and_has_no_formula(app, visitor):
    add(app, visitor, 1, class_name="Restmüll", corrected_class="=1+1")
    assert visitor.get("/history.csv").data.startswith(b"\xef\xbb\xbfno,")
    [line] = lines(visitor)
    assert (line["prediction"], line["correction"]) == ("Restmüll", "'=1+1")


@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", '=HYPERLINK("//x","y")']
)
def test_class_name_that_starts_a_formula_is_escaped_in_the_csv(app, visitor, name):
    add(app, visitor, 1, class_name=name)
    assert [line["prediction"] for line in lines(visitor)] == [f"'{name}"]


@pytest.mark.parametrize("name", ["Restmüll", "PET, clear", 'a "b"', "1=1", "纸板", "نفايات", "♻️", "two\nlines"])
def test_other_class_name_is_unchanged_in_the_csv(app, visitor, name):
    add(app, visitor, 1, class_name=name)
    assert [line["prediction"] for line in lines(visitor)] == [name]


def test_waiting_row_is_shown_without_a_prediction(make_app, model):
    app = make_app()
    visitor = Browser(app)
    model.stop()
    row_id = visitor.uploaded()
    assert pages(app, visitor) == {1: row_id}
    [line] = lines(visitor)
    assert (line["state"], line["prediction"], line["probability"]) == ("waiting", "", "")


UNUSUAL_ROWS = {  # name -> columns of a row, heading of its page
    "done without a class": ({"class_name": None, "score": None, "scores": None}, "No result for this photo"),
    "refused": ({"state": "refused", "class_name": None, "score": None, "scores": None}, "No result for this photo"),
    "without scores": ({"score": None, "scores": None}, "Probably glass"),
    "no scores": ({"scores": {}}, "Probably glass"),
    "score of 0": ({"score": 0.0, "scores": {"glass": 0.0, "metal": 0.0}}, "Probably glass"),
    "whole numbers": ({"score": 1, "scores": {"glass": 1, "metal": 0}}, "Probably glass"),
    "tiny scores": ({"score": 1e-30, "scores": {"glass": 1e-30, "metal": 5e-324}}, "Probably glass"),
    "1,000 classes": (
        {"score": 0.001, "scores": {f"class {number}": 0.001 for number in range(1000)}},
        "Probably glass",
    ),
    "class of an earlier model": ({"class_name": "HDPE", "corrected_class": "PET"}, "Probably HDPE"),
    "placeholder": ({"class_name": "%(x)s 100% {{ 1 }}", "corrected_class": "%s"}, "Probably %(x)s 100% {{ 1 }}"),
    "sure without scores": ({"certainty": "sure", "prediction_set": ["glass"], "scores": None}, "Looks like glass"),
    "unsure without a set": ({"certainty": "unsure", "prediction_set": []}, "Glass"),
    "set of 1,000 classes": (
        {"certainty": "unsure", "prediction_set": [f"class {number}" for number in range(1000)]},
        "Class 0, class 1, class 2 or something else",
    ),
    "set with markup": (
        {"certainty": "unsure", "prediction_set": ["%(x)s {{ 1 }}", "%s"]},
        "%(x)s {{ 1 }} or %s",
    ),
    "without a version": ({"model_version": None}, "Probably glass"),
    "version 0": ({"model_version": 0}, "Probably glass"),
}


@pytest.mark.parametrize(("columns", "heading"), UNUSUAL_ROWS.values(), ids=UNUSUAL_ROWS)
def test_unusual_row_has_a_page_and_a_history_row(app, visitor, columns, heading):
    [row_id] = add(app, visitor, 1, **columns)
    answer = visitor.get(f"/result/{row_id}")
    assert answer.status_code == 200
    assert f"<h1>{heading}" in answer.text.replace("<bdi>", "").replace("</bdi>", "")
    assert pages(app, visitor) == {1: row_id} and [line["id"] for line in lines(visitor)] == [row_id]


@pytest.mark.parametrize(
    ("score", "shown"),
    [
        (1.0, "&gt; 99%"),
        (0.991, "&gt; 99%"),
        (0.99, "99%"),
        (0.67, "67%"),
        (0.358, "36%"),
        (0.01, "1%"),
        (0.0099, "&lt; 1%"),
        (0.0, "&lt; 1%"),
    ],
)
def test_scores_are_never_shown_as_0_or_100_percent(app, visitor, score, shown):
    [row_id] = add(app, visitor, 1, score=score, scores={"glass": score})
    result, history = visitor.get(f"/result/{row_id}").text, visitor.get("/history").text
    assert f"<span>{shown}</span>" in result
    assert f'class="probability">{shown}</td>' in history and f'alt="Photo 1: glass, {shown}"' in history


@pytest.mark.parametrize(
    ("columns", "name", "cell", "probability"),
    [
        ({}, "Photo 1: glass, 75%", "glass", "75%"),
        ({"corrected_class": "metal"}, "Photo 1: metal", "metal Corrected. Model: glass, 75%", ""),
        ({"corrected_class": "metal", "score": None}, "Photo 1: metal", "metal Corrected. Model: glass", ""),
        ({"feedback": "none"}, "Photo 1: none of these", "none of these Corrected. Model: glass, 75%", ""),
        ({"feedback": "several"}, "Photo 1: several things", "several things Corrected. Model: glass, 75%", ""),
        ({"feedback": "confirmed"}, "Photo 1: glass, 75%", "glass", "75%"),
        ({"score": None}, "Photo 1: glass", "glass", ""),
        ({"state": "waiting", "class_name": None, "score": None}, "Photo 1: waiting", "waiting", ""),
        ({"state": "refused", "class_name": None, "score": None}, "Photo 1: no result", "no result", ""),
    ],
)
def test_row_and_its_link_show_the_correction_or_else_the_prediction(app, visitor, columns, name, cell, probability):
    add(app, visitor, 1, **columns)
    text = visitor.get("/history").text
    prediction = re.search(r'class="prediction">(.*?)</td>', text, re.DOTALL)
    assert prediction and " ".join(re.sub(r"<[^>]*>", "", prediction[1]).split()) == cell
    assert f'alt="{name}"' in text and f'class="probability">{probability}</td>' in text


def test_history_has_the_columns_of_the_thesis(app, visitor):
    add(app, visitor, 1)
    headings = re.findall(r'scope="col">([^<]*)</th>', visitor.get("/history").text)
    assert [name for name in headings if name != "Probability"] == ["No", "Image", "Prediction", "Timestamp"]


def test_operator_sees_all_rows_in_the_history(app, visitor):
    ids = [visitor.uploaded(), Browser(app).uploaded(), web_app.classify(app, photo()).json["id"]]
    operator = Browser(app)
    operator.post("/operator", {"token": web_app.SETTINGS["admin_token"]})
    assert list(pages(app, operator).values()) == ids[::-1]
    assert [line["id"] for line in lines(operator)] == ids[::-1]
