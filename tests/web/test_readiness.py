"""The database check of /readyz, and access to /readyz and /metrics."""

import logging
import threading
import time

import pytest
import sqlalchemy as sa
import web_app

import web
from serving import client
from web import readiness
from web.database import db


@pytest.fixture
def empty_app(tmp_path, model):
    """Yield the page on a SQLite file without tables."""
    database = f"sqlite:///{tmp_path / 'pilah.db'}"
    names = {"pilah_data": str(tmp_path), "serving_target": model.target, "database_url": database}
    app = web.create_app({**web_app.SETTINGS, **names})
    yield app
    web_app.close(app)


def test_database_without_tables_is_not_ready_and_logged_on_one_line(empty_app, caplog):
    answer = empty_app.test_client().get("/readyz")
    assert answer.status_code == 503 and "flask --app web db upgrade" in answer.json["database"]
    log = logging.getLogger("web")
    log.addHandler(caplog.handler)
    readiness.log_state(empty_app)
    log.removeHandler(caplog.handler)
    [line] = {record.getMessage() for record in caplog.records if record.levelname == "ERROR"}
    assert "flask --app web db upgrade" in line and "\n" not in line


def test_database_with_a_missing_column_is_not_ready(empty_app, tmp_path):
    web_app.upgrade(tmp_path, "")
    assert empty_app.test_client().get("/readyz").json["database"] == "ok"
    with empty_app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE upload DROP COLUMN corrected_at"))
    assert "db upgrade" in empty_app.test_client().get("/readyz").json["database"]


def test_database_of_a_newer_version_is_not_ready_and_logged_on_one_line(make_app, caplog):
    app = make_app()
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0099'"))
    answer = app.test_client().get("/readyz")
    log = logging.getLogger("web")
    log.addHandler(caplog.handler)
    readiness.log_state(app)
    log.removeHandler(caplog.handler)
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE alembic_version SET version_num = '{max(readiness.REVISIONS)}'"))
    assert answer.status_code == 503 and "created by a newer version of Pilah" in answer.json["database"]
    [line] = {record.getMessage() for record in caplog.records if record.levelname == "ERROR"}
    assert "start that version, or restore an older backup" in line and "\n" not in line
    assert app.test_client().get("/readyz").json["database"] == "ok"


def test_hanging_database_is_queried_by_one_thread_and_not_awaited(app, monkeypatch):
    resumed = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(readiness, "WAIT_SECONDS", 0.05)
        patch.setattr(readiness, "_database_state", lambda: resumed.wait(20) and "ok")
        start = time.monotonic()
        answers = [app.test_client().get("/readyz") for _ in range(3)]
        assert time.monotonic() - start < 2
        assert {(answer.status_code, answer.json["database"]) for answer in answers} == {(503, "no answer")}
        assert [thread.name for thread in threading.enumerate()].count("readiness") == 1
        resumed.set()
        web_app.wait_until(lambda: "readiness" not in [thread.name for thread in threading.enumerate()])
    assert app.test_client().get("/readyz").status_code == 200


def test_checks_respond_within_two_seconds():
    assert readiness.WAIT_SECONDS + client.PROBE_SECONDS <= 2


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("proxies", [0, 1])
@pytest.mark.parametrize(
    ("networks", "open_to", "closed_to"),
    [
        ("127.0.0.0/8, ::1", ["127.0.0.1", "::1", "::ffff:127.0.0.1"], ["203.0.113.8", "10.0.0.7", "fe80::1%eth0", ""]),
        ("10.0.0.0/8,fd00::/8", ["10.0.0.7", "fd00::7"], ["127.0.0.1", "11.0.0.1", "2001:db8::1"]),
    ],
)
def test_metrics_and_readiness_are_forbidden_outside_the_networks(make_app, networks, open_to, closed_to, proxies):
    app = make_app(metrics_from=networks, trusted_proxies=proxies)
    for path in ("/metrics", "/readyz"):
        for peer in open_to:
            assert get(app, path, peer).status_code == 200
        for peer in closed_to:
            answer = get(app, path, peer)
            assert answer.status_code == 403 and "METRICS_FROM" in answer.text and "pilah_" not in answer.text
    assert {get(app, "/healthz", peer).status_code for peer in open_to + closed_to} == {200}


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("proxies", [0, 1])
def test_metrics_and_readiness_are_forbidden_through_a_proxy(make_app, proxies):
    app = make_app(trusted_proxies=proxies)
    for header in (
        {"X-Forwarded-For": "203.0.113.8"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-For": ""},
        {"X-Forwarded-Proto": "https"},
        {"X-Real-IP": "203.0.113.8"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 proxy"},
    ):
        assert {get(app, path, "127.0.0.1", header).status_code for path in ("/metrics", "/readyz")} == {403}, header


def get(app, path, peer, headers=None):
    return app.test_client().get(path, headers=headers, environ_overrides={"REMOTE_ADDR": peer})
