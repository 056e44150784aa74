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
    "certainty": [
        {"name": "sure", "from_score": 0.91, "answers": 800, "right": 770},
        {"name": "probable", "from_score": 0.55, "answers": 300, "right": 226},
        {"name": "unsure", "from_score": 0.0, "answers": 100, "right": 41},
    ],
    "classes": [{"name": name, **CLASS} for name in web_app.CLASSES],
    "confusion_matrix": [[360, 20, 20], [20, 360, 20], [20, 20, 360]],
}
SURE = {"glass": 0.95, "metal": 0.03, "paper": 0.02}


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


def page_of(app, scores):
    """Return the page of a result with these scores, without the isolation of its class names."""
    browser = Browser(app)
    row_id = browser.uploaded()
    class_name = max(scores, key=scores.get)
    with app.app_context():
        values = {"class_name": class_name, "score": scores[class_name], "scores": scores}
        db.session.execute(sa.update(Upload).where(Upload.id == row_id).values(values))
        db.session.commit()
    return browser.get(f"/result/{row_id}").text.replace("<bdi>", "").replace("</bdi>", "")


@pytest.mark.parametrize(
    ("scores", "heading", "tested"),
    [
        (SURE, "Looks like glass", "In testing, answers this sure were right 96 times in 100."),
        ((0.6, 0.3, 0.1), "Probably glass, maybe metal", "In testing, answers this sure were right 75 times in 100."),
        ((0.9, 0.049, 0.051), "Probably glass, maybe paper", "right 75 times"),
        ((0.4, 0.25, 0.35), "Not sure: glass, paper or metal?", "answers this unsure were right 41 times in 100."),
        ((0.46, 0.5, 0.04), "Not sure: metal or glass?", "right 41 times"),
    ],
)
def test_result_is_worded_by_its_level(app, folder, scores, heading, tested):
    write(folder)
    text = page_of(app, scores if isinstance(scores, dict) else dict(zip(web_app.CLASSES, scores, strict=True)))
    assert f"<h1>{heading}</h1>" in text and f"<title>{heading} - Pilah</title>" in text and tested in text
    assert "model-warning" not in text
    is_unsure = heading.startswith("Not sure")
    assert ("How to recycle" in text) != is_unsure and ("Is this right?" in text) != is_unsure
    assert ("a better photo" in text) == is_unsure


def test_all_right_in_testing_is_not_a_percentage(app, folder):
    levels = [{"name": "sure", "from_score": 0.9, "answers": 1234, "right": 1234}, CARD["certainty"][-1]]
    write(folder, certainty=levels)
    assert "In testing, all 1,234 answers this sure were right." in page_of(app, SURE)


@pytest.mark.parametrize(
    ("answers", "right", "of_100"),
    [(800, 770, 96), (200, 200, 100), (2000, 1999, 99), (300, 0, 0), (3000, 1, 1), (20, 19, 95), (19, 19, None)],
)
def test_right_of_100_is_100_only_if_all_were_right(answers, right, of_100):
    assert model_card.Level("sure", 0.9, answers, right).right_of_100 == of_100


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
    assert ("In testing, answers" in text) == ("Looks like" in text) == is_for_real_photos


DAMAGES = {
    "no JSON": "{",
    "a list": "[]",
    "without levels": json.dumps({**CARD, "certainty": []}),
    "unknown level": json.dumps({**CARD, "certainty": [{**CARD["certainty"][-1], "name": "certain"}]}),
    "rising scores": json.dumps({**CARD, "certainty": CARD["certainty"][::-1]}),
    "missing key": json.dumps({name: value for name, value in CARD.items() if name != "right"}),
    "text for a number": json.dumps({**CARD, "f1": "high"}),
    "matrix of other classes": json.dumps({**CARD, "confusion_matrix": [[1]]}),
    "other classes": json.dumps({**CARD, "classes": [{"name": name, **CLASS} for name in ("a", "b", "c")]}),
    "infinite count": json.dumps(CARD).replace('"right": 1080', '"right": 1e999'),
    "infinite count in the matrix": json.dumps(CARD).replace("[360, 20", "[1e999, 20"),
    "true for a number": json.dumps({**CARD, "photos": True, "right": 1}),
    "text for true": json.dumps({**CARD, "synthetic": "no"}),
    "more right than photos": json.dumps({**CARD, "right": 5000}),
    "score above 1": json.dumps(
        {**CARD, "certainty": [{**CARD["certainty"][0], "from_score": 2}, CARD["certainty"][-1]]}
    ),
    "class name of another type": json.dumps({**CARD, "classes": [{"name": {"a": 1}, **CLASS}] * 3}),
    "nested too deeply": "[" * 100_000,
    "missing": None,
}


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES)
def test_result_without_a_usable_card_is_probable_and_the_log_says_why_once(app, folder, content, web_log):
    model_card._log_once.cache_clear()
    if content is not None:
        (folder / model_card.FILE_NAME).write_text(content)
    for _ in range(2):
        text = page_of(app, SURE)
        assert "<h1>Probably glass</h1>" in text and "In testing" not in text and "How to recycle glass" in text
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


def test_api_has_the_certainty_of_the_card_or_null(app, folder):
    answer = web_app.classify(app, web_app.photo())
    assert answer.json["certainty"] is None
    write(folder)
    assert app.test_client().get(f"/api/results/{answer.json['id']}").json["certainty"] == "probable"


@pytest.mark.parametrize(
    ("score", "heading"), [(0.5, "Probably glass, maybe metal"), (0.49, "Not sure: glass or metal?")]
)
def test_result_without_a_card_is_unsure_if_the_other_classes_are_more_likely_together(app, score, heading):
    assert f"<h1>{heading}</h1>" in page_of(app, {"glass": score, "metal": 0.45, "paper": 0.04})
