"""The model card as JSON, and what pages and the API say by it."""

import json
import os
from typing import Any

import pytest
import sqlalchemy as sa
import web_app
from web_app import Browser

from web import model_card
from web.database import Upload, db

pytestmark = pytest.mark.databases("sqlite")  # no test depends on the database
CLASS = {"photos": 400, "right": 360, "precision": 0.9, "recall": 0.9, "f1": 0.9}
CARD: dict[str, Any] = {
    "synthetic": False,
    "random_weights": False,
    "photos": 1200,
    "right": 1080,
    "folds": 5,
    "f1": 0.9,
    "f1_low": 0.88,
    "f1_high": 0.92,
    "coverage": 0.95,
    "certainty": [
        {"name": "sure", "answers": 800, "right": 770},
        {"name": "unsure", "answers": 300, "right": 282},
        {"name": "untypical", "answers": 100, "right": 41},
    ],
    "classes": [{"name": name, **CLASS} for name in web_app.CLASSES],
    "confusion_matrix": [[360, 20, 20], [20, 360, 20], [20, 20, 360]],
}
EARLIER_LEVELS = [  # of a card of version 0.2.0
    {"name": "sure", "from_score": 0.91, "answers": 800, "right": 770},
    {"name": "probable", "from_score": 0.55, "answers": 300, "right": 226},
    {"name": "unsure", "from_score": 0.0, "answers": 100, "right": 41},
]
SCORES = {"glass": 0.6, "metal": 0.3, "paper": 0.1}
SURE = {"certainty": "sure", "prediction_set": ["glass"], "typicality": 0.5}
UNSURE = {"certainty": "unsure", "prediction_set": ["glass", "metal"], "typicality": 0.5}
UNTYPICAL = {"certainty": "untypical", "prediction_set": ["glass", "metal"], "typicality": 0.001}
WITHOUT_SET: dict[str, Any] = {"certainty": None, "prediction_set": None, "typicality": None}


@pytest.fixture
def folder(tmp_path):
    """Return the folder of the version that answers, without a card."""
    folder = tmp_path / "served" / str(web_app.VERSION)
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def app(make_app, folder):
    return make_app(model_folder=str(folder.parent), serving_timeout_seconds=10.0)


def write(folder, **changes):
    (folder / model_card.FILE_NAME).write_text(json.dumps({**CARD, **changes}))


def page_of(app, columns, scores=SCORES):
    """Return the page of a result with these columns, without the isolation of its class names."""
    browser = Browser(app)
    row_id = browser.uploaded()
    class_name = max(scores, key=scores.get)
    with app.app_context():
        values = {"class_name": class_name, "score": scores[class_name], "scores": scores, **columns}
        db.session.execute(sa.update(Upload).where(Upload.id == row_id).values(values))
        db.session.commit()
    return browser.get(f"/result/{row_id}").text.replace("<bdi>", "").replace("</bdi>", "")


def with_set(*classes):
    return {**UNSURE, "prediction_set": list(classes)}


@pytest.mark.parametrize(
    ("columns", "heading", "tested"),
    [
        (SURE, "Looks like glass", "In testing, answers with one class were right 96 times in 100."),
        (UNSURE, "Glass or metal", "In testing, the right class was among those named 94 times in 100."),
        (with_set("glass", "metal", "paper"), "Glass, metal or paper", "among those named 94 times in 100."),
        (with_set("glass", "metal", "paper", "trash"), "Glass, metal, paper or something else", None),
        (with_set("PET", "nouveau papier"), "PET or nouveau papier", "among those named 94 times"),
        (UNTYPICAL, "This does not look like the photos this model learned from", None),
        (WITHOUT_SET, "Probably glass", None),
    ],
)
def test_result_is_worded_by_its_prediction_set(app, folder, columns, heading, tested):
    write(folder)
    text = page_of(app, columns)
    assert f"<h1>{heading}</h1>" in text and f"<title>{heading} - Pilah</title>" in text
    assert (tested in text) if tested else ("In testing" not in text)
    assert "model-warning" not in text


@pytest.mark.parametrize(
    ("columns", "has_advice", "has_traits", "names_guess"),
    [
        (SURE, True, False, False),
        (UNSURE, False, True, False),
        (UNTYPICAL, False, False, True),
        (WITHOUT_SET, True, False, False),
    ],
)
def test_result_has_advice_traits_or_the_guess_by_its_certainty(app, columns, has_advice, has_traits, names_guess):
    text = page_of(app, columns)
    assert ("How to recycle" in text) == ("Is this right?" in text) == has_advice
    assert ("<h2>What is it?</h2>" in text) != has_advice
    assert ("rings when you tap it" in text) == ("a magnet often sticks to it" in text) == has_traits
    assert ("The best guess is glass." in text) == ("Fill the picture with one item" in text) == names_guess
    assert "tears easily" not in text  # paper is not in the set


def test_classes_without_traits_are_not_listed(app):
    text = page_of(app, with_set("PET", "glass"))
    assert "rings when you tap it" in text and "<strong>PET" not in text
    assert 'class="traits"' not in page_of(app, with_set("PET", "HDPE"))


def test_untypical_photo_gets_advice_once_its_class_is_confirmed(app):
    assert "How to recycle" not in page_of(app, UNTYPICAL)
    assert "How to recycle glass" in page_of(app, {**UNTYPICAL, "feedback": "confirmed"})
    assert "How to recycle metal" in page_of(app, {**UNTYPICAL, "corrected_class": "metal"})


@pytest.mark.parametrize(
    ("name", "columns", "sentence"),
    [
        ("sure", SURE, "In testing, all 1,234 answers with one class were right."),
        ("unsure", UNSURE, "In testing, the right class was always among those named, in 1,234 answers."),
    ],
)
def test_all_right_in_testing_is_not_a_percentage(app, folder, name, columns, sentence):
    write(folder, certainty=[{"name": name, "answers": 1234, "right": 1234}])
    assert sentence in page_of(app, columns)


@pytest.mark.parametrize(
    ("answers", "right", "of_100"),
    [(800, 770, 96), (200, 200, 100), (2000, 1999, 99), (300, 0, 0), (3000, 1, 1), (20, 19, 95), (19, 19, None)],
)
def test_right_of_100_is_100_only_if_all_were_right(answers, right, of_100):
    assert model_card.Tested("sure", answers, right).right_of_100 == of_100


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({}, None),
        ({"f1": 0.69}, "This model is often wrong: in testing, it was right for 1,080 of 1,200 photos."),
        ({"f1": 0.7}, None),
        ({"synthetic": True}, "trained on synthetic photos"),
        ({"random_weights": True, "synthetic": True}, "its answers mean nothing"),
    ],
)
def test_unreliable_model_is_warned_of(app, folder, changes, warning):
    write(folder, **changes)
    text = page_of(app, SURE)
    assert (warning in text) if warning else ("model-warning" not in text)
    is_for_real_photos = not {"synthetic", "random_weights"} & changes.keys()
    assert ("In testing, answers" in text) == is_for_real_photos and "Looks like" in text


DAMAGES = {
    "no JSON": "{",
    "a list": "[]",
    "unknown certainty": json.dumps({**CARD, "certainty": [{**CARD["certainty"][-1], "name": "probable"}]}),
    "certainty twice": json.dumps({**CARD, "certainty": CARD["certainty"] * 2}),
    "levels by score": json.dumps({**CARD, "certainty": EARLIER_LEVELS}),
    "missing key": json.dumps({name: value for name, value in CARD.items() if name != "right"}),
    "text for a number": json.dumps({**CARD, "f1": "high"}),
    "matrix of other classes": json.dumps({**CARD, "confusion_matrix": [[1]]}),
    "other classes": json.dumps({**CARD, "classes": [{"name": name, **CLASS} for name in ("a", "b", "c")]}),
    "infinite count": json.dumps(CARD).replace('"right": 1080', '"right": 1e999'),
    "infinite count in the matrix": json.dumps(CARD).replace("[360, 20", "[1e999, 20"),
    "true for a number": json.dumps({**CARD, "photos": True, "right": 1}),
    "text for true": json.dumps({**CARD, "synthetic": "no"}),
    "more right than photos": json.dumps({**CARD, "right": 5000}),
    "more right answers than answers": json.dumps({**CARD, "certainty": [{"name": "sure", "answers": 5, "right": 6}]}),
    "share above 1": json.dumps({**CARD, "f1": 2}),
    "class name of another type": json.dumps({**CARD, "classes": [{"name": {"a": 1}, **CLASS}] * 3}),
    "nested too deeply": "[" * 100_000,
    "missing": None,
}


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES)
def test_result_without_a_usable_card_has_no_figure_and_the_log_says_why_once(app, folder, content, web_log):
    model_card._log_once.cache_clear()
    if content is not None:
        (folder / model_card.FILE_NAME).write_text(content)
    for _ in range(2):
        text = page_of(app, SURE)
        assert "<h1>Looks like glass</h1>" in text and "In testing" not in text and "How to recycle glass" in text
        assert "no information about this model's accuracy" in text
        assert app.test_client().get("/about").status_code == 200
    assert len([record for record in web_log.records if str(folder) in record.getMessage()]) == 1


def test_card_of_other_classes_than_the_model_is_not_used(app, folder):
    write(folder)
    (folder / "model.json").write_text(json.dumps({"classes": ["a", "b", "c"]}))
    with app.app_context():
        assert model_card.served() is None


def test_new_version_and_new_card_are_read_without_a_restart(app, folder):
    write(folder)
    with app.app_context():
        assert model_card.served().f1 == 0.9
        write(folder, f1=0.8)
        os.utime(folder / model_card.FILE_NAME, ns=(1, 1))
        assert model_card.served().f1 == 0.8
        newest = folder.with_name("10")
        newest.mkdir()
        write(newest, f1=0.7)
        assert model_card.served().f1 == 0.7


@pytest.mark.parametrize("columns", [SURE, UNSURE, UNTYPICAL])
def test_card_of_an_earlier_version_is_read_without_its_levels(app, folder, columns):
    card = {name: value for name, value in CARD.items() if name != "coverage"} | {"certainty": EARLIER_LEVELS}
    (folder / model_card.FILE_NAME).write_text(json.dumps(card))
    text = page_of(app, columns)
    assert "In testing" not in text and "model-warning" not in text
    with app.app_context():
        assert model_card.served().f1 == 0.9


def test_api_has_the_prediction_set_typicality_and_certainty(app, model):
    answer = web_app.classify(app, web_app.photo("metal")).json
    assert (answer["prediction_set"], answer["typicality"], answer["certainty"]) == (None, None, None)
    model.in_set, model.typicality = [True, True, False], 0.25
    answer = web_app.classify(app, web_app.photo("metal")).json
    assert (answer["prediction_set"], answer["typicality"], answer["certainty"]) == (["metal", "glass"], 0.25, "unsure")
    again = app.test_client().get(f"/api/results/{answer['id']}").json
    assert again == {name: value for name, value in answer.items() if name != "token"}


@pytest.mark.parametrize(
    ("in_set", "typicality", "certainty"),
    [
        ([False, True, False], 0.5, "sure"),
        ([True, True, True], 0.5, "unsure"),
        ([False, True, False], 0.0, "untypical"),
    ],
)
def test_row_keeps_the_certainty_of_its_answer(app, model, in_set, typicality, certainty):
    model.in_set, model.typicality = in_set, typicality
    web_app.classify(app, web_app.photo("metal"))
    [row] = web_app.rows(app)
    assert (row.certainty, row.typicality) == (certainty, typicality)
    assert row.prediction_set[0] == "metal" and len(row.prediction_set) == sum(in_set)


def test_row_of_a_model_without_sets_has_sql_nulls(app):
    web_app.classify(app, web_app.photo())
    with app.app_context():
        is_null = sa.text("prediction_set IS NULL AND typicality IS NULL AND certainty IS NULL")
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Upload).where(is_null)) == 1
