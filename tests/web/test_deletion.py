import concurrent.futures
import contextlib
import pathlib

import pytest
import sqlalchemy as sa
import web_app
from web_app import Browser, photo

from web import exports, pictures, uploads
from web.database import Upload, db


@pytest.fixture
def store(app):
    return app.extensions["pilah_uploads"].store


@pytest.fixture
def row_id(app):
    return Browser(app).uploaded()


def delete(app, row_id):
    with app.app_context():
        uploads.service().remove(row_id)


def test_thumbnail_created_during_a_deletion_is_removed(app, store, row_id, monkeypatch):
    make = pictures.thumbnail

    def make_slowly(picture):
        delete(app, row_id)
        return make(picture)

    monkeypatch.setattr(pictures, "thumbnail", make_slowly)
    with pytest.raises(FileNotFoundError):
        store.thumbnail(row_id)
    assert web_app.files(app) == []


@pytest.mark.parametrize("call", ["replace", "exists"])
def test_deletion_between_two_steps_of_a_thumbnail_is_complete(app, store, row_id, monkeypatch, call):
    """Delete the photo before the copy gets its final name, and before the check that its picture still exists."""
    original, deleted = getattr(pathlib.Path, call), []

    def delete_first(path, *arguments):
        if row_id in path.name and not deleted:
            deleted.append(path)
            delete(app, row_id)
        return original(path, *arguments)

    monkeypatch.setattr(pathlib.Path, call, delete_first)
    with contextlib.suppress(FileNotFoundError):
        store.thumbnail(row_id)
    assert deleted and web_app.files(app) == []


def test_deletion_during_concurrent_thumbnail_requests_is_complete(app, store):
    def make(row_id):
        with contextlib.suppress(FileNotFoundError):
            store.thumbnail(row_id)

    with concurrent.futures.ThreadPoolExecutor(4) as visitors:
        for _ in range(10):
            row_id = Browser(app).uploaded()
            requests = [visitors.submit(make, row_id) for _ in range(4)]
            delete(app, row_id)
            for request in requests:
                request.result()
            assert web_app.files(app) == []


def test_deletion_removes_partial_files_of_a_killed_process(app, store, row_id):
    store.picture(row_id).with_name(f"{row_id}.small.abc.part").write_bytes(b"half")
    delete(app, row_id)
    assert web_app.files(app) == []


def test_failed_row_deletion_removes_the_picture_and_can_be_repeated(app, row_id, monkeypatch):
    browser = Browser(app)
    row_id = browser.uploaded()
    execute = db.session.execute

    def fail(statement, *more, **options):
        if isinstance(statement, sa.Delete):
            raise sa.exc.OperationalError("DELETE", {}, Exception("database or disk is full"))
        return execute(statement, *more, **options)

    monkeypatch.setattr(db.session, "execute", fail)
    answer = browser.post(f"/result/{row_id}/deletion")
    assert answer.status_code == 503 and answer.headers["Retry-After"]
    assert f"{row_id}.jpg" not in web_app.files(app)
    monkeypatch.setattr(db.session, "execute", execute)
    assert browser.post(f"/result/{row_id}/deletion").status_code == 303
    assert row_id not in [row.id for row in web_app.rows(app)]


def test_concurrent_deletions_both_succeed(app):
    browser = Browser(app)
    row_id = browser.uploaded()
    with app.test_request_context():
        row = db.session.get(Upload, row_id)
        delete(app, row_id)
        uploads.service().remove(row.id)
    assert web_app.rows(app) == web_app.files(app) == []


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ("/history\r\nX", "/history"),
        ("class=%0d%0aX&after=%00", "/history?class=%0D%0AX&after=%00"),
        ("corrected=1&x=2", "/history?corrected=1"),
        ("https://evil.example/?x=a&class=b", "/history?class=b"),
        ("class=Restm\u00fcll%ff", None),
        ("class=" + "a" * 5000, None),
    ],
)
def test_deletion_redirects_to_the_history_for_any_form_value(app, query, location):
    browser = Browser(app)
    answer = browser.post(f"/result/{browser.uploaded()}/deletion", {"history": query, "next": "/history\r\nX"})
    assert answer.status_code == 303 and answer.location.startswith("/history")
    assert location in (None, answer.location)
    assert browser.get(answer.location).status_code in (200, 303)


def test_cached_picture_is_revalidated_on_each_request(app):
    browser = Browser(app)
    row_id = browser.uploaded()
    for kind in ("picture", "thumbnail"):
        answer = browser.get(f"/{kind}/{row_id}")
        assert answer.headers["Cache-Control"] == "private, no-cache" and answer.mimetype == "image/jpeg"
        again = browser.get(f"/{kind}/{row_id}", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
        browser_of_another = Browser(app).get(f"/{kind}/{row_id}", headers={"If-None-Match": answer.headers["ETag"]})
        assert browser_of_another.status_code == 404
    browser.post(f"/result/{row_id}/deletion")
    assert browser.get(f"/picture/{row_id}", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 404


def test_deleted_row_is_not_readable_in_sqlite_files(make_app):
    app = make_app()
    with app.app_context():
        if db.engine.dialect.name != "sqlite":
            return
        file = pathlib.Path(db.engine.url.database)
    browser = Browser(app)
    row_id = browser.uploaded()
    browser.uploaded(photo("metal"))

    def files_with_row():
        return [path.name for path in file.parent.glob("pilah.db*") if row_id.encode() in path.read_bytes()]

    assert files_with_row()
    browser.post(f"/result/{row_id}/deletion")
    assert files_with_row() == []


def test_sqlite_files_are_readable_only_by_their_owner(make_app, tmp_path):
    app = make_app()
    with app.app_context():
        if db.engine.dialect.name != "sqlite":
            return
        file = pathlib.Path(db.engine.url.database)
    web_app.close(app)
    file.chmod(0o644)  # the mode in earlier versions
    later = make_app()
    Browser(later).uploaded()
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in file.parent.glob("pilah.db*")} == dict.fromkeys(
        ("pilah.db", "pilah.db-wal", "pilah.db-shm"), "0o600"
    )


def test_program_deletes_its_photo_with_its_token(app):
    answer = web_app.classify(app, photo())
    address, token = f"/api/results/{answer.json['id']}", answer.json["token"]
    client = app.test_client()
    assert "token" not in client.get(address).json
    other_token = web_app.classify(app, photo()).json["token"]
    for wrong in (None, "", "Bearer", "Bearer x", f"Bearer {other_token}", f"Basic {token}", f"Bearer {token[:-1]}"):
        refused = client.delete(address, headers={"Authorization": wrong} if wrong is not None else {})
        assert refused.status_code == 401 and refused.headers["WWW-Authenticate"] == "Bearer", wrong
    assert client.get(address).status_code == 200
    done = client.delete(address, headers={"Authorization": f"Bearer {token}"})
    assert (done.status_code, done.data) == (204, b"")
    assert client.get(address).status_code == 404
    assert client.delete(address, headers={"Authorization": f"Bearer {token}"}).status_code == 404
    assert answer.json["id"] not in "".join(web_app.files(app)) and len(web_app.rows(app)) == 1


def test_token_differs_by_photo_and_secret_key(make_app):
    first = make_app(secret_key="k" * 32)
    answers = [web_app.classify(first, photo()).json for _ in "ab"]
    assert answers[0]["token"] != answers[1]["token"]
    later = make_app(secret_key="l" * 32).test_client()
    authorization = {"Authorization": f"Bearer {answers[0]['token']}"}
    assert later.delete(f"/api/results/{answers[0]['id']}", headers=authorization).status_code == 401


def test_undeletable_exported_copy_is_logged_and_the_row_deleted(app, row_id, monkeypatch, caplog):
    def fail(folder, row_id):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(exports, "_registered", lambda store: [pathlib.Path("/exported")])
    monkeypatch.setattr(exports, "_copies", fail)
    exports.log.addHandler(caplog.handler)
    delete(app, row_id)
    exports.log.removeHandler(caplog.handler)
    assert web_app.rows(app) == web_app.files(app) == []
    assert any("/exported" in line and row_id in line for line in caplog.messages)
