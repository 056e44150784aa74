import errno
import io
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading

import psycopg
import pytest
import sqlalchemy as sa
import web_app
import werkzeug.test
from web_app import Browser, photo
from werkzeug.datastructures import FileStorage

import web
from web import background, database, decoding, store, uploads
from web.database import State, db

FULL = OSError(errno.ENOSPC, "No space left on device")
OVER_500_KB = 600_000  # bytes; werkzeug writes such forms to TMPDIR


def failures(web_log):
    """Return the error messages in the log; none may have a traceback."""
    assert not [record for record in web_log.records if record.exc_info]
    return [record.getMessage() for record in web_log.records if record.levelname == "ERROR"]


def fail(error):
    def always(*_, **__):
        raise error

    return always


def test_connection_that_is_lost_when_an_answer_is_ready_does_not_fail_it(app, monkeypatch, web_log):
    with app.app_context():
        dialect = type(db.engine.dialect)
    lost = sqlite3.OperationalError("connection lost") if "sqlite" in dialect.name else psycopg.OperationalError("lost")
    ready = threading.Event()
    rollback = dialect.do_rollback

    def fail_if_ready(self, connection):
        if ready.is_set():
            ready.clear()
            raise lost
        rollback(self, connection)

    monkeypatch.setattr(dialect, "do_rollback", fail_if_ready)
    app.after_request_funcs.setdefault(None, []).insert(0, lambda response: (ready.set(), response)[1])
    answer = web_app.classify(app, photo())
    app.after_request_funcs[None].pop(0)
    assert answer.status_code == 200 and not ready.is_set()
    assert [row.id for row in web_app.rows(app)] == [answer.json["id"]]
    assert failures(web_log) == []
    assert web_app.classify(app, photo()).status_code == 200  # with another connection


@pytest.fixture
def locked(make_app, monkeypatch):
    """Yield the app and the connection of another program, which holds SQLite's lock."""
    monkeypatch.setattr(database, "LOCK_SECONDS", 0.05)
    app = make_app()
    with app.app_context():
        if db.engine.dialect.name != "sqlite":
            pytest.skip("SQLite's lock")
        writer = sqlite3.connect(db.engine.url.database, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    yield app, writer
    writer.close()


def test_upload_while_sqlite_is_locked_is_503_and_leaves_no_picture(locked, web_log):
    app, writer = locked
    browser = Browser(app)
    page, answer = browser.upload(), web_app.classify(app, photo())
    assert page.status_code == answer.status_code == 503
    assert int(page.headers["Retry-After"]) > 0 and int(answer.headers["Retry-After"]) > 0
    assert "minute" in page.text and answer.json["error"]
    assert web_app.files(app) == []
    assert [line.split(":")[0] for line in failures(web_log)] == ["/classify", "/api/classify"]
    assert all("locked" in line for line in failures(web_log))
    writer.execute("ROLLBACK")
    assert browser.upload().status_code == 303


def test_deletion_while_sqlite_is_locked_is_503_and_works_later(locked):
    app, writer = locked
    writer.execute("ROLLBACK")
    browser = Browser(app)
    row_id = browser.uploaded()
    writer.execute("BEGIN IMMEDIATE")
    assert browser.post(f"/result/{row_id}/deletion").status_code == 503
    writer.execute("ROLLBACK")
    assert browser.post(f"/result/{row_id}/deletion").status_code == 303
    assert web_app.rows(app) == web_app.files(app) == []


def test_missing_tables_are_503_and_the_log_names_the_command(make_app, tables, tmp_path, web_log):
    make_app()
    if isinstance(tables, pathlib.Path):
        url = f"sqlite:///{tmp_path / 'empty.db'}"
    else:
        empty_schema = {"options": "-csearch_path=no_such_schema"}
        url = sa.make_url(tables).update_query_dict(empty_schema).render_as_string(hide_password=False)
    app = make_app(database_url=url, PROPAGATE_EXCEPTIONS=False)
    assert app.test_client().get("/history").status_code == 503
    assert web_app.classify(app, photo()).status_code == 503
    assert web_app.files(app) == []
    with app.app_context():
        assert not background.succeeds("retrying", uploads.service().retry_waiting)
    lines = set(failures(web_log))
    assert len(lines) == 3 and all("flask --app web db upgrade" in line for line in lines)


def test_sqlite_lock_timeout_is_at_most_5_seconds(app):
    assert database.LOCK_SECONDS <= 5
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            assert db.session.execute(sa.text("PRAGMA busy_timeout")).scalar() == 1000 * database.LOCK_SECONDS


def test_failed_commit_keeps_the_picture_only_on_postgresql(app, monkeypatch):
    monkeypatch.setattr(db.session, "commit", fail(sa.exc.OperationalError("COMMIT", {}, Exception("disk is full"))))
    assert web_app.classify(app, photo()).status_code == 503
    monkeypatch.undo()
    with app.app_context():
        may_be_written = db.engine.dialect.name == "postgresql"
    assert web_app.rows(app) == [] and len(web_app.files(app)) == may_be_written


def test_database_failure_after_the_row_is_stored_leaves_it_waiting(app, monkeypatch, web_log):
    monkeypatch.setattr(
        uploads, "_update_waiting", fail(sa.exc.OperationalError("UPDATE", {}, Exception("unavailable")))
    )
    answer = web_app.classify(app, photo())
    monkeypatch.undo()
    assert answer.status_code == 202 and answer.json["state"] == State.WAITING
    assert [row.id for row in web_app.rows(app)] == [answer.json["id"]]
    assert len(failures(web_log)) == 1 and "unavailable" in failures(web_log)[0]


@pytest.mark.skipif(not web_app.HAS_POSTGRESQL, reason=web_app.NO_POSTGRESQL)
def test_paused_postgresql_is_503_and_recovers(make_app, tables, model, monkeypatch):
    if isinstance(tables, pathlib.Path):
        pytest.skip("PostgreSQL's pause")
    monkeypatch.setattr(database, "STATEMENT_SECONDS", 0.2)
    data = pathlib.Path(make_app().instance_path)
    settings = {"database_url": tables, "pilah_data": str(data), "serving_target": model.target}
    app = web.create_app({**web_app.SETTINGS, **settings})  # as in the server: no command
    with app.app_context():
        process = db.session.execute(sa.text("SELECT pg_backend_pid()")).scalar()
    os.kill(process, signal.SIGSTOP)  # what `docker compose pause db` does to its connections
    try:
        answer = app.test_client().get("/history")
    finally:
        os.kill(process, signal.SIGCONT)
    assert answer.status_code in (200, 503)  # it may have opened another connection
    with app.app_context(), pytest.raises(sa.exc.OperationalError):
        db.session.execute(sa.text("SELECT pg_sleep(5)"))
    assert app.test_client().get("/history").status_code == 200
    web_app.close(app)


def test_silent_database_server_is_503(tmp_path, model, monkeypatch, web_log):
    postgres = pytest.importorskip("web.postgres")
    monkeypatch.setattr(postgres, "CONNECT_SECONDS", 2)  # libpq's least
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg://pilah@127.0.0.1:{silent.getsockname()[1]}/pilah"
        app = web_app.make(url, tmp_path, model)
        assert app.test_client().get("/history").status_code == 503
    web_app.close(app)
    assert len(failures(web_log)) == 1 and "timeout" in failures(web_log)[0]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("os.fsync", FULL),
        ("tempfile.mkstemp", FULL),
        ("pathlib.Path.replace", FULL),
        ("os.mkdir", OSError(errno.EROFS, "Read-only file system")),
        ("shutil.disk_usage", OSError(errno.EDQUOT, "Disk quota exceeded")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_upload_to_a_full_disk_is_503_and_leaves_nothing(app, monkeypatch, web_log, name, error):
    monkeypatch.setattr(name, fail(error))
    answer = web_app.classify(app, photo())
    monkeypatch.undo()
    assert answer.status_code == 503 and answer.json["error"] == "full" and answer.headers["Retry-After"]
    assert web_app.rows(app) == web_app.files(app) == []
    assert len(failures(web_log)) == 1 and error.strerror in failures(web_log)[0]


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/spool']"),
        PermissionError(errno.EACCES, "Permission denied", "/spool/tmpabc"),
    ],
    ids=["full", "none usable", "not writable"],
)
def test_full_temporary_folder_is_503_and_named_in_the_log(app, monkeypatch, web_log, error):
    browser, content = Browser(app), photo().ljust(OVER_500_KB, b"\0")
    bodies = {}
    for path in ("/classify", "/api/classify"):
        fields = {"csrf_token": browser.csrf_token(), "image": FileStorage(io.BytesIO(content), "photo.jpg")}
        boundary, bodies[path] = werkzeug.test.encode_multipart(fields, boundary="b")
    monkeypatch.setattr(tempfile, "tempdir", "/spool")
    monkeypatch.setattr(tempfile, "TemporaryFile", fail(error))
    kind = f'multipart/form-data; boundary="{boundary}"'
    page, answer = (browser.client.post(path, data=body, content_type=kind) for path, body in bodies.items())
    assert page.status_code == answer.status_code == 503
    assert "no space for more photos" in page.text and answer.json["error"] == "full"
    assert len(failures(web_log)) == 2 and all("/spool" in line for line in failures(web_log))


def test_other_os_error_is_500_with_a_traceback(make_app, monkeypatch, web_log):
    app = make_app(PROPAGATE_EXCEPTIONS=False)
    monkeypatch.setattr(decoding.Decoder, "plain", fail(OSError(errno.EIO, "Input/output error")))
    assert web_app.classify(app, photo()).status_code == 500
    assert any(record.exc_info for record in web_log.records)


def test_thumbnail_on_a_full_disk_is_sent_and_not_stored(app, monkeypatch):
    browser = Browser(app)
    row_id = browser.uploaded()
    monkeypatch.setattr(store, "write_atomically", fail(FULL))
    answer = browser.get(f"/thumbnail/{row_id}")
    assert answer.status_code == 200 and answer.data.startswith(b"\xff\xd8")
    assert web_app.files(app) == [f"{row_id}.jpg"]


def test_prune_deletes_pictures_before_rows(app, monkeypatch):
    browser = Browser(app)
    ids = [browser.uploaded() for _ in range(3)]
    with app.app_context():
        execute, files_at_deletion = db.session.execute, []

        def record_files(statement, *more, **options):
            if isinstance(statement, sa.Delete):
                files_at_deletion.append(web_app.files(app))
            return execute(statement, *more, **options)

        monkeypatch.setattr(db.session, "execute", record_files)
    assert app.test_cli_runner().invoke(args=["prune", "--days", "0"]).exit_code == 0
    assert files_at_deletion == [[]] and ids


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
def test_full_disk_still_allows_deletion_and_prune(make_app, tables, model, tmp_path):
    if not isinstance(tables, pathlib.Path):
        pytest.skip("SQLite is on the disk of the pictures")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", disk], stderr=-3).returncode:
        pytest.skip("this container may not mount")
    app = None
    try:
        app = web_app.make(tables, disk, model)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(uploads, "MIN_FREE_BYTES", 0)
            browser = Browser(app)
            ids = [browser.uploaded(photo(seed=seed)) for seed in range(3)]
            app.extensions["pilah_uploads"].store.keep_reserve()
            (disk / "other").write_bytes(bytes(shutil.disk_usage(disk).free))
            assert browser.upload().status_code == 503
        assert browser.get(f"/thumbnail/{ids[0]}").status_code == 200
        assert browser.post(f"/result/{ids[0]}/deletion").status_code == 303
        assert app.test_cli_runner().invoke(args=["doctor"]).exit_code == 0
        assert app.test_cli_runner().invoke(args=["prune", "--days", "0"]).exit_code == 0
        assert web_app.rows(app) == web_app.files(app) == []
    finally:
        if app:
            web_app.close(app)
        subprocess.run(["umount", disk], check=True)


def test_background_job_logs_one_line_for_a_database_or_disk_failure(app, web_log):
    errors = [sa.exc.OperationalError("SELECT", {}, Exception("first\n\tsecond")), sa.exc.TimeoutError("pool"), FULL]
    with app.app_context():
        assert [background.succeeds("the work", fail(error)) for error in errors] == [False] * 3
    assert len(failures(web_log)) == 3 and "first second" in failures(web_log)[0]
    assert all("\n" not in line for line in failures(web_log))


def test_retry_pause_grows_during_a_database_failure_and_resets(make_app, monkeypatch, web_log):
    app = make_app(retry_seconds=0.1)
    service, pauses = app.extensions["pilah_uploads"], []

    class Ending(threading.Event):
        def wait(self, timeout=None):
            pauses.append(timeout)
            if len(pauses) == 13:
                monkeypatch.undo()
            return len(pauses) > 14

    monkeypatch.setattr(db.session, "scalars", fail(sa.exc.OperationalError("SELECT", {}, Exception("unavailable"))))
    service._ending = Ending()
    service._retry(app)
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8] and pauses[12] == uploads.MAX_PAUSE_SECONDS
    assert pauses[-1] == 0.1 and len(failures(web_log)) == 12
