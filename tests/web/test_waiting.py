import concurrent.futures
import datetime
import re
import subprocess
import sys
import threading
import time

import grpc
import pytest
import sqlalchemy as sa
import web_app
from web_app import Browser, bring_back, photo, wait_until

from web import commands, database, pictures, settings, uploads
from web.database import State, Upload, db

BY_PHOTO = [(name, seed) for seed in range(10) for name in web_app.CLASSES]  # 30 photos, each with its class


@pytest.fixture
def make_app(make_app):
    """Return make_app of conftest.py, with waiting rows retried at once."""

    def make(**settings):
        app = make_app(**settings)
        app.extensions["pilah_uploads"].first_retry_seconds = 0.0
        return app

    return make


@pytest.fixture
def app(make_app):
    return make_app()


def retry(app):
    with app.app_context():
        return uploads.service().retry_waiting()


def states(app):
    return [row.state for row in web_app.rows(app)]


def stored_picture(app, row_id):
    with app.app_context():
        return uploads.service().store.picture(row_id).read_bytes()


def check_answered(app, rows):
    """Check that each row has the prediction for its own picture."""
    for row in rows:
        assert row.state == State.DONE and row.model_version == web_app.VERSION
        assert row.scores == pytest.approx(web_app.by_colour(stored_picture(app, row.id)), abs=1e-6)


def test_upload_without_serving_waits(app, model):
    model.stop()
    browser = Browser(app)
    row_id = browser.uploaded()
    [row] = web_app.rows(app)
    assert (row.id, row.state, row.class_name, row.scores) == (row_id, State.WAITING, None, None)
    page = browser.get(f"/result/{row_id}")
    assert page.status_code == 200 and "waiting.js" in page.text and "Refresh" not in page.headers
    assert browser.get(f"/result/{row_id}/state").json == {"state": "waiting"}
    assert browser.get(f"/picture/{row_id}").status_code == 200
    assert browser.get("/history").status_code == 200
    answer = web_app.classify(app, photo())
    assert answer.status_code == 202
    assert (answer.json["state"], answer.json["class_name"]) == ("waiting", None)
    assert app.test_client().get(f"/api/results/{answer.json['id']}").json["state"] == "waiting"


def test_waiting_rows_are_answered_when_serving_is_back(app, model):
    model.stop()
    browser = Browser(app)
    row_id = browser.uploaded(photo("metal"))
    api_row_id = web_app.classify(app, photo("paper")).json["id"]
    assert retry(app) == 0
    bring_back(app, model)
    assert retry(app) == 2
    check_answered(app, web_app.rows(app))
    page = browser.get(f"/result/{row_id}")
    assert "metal" in page.text.lower() and "waiting.js" not in page.text
    assert browser.get(f"/result/{row_id}/state").json == {"state": "done"}
    assert app.test_client().get(f"/api/results/{api_row_id}").json["class_name"] == "paper"
    assert retry(app) == 0 and len(model.photos) == 2


def test_upload_that_waits_since_before_the_clock_was_set_back_is_retried(app, model):
    model.stop()
    assert web_app.classify(app, photo()).status_code == 202
    with app.app_context():
        db.session.execute(sa.update(Upload).values(created_at=database.now() + datetime.timedelta(hours=1)))
        db.session.commit()
    bring_back(app, model)
    assert retry(app) == 1
    check_answered(app, web_app.rows(app))


def test_first_retry_is_later_than_the_serving_timeout():
    options = settings.Settings(serving_timeout_seconds=42.0)
    assert uploads.Service(None, None, options).first_retry_seconds > 42.0


def test_row_below_the_retry_age_is_not_retried(app, model):
    app.extensions["pilah_uploads"].first_retry_seconds = 3600.0
    model.stop()
    Browser(app).uploaded()
    bring_back(app, model)
    assert retry(app) == 0 and model.photos == []


def test_no_database_connection_is_held_during_a_model_call(app, model):
    with app.app_context():
        pool = db.engine.pool
    assert isinstance(pool, sa.pool.QueuePool)
    connections = []

    def count_and_refuse(picture):
        connections.append(pool.checkedout())
        raise web_app.Refusal(grpc.StatusCode.INTERNAL)

    model.before_answer = count_and_refuse
    Browser(app).uploaded()
    web_app.classify(app, photo("metal"))
    retry(app)
    assert connections == [0] * 4


def test_restarted_web_tier_answers_waiting_rows(make_app, model):
    model.stop()
    first = make_app()
    ids = [Browser(first).uploaded(photo(name)) for name in web_app.CLASSES]
    web_app.close(first)
    model.start()
    second = make_app()
    second.extensions["pilah_uploads"].start_retrying(second)
    wait_until(lambda: states(second) == [State.DONE] * 3)
    rows = web_app.rows(second)
    assert [row.id for row in rows] == ids and [row.class_name for row in rows] == list(web_app.CLASSES)


def test_first_request_of_a_process_starts_retrying(make_app, model):
    model.stop()
    first = make_app()
    Browser(first).uploaded()
    web_app.close(first)
    model.start()
    second = make_app(TESTING=False)
    for _ in range(2):
        assert second.test_client().get("/healthz").status_code == 200
    wait_until(lambda: states(second) == [State.DONE])
    assert [thread.name for thread in threading.enumerate()].count("retry") == 1


@pytest.mark.databases("sqlite")
def test_retrying_continues_after_a_failed_round(make_app, model, monkeypatch):
    model.stop()
    app = make_app()
    Browser(app).uploaded()
    service, failures = app.extensions["pilah_uploads"], iter([OSError("no database"), OSError("still none")])
    retry_waiting = service.retry_waiting

    def fail_twice():
        if failure := next(failures, None):
            raise failure
        return retry_waiting()

    monkeypatch.setattr(service, "retry_waiting", fail_twice)
    model.start()
    service.start_retrying(app)
    wait_until(lambda: states(app) == [State.DONE])
    assert next(failures, None) is None


@pytest.mark.databases("sqlite")
def test_retrying_continues_after_an_unreadable_picture(make_app, model, tmp_path, monkeypatch):
    model.stop()
    app = make_app()
    row_id, store = Browser(app).uploaded(), app.extensions["pilah_uploads"].store
    picture = store.picture
    unreadable = tmp_path  # a folder
    monkeypatch.setattr(store, "picture", lambda name: unreadable if name == row_id else picture(name))
    app.extensions["pilah_uploads"].start_retrying(app)
    model.start()
    other = Browser(app).uploaded(photo("metal"))
    monkeypatch.setattr(store, "picture", picture)
    wait_until(lambda: states(app) == [State.DONE] * 2)
    assert [row.id for row in web_app.rows(app)] == [row_id, other]


@pytest.mark.databases("sqlite")
def test_serving_stopped_during_an_upload_leaves_the_row_waiting(app, model):
    model.before_answer = lambda picture: stop_from_inside(model)
    row_id = Browser(app).uploaded()
    assert states(app) == [State.WAITING]
    wait_until(lambda: not model.runs)
    model.before_answer = lambda picture: None
    bring_back(app, model)
    assert retry(app) == 1
    [row] = web_app.rows(app)
    assert row.id == row_id
    check_answered(app, [row])


def stop_from_inside(model):
    """Stop the server while it handles a call, and delay its response until the server has stopped."""
    threading.Thread(target=model.stop).start()
    time.sleep(0.3)


@pytest.mark.databases("sqlite")
def test_serving_killed_during_an_upload_leaves_the_row_waiting(make_app, model):
    command = [sys.executable, "-m", "web_app"]
    with subprocess.Popen(
        command, cwd=web_app.ROOT / "tests" / "helpers", env=web_app.environment(), stdout=-1, text=True
    ) as other:
        app = make_app(serving_target=other.stdout.readline().strip(), serving_timeout_seconds=2.0)
        with concurrent.futures.ThreadPoolExecutor(1) as visitor:
            sent = visitor.submit(Browser(app).uploaded)
            assert other.stdout.readline().strip() == "asked"
            other.kill()
            row_id = sent.result()
    assert states(app) == [State.WAITING]
    later = make_app()
    assert retry(later) == 1
    [row] = web_app.rows(later)
    assert row.id == row_id
    check_answered(later, [row])


@pytest.mark.databases("sqlite")
def test_serving_timeout_leaves_the_row_waiting(app, model):
    model.before_answer = lambda picture: time.sleep(1.0)
    Browser(app).uploaded()
    assert states(app) == [State.WAITING]


def test_photo_refused_twice_by_the_model_is_not_retried(app, model):
    model.before_answer = refuse(grpc.StatusCode.INVALID_ARGUMENT)
    browser = Browser(app)
    row_id = browser.uploaded()
    by_program = web_app.classify(app, photo())
    assert by_program.status_code == 202 and states(app) == [State.WAITING] * 2
    assert retry(app) == 2 and states(app) == [State.REFUSED] * 2
    assert app.test_client().get(f"/api/results/{by_program.json['id']}").json["state"] == "refused"
    page = browser.get(f"/result/{row_id}")
    assert page.status_code == 200 and "waiting.js" not in page.text
    model.forget()
    assert retry(app) == 0 and model.photos == []


@pytest.mark.databases("sqlite")
def test_retry_refused_once_is_repeated_at_once(app, model):
    model.stop()
    Browser(app).uploaded()
    bring_back(app, model)
    model.before_answer = refuse_once(model, grpc.StatusCode.INVALID_ARGUMENT)
    assert retry(app) == 1 and len(model.photos) == 2
    check_answered(app, web_app.rows(app))


@pytest.mark.databases("sqlite")
def test_retry_refused_once_and_then_failed_still_waits(app, model):
    model.stop()
    Browser(app).uploaded()
    bring_back(app, model)
    then = refuse(grpc.StatusCode.INTERNAL)
    model.before_answer = refuse_once(model, grpc.StatusCode.INVALID_ARGUMENT, then)
    assert retry(app) == 0 and states(app) == [State.WAITING]


@pytest.mark.databases("sqlite")
def test_photo_refused_with_its_batch_is_answered_on_retry(app, model):
    model.before_answer = refuse(grpc.StatusCode.INVALID_ARGUMENT)
    Browser(app).uploaded()
    model.forget()
    assert retry(app) == 1
    check_answered(app, web_app.rows(app))


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN])
def test_repeated_server_error_leaves_the_row_waiting(app, model, code):
    model.before_answer = refuse(code)
    Browser(app).uploaded()
    assert [retry(app), retry(app)] == [0, 0] and states(app) == [State.WAITING]
    model.forget()
    assert retry(app) == 1
    check_answered(app, web_app.rows(app))


@pytest.mark.databases("sqlite")
def test_retry_pause_grows_until_a_row_is_answered(make_app, model):
    app = make_app(retry_seconds=0.1, serving_timeout_seconds=10.0)
    service = app.extensions["pilah_uploads"]
    model.before_answer = refuse(grpc.StatusCode.INTERNAL)
    Browser(app).uploaded()
    pauses = []
    for _ in range(12):
        retry(app)
        pauses.append(service.pause_seconds)
    assert pauses[:3] == [0.2, 0.4, 0.8] and pauses[-1] == uploads.MAX_PAUSE_SECONDS
    model.forget()
    assert retry(app) == 1 and service.pause_seconds == 0.1


@pytest.mark.databases("sqlite")
def test_retry_pause_stays_short_while_the_server_is_unavailable(make_app, model):
    app = make_app(retry_seconds=0.1)
    model.stop()
    Browser(app).uploaded()
    assert retry(app) == 0 and app.extensions["pilah_uploads"].pause_seconds == 0.1


@pytest.mark.databases("sqlite")
def test_retry_thread_uses_the_growing_pause(make_app, model):
    app = make_app(retry_seconds=0.1, serving_timeout_seconds=10.0)
    model.before_answer = refuse(grpc.StatusCode.INTERNAL)
    Browser(app).uploaded()
    app.extensions["pilah_uploads"].start_retrying(app)
    time.sleep(2)  # retries after 0.1, 0.3, 0.7 and 1.5 s, instead of 20 retries
    assert len(model.photos) <= 1 + 4


@pytest.mark.databases("sqlite")
def test_row_with_a_server_error_does_not_delay_the_others(app, model):
    model.stop()
    browser = Browser(app)
    failing, answered = browser.uploaded(), browser.uploaded(photo("metal"))
    bring_back(app, model)
    bad_picture = stored_picture(app, failing)
    model.before_answer = lambda picture: refuse(grpc.StatusCode.INTERNAL)(picture) if picture == bad_picture else None
    assert retry(app) == 1
    assert {row.id: row.state for row in web_app.rows(app)} == {failing: State.WAITING, answered: State.DONE}


@pytest.mark.databases("sqlite")
def test_row_with_an_unreadable_picture_is_logged_and_does_not_delay_the_others(app, model, web_log):
    model.stop()
    browser = Browser(app)
    failing, answered = browser.uploaded(), browser.uploaded(photo("metal"))
    picture = app.extensions["pilah_uploads"].store.picture(failing)
    picture.unlink()
    picture.mkdir()
    bring_back(app, model)
    assert retry(app) == 1
    assert {row.id: row.state for row in web_app.rows(app)} == {failing: State.WAITING, answered: State.DONE}
    [record] = [record for record in web_log.records if record.exc_info]
    assert failing in record.getMessage()


@pytest.mark.databases("sqlite")
def test_retry_round_ends_if_the_server_is_overloaded(app, model):
    model.stop()
    for name in web_app.CLASSES:
        Browser(app).uploaded(photo(name))
    bring_back(app, model)
    model.before_answer = refuse(grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert retry(app) == 0 and len(model.photos) == 1


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    "code", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.RESOURCE_EXHAUSTED]
)
def test_serving_without_a_model_or_overloaded_leaves_the_row_waiting(app, model, code):
    model.before_answer = refuse(code)
    answer = web_app.classify(app, photo())
    assert (answer.status_code, answer.json["state"]) == (202, State.WAITING)
    model.forget()
    assert retry(app) == 1
    check_answered(app, web_app.rows(app))


def refuse(code):
    def before_answer(picture):
        raise web_app.Refusal(code)

    return before_answer


def refuse_once(model, code, then=lambda picture: None):
    def before_answer(picture):
        model.before_answer = then
        raise web_app.Refusal(code)

    return before_answer


def test_uploads_during_serving_restarts_are_answered_once(make_app, model):
    app = make_app()
    app.extensions["pilah_uploads"].start_retrying(app)
    contents = [photo(name, seed=seed) for name, seed in BY_PHOTO]
    browsers = [Browser(app) for _ in contents]

    def send(number):
        if number in (8, 20):
            model.stop()
        if number in (14, 26):
            model.start()
        return browsers[number].uploaded(contents[number])

    with concurrent.futures.ThreadPoolExecutor(3) as visitors:
        ids = list(visitors.map(send, range(len(contents))))
    wait_until(lambda: set(states(app)) == {State.DONE})
    rows = {row.id: row for row in web_app.rows(app)}
    assert sorted(rows) == sorted(ids) and len(set(ids)) == len(contents)
    assert [rows[row_id].class_name for row_id in ids] == [name for name, _ in BY_PHOTO]
    check_answered(app, rows.values())
    assert set(model.photos) == {stored_picture(app, row_id) for row_id in ids}
    assert web_app.files(app) == sorted(f"{row_id}.jpg" for row_id in ids)


def test_waiting_row_can_be_deleted(app, model):
    model.stop()
    browser = Browser(app)
    row_id, waiting = browser.uploaded(), browser.uploaded(photo("metal"))
    assert browser.post(f"/result/{row_id}/deletion").status_code == 303
    bring_back(app, model)
    assert retry(app) == 1
    [row] = web_app.rows(app)
    assert row.id == waiting
    check_answered(app, [row])
    assert web_app.files(app) == [f"{waiting}.jpg"]


def test_rows_deleted_during_a_retry_stay_deleted(make_app, model, web_log):
    app = make_app(serving_timeout_seconds=10.0)  # the deletions need less
    model.before_answer = refuse(grpc.StatusCode.INTERNAL)
    browser = Browser(app)
    ids = [browser.uploaded(photo(name)) for name in web_app.CLASSES]

    def delete_two(picture):
        model.before_answer = lambda picture: None
        for row_id in ids[:2]:  # the one that is being classified, and the next one
            browser.post(f"/result/{row_id}/deletion")

    model.before_answer = delete_two
    retry(app)
    [row] = web_app.rows(app)
    assert row.id == ids[2] and not [line for line in web_log.messages if "missing" in line]
    check_answered(app, [row])
    assert web_app.files(app) == [f"{ids[2]}.jpg"]


@pytest.mark.parametrize("code", [None, grpc.StatusCode.INTERNAL])
def test_row_deleted_during_its_upload_is_404(make_app, model, code):
    app = make_app(serving_timeout_seconds=10.0)  # the deletion needs less

    def delete_and_refuse(picture):
        with app.app_context():
            uploads.service().remove(db.session.scalar(sa.select(Upload.id)))
        if code:
            raise web_app.Refusal(code)

    model.before_answer = delete_and_refuse
    page, answer = Browser(app).upload(), web_app.classify(app, photo())
    assert page.status_code == answer.status_code == 404
    assert "was deleted" in page.text and "was deleted" in answer.json["detail"]
    assert web_app.rows(app) == web_app.files(app) == []


def test_row_answered_by_another_process_is_not_changed(app, model):
    model.stop()
    row_id = Browser(app).uploaded(photo("glass"))
    bring_back(app, model)

    def answer_first(picture):
        with app.app_context():
            values = {"state": State.DONE, "class_name": "paper", "model_version": 2}
            db.session.execute(sa.update(Upload).where(Upload.id == row_id).values(values))
            db.session.commit()

    model.before_answer = answer_first
    retry(app)
    [row] = web_app.rows(app)
    assert (row.class_name, row.model_version) == ("paper", 2)


def test_row_without_a_picture_is_refused_and_does_not_delay_the_others(app, model, web_log):
    model.stop()
    browser = Browser(app)
    missing, answered = browser.uploaded(), browser.uploaded(photo("metal"))
    app.extensions["pilah_uploads"].store.picture(missing).unlink()
    bring_back(app, model)
    assert retry(app) == 1
    assert {row.id: row.state for row in web_app.rows(app)} == {missing: State.REFUSED, answered: State.DONE}
    assert [record.levelname for record in web_log.records if missing in record.getMessage()][-1] == "ERROR"


@pytest.mark.databases("sqlite")
def test_row_with_a_missing_picture_folder_waits(app, model, web_log):
    model.stop()
    Browser(app).uploaded()
    bring_back(app, model)
    folder = app.extensions["pilah_uploads"].store.folder
    folder.rename(folder.with_name("elsewhere"))
    assert retry(app) == 0 and states(app) == [State.WAITING]
    assert "PILAH_DATA" in web_log.messages[-1]
    folder.with_name("elsewhere").rename(folder)
    assert retry(app) == 1
    check_answered(app, web_app.rows(app))


def run(app, *arguments):
    done = app.test_cli_runner().invoke(args=[str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def age(app, row_id, days):
    with app.app_context():
        row = db.session.get(Upload, row_id)
        row.created_at -= datetime.timedelta(days=days)
        db.session.commit()


def test_prune_deletes_only_older_rows(app):
    browser = Browser(app)
    old, oldest, recent = (browser.uploaded() for _ in range(3))
    age(app, old, 31)
    age(app, oldest, 400)
    age(app, recent, 29)
    assert "2" in run(app, "prune", "--days", 30)
    assert [row.id for row in web_app.rows(app)] == [recent]
    assert web_app.files(app) == [f"{recent}.jpg"]
    assert "0" in run(app, "prune", "--days", 30)


def test_prune_keeps_corrected_rows_without_with_corrections(app):
    browser = Browser(app)
    corrected, old = browser.uploaded(photo("glass")), browser.uploaded(photo("glass"))
    browser.post(f"/result/{corrected}/correction", {"class_name": "metal"})
    for row_id in (corrected, old):
        age(app, row_id, 31)
    assert run(app, "prune", "--days", 30).splitlines() == [
        "deleted 1 rows older than 30 days, with their pictures",
        "kept 1 confirmed or corrected ones: --with-corrections deletes them, and their exported copies",
    ]
    assert [row.id for row in web_app.rows(app)] == [corrected] and web_app.files(app) == [f"{corrected}.jpg"]
    assert "1 of them were confirmed or corrected" in run(app, "prune", "--days", 30, "--with-corrections")
    assert web_app.rows(app) == web_app.files(app) == []


def test_prune_continues_if_a_row_is_deleted_meanwhile(app, monkeypatch):
    ids = [Browser(app).uploaded() for _ in range(3)]
    store = app.extensions["pilah_uploads"].store
    remove = store.remove

    def remove_and_delete_the_others(row_id):
        remove(row_id)
        with db.engine.begin() as visitors:
            visitors.execute(sa.delete(Upload).where(Upload.id.in_(ids[1:])))

    monkeypatch.setattr(store, "remove", remove_and_delete_the_others)
    run(app, "prune", "--days", 0)
    assert web_app.rows(app) == web_app.files(app) == []


@pytest.mark.databases("sqlite")
def test_prune_refuses_invalid_days(app):
    for days in ("-1", "x"):
        assert app.test_cli_runner().invoke(args=["prune", "--days", days]).exit_code == 2
    assert app.test_cli_runner().invoke(args=["prune"]).exit_code == 2


def test_doctor_deletes_pictures_without_a_row_and_rows_without_a_picture(app, monkeypatch):
    browser = Browser(app)
    complete, without_row, without_picture = (browser.uploaded() for _ in range(3))
    with app.app_context():
        store = uploads.service().store
        db.session.execute(sa.delete(Upload).where(Upload.id == without_row))
        db.session.commit()
    store.remove(without_picture)
    monkeypatch.setattr(commands, "UPLOAD_SECONDS", 0.0)
    assert run(app, "doctor").count("1") == 2
    assert [row.id for row in web_app.rows(app)] == [complete]
    assert web_app.files(app) == [f"{complete}.jpg"]
    assert run(app, "doctor").count("0") == 2


def test_doctor_deletes_nothing_if_all_pictures_are_missing(app, monkeypatch):
    browser = Browser(app)
    row_id = browser.uploaded(photo("glass"))
    browser.post(f"/result/{row_id}/correction", {"class_name": "metal"})
    store = app.extensions["pilah_uploads"].store
    store.folder.rename(store.folder.with_name("elsewhere"))
    monkeypatch.setattr(commands, "UPLOAD_SECONDS", 0.0)
    for others in ([], ["f" * 32]):  # no folder, and the folder of another site
        for other in others:
            store.add(other, pictures.plain(photo(), 10**6))
        done = app.test_cli_runner().invoke(args=["doctor"])
        assert done.exit_code == 1 and str(store.folder) in done.output and done.output.count("\n") == 1
        assert [row.id for row in web_app.rows(app)] == [row_id]
        assert web_app.files(app) == [f"{other}.jpg" for other in others]
    assert "1 rows" in run(app, *re.search("prune .*", done.output)[0].split())


@pytest.mark.databases("sqlite")
def test_doctor_keeps_new_pictures_and_reports_them(app):
    with app.app_context():
        uploads.service().store.add("f" * 32, pictures.plain(photo(), 10**6))  # its row comes next
    assert "left 1 pictures without a row that are newer than 10 minutes" in run(app, "doctor")
    assert web_app.files(app) == [f"{'f' * 32}.jpg"]


def test_doctor_deletes_leftovers_of_a_crash(app, monkeypatch):
    complete, incomplete = (Browser(app).uploaded() for _ in range(2))
    with app.app_context():
        store = uploads.service().store
        store.add("e" * 32, pictures.plain(photo(), 10**6))
    store.picture("e" * 32).with_name("tmpabc.part").write_bytes(b"half")
    for row_id in ("e" * 32, incomplete):
        store.thumbnail(row_id)
        store.picture(row_id).unlink()  # as after a crash between the two files
    monkeypatch.setattr(commands, "UPLOAD_SECONDS", 0.0)
    run(app, "doctor")
    assert [row.id for row in web_app.rows(app)] == [complete]
    assert web_app.files(app) == [f"{complete}.jpg"]


def test_export_writes_corrected_photos_by_corrected_class(app, tmp_path):
    browser = Browser(app)
    ids = {name: browser.uploaded(photo(name)) for name in web_app.CLASSES}
    browser.post(f"/result/{ids['glass']}/correction", {"class_name": "metal"})
    browser.post(f"/result/{ids['paper']}/correction", {"class_name": "metal"})
    assert "2" in run(app, "export-corrections", tmp_path / "new")
    exported = {str(path.relative_to(tmp_path / "new")) for path in (tmp_path / "new").rglob("*") if path.is_file()}
    assert exported == {f"metal/{ids['glass']}.jpg", f"metal/{ids['paper']}.jpg"}
    assert (tmp_path / "new" / "metal" / f"{ids['glass']}.jpg").read_bytes() == stored_picture(app, ids["glass"])


@pytest.mark.databases("sqlite")
def test_export_to_a_folder_of_other_files_is_refused(app, tmp_path):
    browser = Browser(app)
    row_id = browser.uploaded(photo("glass"))
    browser.post(f"/result/{row_id}/correction", {"class_name": "metal"})
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    done = app.test_cli_runner().invoke(args=["export-corrections", str(folder)])
    assert done.exit_code == 1 and str(folder) in done.output and done.output.count("\n") == 1
    assert list(folder.iterdir()) == [folder / "notes.txt"]


@pytest.mark.databases("sqlite")
def test_export_continues_without_a_missing_picture(app, tmp_path):
    browser = Browser(app)
    ids = [browser.uploaded(), browser.uploaded()]
    for row_id in ids:
        browser.post(f"/result/{row_id}/correction", {"class_name": "metal"})
    app.extensions["pilah_uploads"].store.picture(ids[0]).unlink()
    assert "1" in run(app, "export-corrections", tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").rglob("*.jpg")] == [f"{ids[1]}.jpg"]


def test_photo_with_nan_scores_waits(app, model, monkeypatch):
    monkeypatch.setattr(web_app, "by_colour", lambda picture: dict.fromkeys(web_app.CLASSES, float("nan")))
    page = Browser(app).upload(photo())
    assert states(app) == [State.WAITING]
    assert "nan" not in page.text.lower()
