"""The photos to label: who sees them, which they are, and in which order."""

import re
from typing import Any

import pytest
import web_app
from web_app import Browser

from web import database, review
from web.database import Feedback, Upload, db

SURE: dict[str, Any] = {"certainty": "sure", "prediction_set": ["glass"]}
UNTYPICAL: dict[str, Any] = {"certainty": "untypical", "prediction_set": ["glass", "metal"]}


def unsure(count: int) -> dict[str, Any]:
    return {"certainty": "unsure", "prediction_set": ["glass", "metal", "paper", "trash"][:count]}


@pytest.fixture
def operator(app):
    operator = Browser(app)
    operator.post("/operator", {"token": web_app.SETTINGS["admin_token"]})
    return operator


def add(app, **columns):
    """Add an answered row and return its id."""
    values = {"visitor": "a", "state": "done", "class_name": "glass", "score": 0.5, "scores": {"glass": 0.5}}
    with app.app_context():
        row = Upload(id=database.new_id(), **{**values, **columns})
        db.session.add(row)
        db.session.commit()
        return row.id


def listed(browser):
    """Return the ids of the photos on the page, in order: those before and after the heading of untypical ones."""
    text = browser.get("/operator/review").text
    parts = text.partition("Unlike the photos the model learned from")
    return [re.findall(r'href="/result/([0-9a-f]{32})"', part) for part in (parts[0], parts[2])]


def test_photos_are_ranked_by_certainty_then_size_of_the_set_then_score(app, operator):
    ids = [
        add(app, **columns)
        for columns in (
            {**SURE, "score": 0.9},
            {**unsure(2), "score": 0.2},
            {**unsure(4), "score": 0.8},
            {"score": 0.3},  # of a model without sets
            {**unsure(2), "score": 0.1},
            {**SURE, "score": 0.6},
            {**UNTYPICAL, "score": 0.4},
            {**UNTYPICAL, "score": 0.3},
        )
    ]
    assert listed(operator) == [[ids[number] for number in (2, 4, 1, 3, 5, 0)], [ids[7], ids[6]]]


@pytest.mark.parametrize(
    "columns",
    [
        *({"feedback": feedback} for feedback in Feedback),
        {"corrected_class": "metal"},
        {"is_sample": True},
        {"state": "waiting", "class_name": None, "score": None},
        {"state": "refused", "class_name": None, "score": None},
    ],
)
def test_photo_with_feedback_or_without_an_answer_is_not_listed(app, operator, columns):
    add(app, **{**unsure(2), **columns})
    assert listed(operator) == [[], []]


@pytest.mark.databases("sqlite")
def test_page_leads_from_the_history_to_the_answer_buttons_and_states_its_order(app, operator, model):
    model.in_set, model.typicality = [True, True, False], 0.5
    row_id = Browser(app).uploaded()
    assert 'href="/operator/review"' in operator.get("/history").text
    page = operator.get("/operator/review")
    assert page.headers["Cache-Control"] == "no-store"
    assert "Order: unsure answers before sure ones, more classes before fewer" in page.text
    assert "<bdi>glass</bdi>, <bdi>metal</bdi>" in page.text and "Unlike the photos" not in page.text
    assert (
        '<button class="btn btn-outline-primary" name="class_name" value="metal">'
        in operator.get(f"/result/{row_id}").text
    )
    operator.post(f"/result/{row_id}/correction", {"class_name": "metal"})
    assert listed(operator) == [[], []] and "There is nothing to label." in operator.get("/operator/review").text


@pytest.mark.databases("sqlite")
def test_lists_are_limited(app, operator, monkeypatch):
    monkeypatch.setattr(review, "MAX_ROWS", 2)
    for _ in range(3):
        add(app, **unsure(2))
        add(app, **UNTYPICAL)
    assert [len(ids) for ids in listed(operator)] == [2, 2]


@pytest.mark.databases("sqlite")
def test_visitor_is_sent_to_the_sign_in(app):
    visitor = Browser(app)
    visitor.uploaded()
    answer = visitor.get("/operator/review")
    assert answer.status_code == 303 and answer.location == "/operator"
    assert "/operator/review" not in visitor.get("/history").text
