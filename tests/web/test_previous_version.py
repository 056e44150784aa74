"""The data of version 0.1.0: its database, pictures, key, cookie and pushed model, as that version wrote them."""

import json
import sqlite3

import flask
import flask.sessions
import pytest
import web_app

from chaos.upgrades import page_databases

pytestmark = pytest.mark.databases("sqlite")
# of a database that version 0.1.0 made
SCHEMA = """
CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO alembic_version VALUES ('0001');
CREATE TABLE upload (
    id VARCHAR(32) NOT NULL, visitor VARCHAR(32) NOT NULL, created_at DATETIME NOT NULL, state VARCHAR(8) NOT NULL,
    class_name VARCHAR(100), score DOUBLE, scores JSON, model_version BIGINT,
    corrected_class VARCHAR(100), corrected_at DATETIME, PRIMARY KEY (id)
);
CREATE INDEX ix_upload_state ON upload (state, created_at);
CREATE INDEX ix_upload_time ON upload (created_at, id);
CREATE INDEX ix_upload_visitor_class_time ON upload (visitor, class_name, created_at, id);
CREATE INDEX ix_upload_visitor_time ON upload (visitor, created_at, id);
"""
SCORES = '{"glass": 0.8, "metal": 0.15, "paper": 0.05}'
VISITOR, ANSWERED, CORRECTED, WAITING, OF_API = (letter * 32 for letter in "abcde")
TIME = "2026-11-26 08:58:11.259511"
ROWS = [
    (ANSWERED, VISITOR, TIME, "done", "glass", 0.8, SCORES, 1, None, None),
    (CORRECTED, VISITOR, TIME, "done", "glass", 0.8, SCORES, 1, "metal", TIME),
    (WAITING, VISITOR, TIME, "waiting", None, None, None, None, None, None),
    (OF_API, "api", TIME, "done", "glass", 0.8, SCORES, 1, None, None),
]
MODEL = {  # model.json of a pushed model
    "scenario": {"scenario": 1, "backbone": "ResNet50", "optimizer": "Adam", "dropout": 0.5, "strategy": "features"},
    "chosen_because": "highest macro F1 of 1",
    "figures": {"f1": 0.83, "precision": 0.84, "recall": 0.84, "accuracy": 0.83, "record_and_file_agreement": 0.99},
    "classes": list(web_app.CLASSES),
    "image_size_px": 96,
    "data": {"photos": 212, "photos_and_folds": "16e45ecf3148f9d4", "drawn": True},
    "version": 1,
}


@pytest.fixture
def data(tmp_path):
    """Return PILAH_DATA of version 0.1.0, with the rows above and their pictures."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    (folder / "secret_key").write_text("k" * 64)
    for row in ROWS:
        path = folder / "uploads" / row[0][:2] / f"{row[0]}.jpg"
        path.parent.mkdir(parents=True)
        path.write_bytes(web_app.photo("metal"))
    connection = sqlite3.connect(folder / "pilah.db")
    connection.executescript(SCHEMA)
    connection.executemany(f"INSERT INTO upload VALUES ({', '.join('?' * 10)})", ROWS)
    connection.commit()
    connection.close()
    return folder


@pytest.fixture
def served(tmp_path):
    """Return the folder of a model that version 0.1.0 pushed, with a card in HTML alone."""
    folder = tmp_path / "served"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.json").write_text(json.dumps(MODEL))
    (folder / "1" / "model_card.html").write_text(
        "<html><body><main><h1>Model card</h1><p>Old card.</p></main></body></html>"
    )
    return folder


@pytest.fixture
def page(data, served, model):
    """Return today's page on these folders."""
    web_app.upgrade(data, "")
    app = web_app.make("", data, model, model_folder=str(served))
    yield app
    web_app.close(app)


@pytest.fixture
def browser(page):
    """Return the browser of the visitor, with the cookie of version 0.1.0."""
    app = flask.Flask(__name__)
    app.secret_key = "k" * 64
    values = {"visitor": VISITOR, "_permanent": True, "operator": "0" * 64}
    browser = web_app.Browser(page)
    cookie = flask.sessions.SecureCookieSessionInterface().get_signing_serializer(app).dumps(values)
    browser.client.set_cookie("session", cookie)
    return browser


def test_database_gets_the_tables_of_a_new_one_and_keeps_its_rows(data, tmp_path):
    database = page_databases.PageDatabase(data)
    before = database.snapshot()["upload"]
    web_app.upgrade(data, "")
    new = page_databases.PageDatabase(tmp_path)
    web_app.upgrade(tmp_path, "")
    assert database.schema() == new.schema()
    after = database.snapshot()["upload"]
    assert len(after) == len(before) == len(ROWS)
    added = {"feedback": None, "is_sample": False, "prediction_set": None, "typicality": None, "certainty": None}
    assert all(after[key] == row | added for key, row in before.items())


def test_visitor_keeps_history_pictures_and_corrections_but_no_operator_session(browser):
    history = browser.get("/history").text
    assert all(row_id in history for row_id in (ANSWERED, CORRECTED, WAITING)) and OF_API not in history
    for row_id in (ANSWERED, CORRECTED, WAITING):
        assert browser.get(f"/result/{row_id}").status_code == 200
        picture = browser.get(f"/picture/{row_id}")
        assert (picture.status_code, picture.data) == (200, web_app.photo("metal"))
    assert [line.split(",")[4] for line in browser.get("/history.csv").text.splitlines() if CORRECTED in line] == [
        "metal"
    ]


def test_waiting_upload_is_answered(page, browser):
    page.extensions["pilah_uploads"].start_retrying(page)
    web_app.wait_until(lambda: browser.get(f"/result/{WAITING}/state").json["state"] == "done")


def test_page_has_the_classes_and_the_card_of_the_model(browser):
    assert all(name in browser.get("/").text for name in web_app.CLASSES)
    about = browser.get("/about")
    assert about.status_code == 200 and "Old card." in about.text
