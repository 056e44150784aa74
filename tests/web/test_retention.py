import datetime

import pytest
import web_app
from web_app import Browser, photo

from web import retention, settings, uploads
from web.database import Upload, db

NO_LIMIT = 10**9  # bytes, more than any test stores


@pytest.fixture
def store(app):
    return app.extensions["pilah_uploads"].store


def aged(app, days, corrected_class=None, feedback=None):
    """Add a row that is `days` old, and return its id."""
    row_id = Browser(app).uploaded(photo(seed=days))
    with app.app_context():
        row = db.session.get(Upload, row_id)
        row.created_at, row.corrected_class = row.created_at - datetime.timedelta(days=days), corrected_class
        row.feedback = feedback
        db.session.commit()
    return row_id


def ids(app):
    return {row.id for row in web_app.rows(app)}


def prune(app, store, keep_days=365, max_stored_bytes=NO_LIMIT):
    with app.app_context():
        retention.prune(store, keep_days, max_stored_bytes)


def test_prune_deletes_expired_rows_except_corrected_ones(app, store):
    aged(app, 366)
    kept = {aged(app, 364), aged(app, 400, "metal")}
    prune(app, store)
    assert ids(app) == kept and len(web_app.files(app)) == 2
    prune(app, store, keep_days=10)
    assert len(ids(app)) == 1


def test_prune_keeps_confirmed_rows_and_deletes_those_of_no_class_or_several_things(app, store):
    confirmed = aged(app, 400, feedback="confirmed")
    aged(app, 400, feedback="none")
    aged(app, 400, feedback="several")
    prune(app, store)
    assert ids(app) == {confirmed}


def test_prune_over_the_size_limit_deletes_the_oldest_and_corrected_ones_last(app, store):
    corrected = aged(app, 300, "metal")
    rows = [aged(app, days) for days in (200, 100, 50)]
    prune(app, store, max_stored_bytes=store.sizes().total() - store.sizes()[rows[0]])
    assert ids(app) == {corrected, *rows[1:]}
    prune(app, store, max_stored_bytes=1)
    assert ids(app) == set() and web_app.files(app) == []


def test_prune_below_the_limits_deletes_nothing(app, store):
    aged(app, 100)
    prune(app, store, max_stored_bytes=store.sizes().total())
    assert len(ids(app)) == 1


def test_pictures_without_a_row_do_not_count_towards_the_limit(app, store):
    row_id = aged(app, 100)
    limit = store.sizes().total()
    store.add("0" * 32, b"of a lost database" * 1000)
    prune(app, store, max_stored_bytes=limit)
    assert ids(app) == {row_id}


def test_many_rows_are_deleted_in_batches(app, store, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 2)
    for _ in range(5):
        aged(app, 400)
    prune(app, store)
    assert ids(app) == set() and web_app.files(app) == []


def test_server_deletes_expired_rows(make_app):
    row_id = aged(make_app(), 400)
    app = make_app()
    app.extensions["pilah_uploads"].start_retrying(app)
    web_app.wait_until(lambda: row_id not in ids(app))
    assert (app.extensions["pilah_uploads"].store.folder.with_name("reserve")).stat().st_size > 0


def test_reserve_is_released_only_on_a_full_disk(app, store, monkeypatch):
    store.keep_reserve()
    reserve = store.folder.with_name("reserve")
    store.release_reserve()
    assert reserve.stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 0}))
    store.release_reserve()
    store.keep_reserve()
    assert not reserve.exists()


@pytest.mark.parametrize(("name", "value"), [("KEEP_DAYS", "0"), ("KEEP_DAYS", "x"), ("MAX_STORED_BYTES", "1000")])
def test_invalid_limit_is_an_error_that_names_it(name, value):
    with pytest.raises(settings.SettingsError, match=name):
        settings.read({"PILAH_ENV": "development", "SECRET_KEY": "k" * 32, name: value})


def test_row_deleted_by_pruning_and_a_visitor_at_once_is_deleted(app, store, monkeypatch):
    row_id = aged(app, 400)
    remove = store.remove

    def remove_twice(row_id):
        monkeypatch.setattr(store, "remove", remove)
        uploads.service().remove(row_id)
        remove(row_id)

    monkeypatch.setattr(store, "remove", remove_twice)
    prune(app, store)
    assert row_id not in ids(app) and web_app.files(app) == []
