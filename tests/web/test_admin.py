import os
import subprocess
import sys

import alembic.autogenerate
import alembic.runtime.migration
import prometheus_client
import pytest
import sqlalchemy as sa
import web_app
from web_app import Browser, photo

from web import settings
from web.database import db

KEY = "k" * 32
UNAVAILABLE = "sqlite:////nowhere/at/all/pilah.db"


def sample(name, **labels):
    return prometheus_client.REGISTRY.get_sample_value(name, labels) or 0


@pytest.mark.skipif(not web_app.HAS_POSTGRESQL, reason=web_app.NO_POSTGRESQL)
def test_web_tests_run_on_postgresql_too():
    assert sa.create_engine(os.environ["DATABASE_URL"]).connect().dialect.name == "postgresql"


def test_tables_are_those_of_the_models(app):
    with app.app_context(), db.engine.connect() as connection:
        context = alembic.runtime.migration.MigrationContext.configure(connection)
        assert alembic.autogenerate.compare_metadata(context, db.metadata) == []


def test_sqlite_allows_reads_during_a_write(app):
    with app.app_context():
        if db.engine.dialect.name != "sqlite":
            return
        assert db.session.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"
        assert db.session.execute(sa.text("PRAGMA busy_timeout")).scalar() >= 5000


def test_connection_that_the_database_closed_is_replaced(app):
    browser = Browser(app)
    row_id = browser.uploaded()
    with app.app_context():
        if db.engine.dialect.name != "postgresql":
            return
        engine = sa.create_engine(db.engine.url)
    with engine.connect() as other:  # as a restart of the database does
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        other.execute(sa.text(f"{end} AND application_name = current_setting('application_name')"))
    engine.dispose()
    assert browser.get(f"/result/{row_id}").status_code == 200


def test_ready_if_database_and_serving_respond(app):
    assert Browser(app).get("/healthz").json == {"status": "ok"}
    answer = Browser(app).get("/readyz")
    assert answer.status_code == 200 and answer.json == {"database": "ok", "serving": "ok"}


def test_not_ready_without_serving(app, model):
    model.stop()
    answer = Browser(app).get("/readyz")
    assert answer.status_code == 503
    assert answer.json["database"] == "ok" and answer.json["serving"] != "ok"
    assert Browser(app).get("/healthz").status_code == 200
    model.start()
    web_app.wait_until(lambda: Browser(app).get("/readyz").status_code == 200)


def test_not_ready_without_the_database(make_app):
    browser = Browser(app_without_database(make_app))
    answer = browser.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["serving"] == "ok" and answer.json["database"] != "ok"
    assert "nowhere" not in answer.text
    assert browser.get("/healthz").status_code == 200


def test_failed_request_is_500_and_logged_with_its_id(make_app, log, monkeypatch):
    browser = Browser(make_app(PROPAGATE_EXCEPTIONS=False))
    monkeypatch.setattr(db.session, "get", _fail)
    monkeypatch.setattr(db.session, "scalars", _fail)
    page, answer = browser.get("/history"), browser.get("/api/results/" + "0" * 32)
    assert page.status_code == answer.status_code == 500
    assert page.mimetype == "text/html" and answer.json["error"]
    assert "nowhere" not in page.text + answer.text
    ids = [record["id"] for record in web_app.records(log) if record.get("status") == 500]
    assert ids == [page.headers["X-Request-Id"], answer.headers["X-Request-Id"]]
    assert any("traceback" in record for record in web_app.records(log))


def _fail(*_):
    raise RuntimeError("nowhere")


def app_without_database(make_app):
    make_app()
    return make_app(database_url=UNAVAILABLE, PROPAGATE_EXCEPTIONS=False)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 200), ("GET", "/nothing", 404), ("POST", "/classify", 400), ("DELETE", "/", 405)],
)
def test_request_is_logged_as_json_with_its_id(app, log, method, path, status):
    answer = app.test_client().open(path, method=method)
    [line] = [record for record in web_app.records(log) if record["message"] == "request"]
    assert answer.status_code == status
    assert line["id"] == answer.headers["X-Request-Id"]
    assert (line["method"], line["path"], line["status"]) == (method, path, status)
    assert line["milliseconds"] >= 0 and line["time"] and line["level"] == "INFO"


def test_path_with_a_newline_does_not_forge_a_log_line(app, log):
    app.test_client().get('/a"b%0a{"message": "forged"}')
    assert [record["message"] for record in web_app.records(log)].count("request") == 1
    assert all(record["message"] != "forged" for record in web_app.records(log))


def test_request_id_is_unique_and_not_chosen_by_the_client(app):
    ids = [app.test_client().get("/healthz", headers={"X-Request-Id": "mine"}).headers["X-Request-Id"] for _ in "ab"]
    assert len({*ids, "mine"}) == 3


def test_metrics_count_requests_and_uploads(app):
    before = {outcome: sample("pilah_uploads_total", outcome=outcome) for outcome in ("done", "empty")}
    endpoint = {"endpoint": "api.classify", "method": "POST"}
    requests_before = sample("pilah_web_requests_total", **endpoint, status="200")
    web_app.classify(app, photo())
    web_app.classify(app, b"")
    text = app.test_client().get("/metrics").text
    assert "pilah_uploads_total" in text and "pilah_web_seconds_bucket" in text
    assert {name: sample("pilah_uploads_total", outcome=name) for name in before} == {
        name: count + 1 for name, count in before.items()
    }
    assert sample("pilah_web_requests_total", **endpoint, status="200") == requests_before + 1


def test_unknown_methods_and_paths_add_no_metrics(app):
    app.test_client().open("/", method="BREW")
    app.test_client().get("/made/up")
    text = app.test_client().get("/metrics").text
    assert "BREW" not in text and "made" not in text


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "SECRET_KEY"),
        ({"PILAH_ENV": "prod"}, "SECRET_KEY"),
        ({"SECRET_KEY": "short"}, "32"),
        ({"SECRET_KEY": KEY, "ADMIN_TOKEN": "t" * 15}, r"ADMIN_TOKEN .* 16 characters \(it has 15\)\. Generate one: "),
        ({"SECRET_KEY": KEY, "MAX_PIXELS": "many"}, "MAX_PIXELS"),
        ({"SECRET_KEY": KEY, "SERVING_TIMEOUT_SECONDS": "soon"}, "SERVING_TIMEOUT_SECONDS"),
        ({"SECRET_KEY": KEY, "TRUSTED_PROXIES": "1.5"}, "TRUSTED_PROXIES"),
        ({"SECRET_KEY": KEY, "UPLOAD_RATE": "often"}, "UPLOAD_RATE"),
        ({"SECRET_KEY": KEY, "RETRY_SECONDS": "0"}, r"RETRY_SECONDS .* from 0\.1 to 3600 \(got 0\)\. Unset it"),
        ({"SECRET_KEY": KEY, "RETRY_SECONDS": "1e300"}, "RETRY_SECONDS"),
        ({"SECRET_KEY": KEY, "MAX_PIXELS": "1" + "0" * 20}, "MAX_PIXELS"),
        ({"SECRET_KEY": KEY, "RETRY_SECONDS": "inf"}, "RETRY_SECONDS"),
        ({"SECRET_KEY": KEY, "SERVING_TIMEOUT_SECONDS": "-1"}, "SERVING_TIMEOUT_SECONDS"),
        ({"SECRET_KEY": KEY, "SERVING_TIMEOUT_SECONDS": "nan"}, "SERVING_TIMEOUT_SECONDS"),
        ({"SECRET_KEY": KEY, "MAX_PIXELS": "0"}, "MAX_PIXELS"),
        ({"SECRET_KEY": KEY, "MAX_UPLOAD_BYTES": "500000"}, "MAX_UPLOAD_BYTES"),
        ({"SECRET_KEY": KEY, "TRUSTED_PROXIES": "-1"}, "TRUSTED_PROXIES"),
        ({"SECRET_KEY": KEY, "VISITOR_RATE": "seldom"}, "VISITOR_RATE .*'200 per day'"),
        ({"SECRET_KEY": KEY, "TOTAL_RATE": "5000"}, "TOTAL_RATE"),
        ({"SECRET_KEY": KEY, "METRICS_FROM": "10.0.0.0/33"}, "METRICS_FROM"),
        ({"SECRET_KEY": KEY, "METRICS_FROM": "10.0.0.1,"}, "METRICS_FROM"),
        *(
            ({"SECRET_KEY": KEY, "SERVING_TARGET": target}, r"SERVING_TARGET must be HOST:PORT .* \(got ")
            for target in ("http://host:8500", "host", "host:", ":8500", "host:port", "host:0", "host:65536", "a b:1")
            + ("host:8500/v1", "host:8500\n", "::1:8500", "host:\u0661")
        ),
        *(
            ({"SECRET_KEY": KEY, "DATABASE_URL": url}, "DATABASE_URL must name a SQLite file")
            for url in ("sqlite://", "sqlite:///:memory:")
        ),
        *(
            ({"SECRET_KEY": KEY, "DATABASE_URL": url}, "DATABASE_URL: write @ .* as %40")
            for url in ("postgresql://u:p@hidden@h/n", "postgresql://u@h/n?password=p@hidden")
        ),
        *(
            ({"SECRET_KEY": KEY, "DATABASE_URL": url}, "DATABASE_URL .*postgresql://USER:PASSWORD@HOST/NAME")
            for url in (
                "pilah.db",
                "postgresql://u:hidden@h:port/n",
                "mysql://u:hidden@h/n",
                "postgresql+psycopg2://h/n",
            )
            + ("postgres:/u:hidden@h", "://", "http://h/n")
        ),
    ],
)
def test_wrong_setting_is_an_error_that_names_it(environment, words):
    with pytest.raises(settings.SettingsError, match=words) as error:
        settings.read(environment)
    assert "\n" not in str(error.value) and "hidden" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u:p%40ss@h:5433/n?sslmode=require", "postgresql+psycopg://u:p%40ss@h:5433/n?sslmode=require"),
        ("postgresql://u@h/n", "postgresql+psycopg://u@h/n"),
        ("postgresql+psycopg://u:p@/n?host=/run/pg", "postgresql+psycopg://u:p@/n?host=/run/pg"),
        ("sqlite:////var/pilah.db", "sqlite:////var/pilah.db"),
        ("", ""),
    ],
)
def test_database_url_gets_the_installed_driver(url, expected):
    database_url = settings.read({"SECRET_KEY": KEY, "DATABASE_URL": url}).database_url
    assert database_url == expected or sa.make_url(database_url) == sa.make_url(expected)


@pytest.mark.parametrize(
    "target", ["localhost:8500", "serving:8500", "10.0.0.1:1", "[::1]:65535", "model-1.example.:8500"]
)
def test_serving_target_of_host_and_port_is_accepted(target):
    assert settings.read({"SECRET_KEY": KEY, "SERVING_TARGET": target}).serving_target == target


def test_overrides_take_precedence_over_the_environment():
    read = settings.read({"SECRET_KEY": KEY, "MAX_PIXELS": "7000000", "RETRY_SECONDS": "0.5", "PILAH_DATA": ""})
    assert (read.max_pixels, read.retry_seconds, read.pilah_data) == (7_000_000, 0.5, settings.Settings().pilah_data)
    assert settings.read({"SECRET_KEY": KEY, "MAX_PIXELS": "7000000"}, {"max_pixels": 8}).max_pixels == 8


def test_default_pixel_limit_accepts_50_megapixels():
    assert settings.Settings().max_pixels >= 8192 * 6144


def start(code, tmp_path, **environment):
    names = ("PATH", "HOME", "LANG")
    inherited = {name: os.environ[name] for name in names if name in os.environ} | {"PILAH_DATA": str(tmp_path)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=web_app.ROOT, env=inherited | environment, capture_output=True, text=True)


def test_start_without_a_key_fails_with_one_line_and_the_command(tmp_path):
    done = start("import web; web.create_app()", tmp_path)
    assert done.returncode == 1 and done.stdout == ""
    [line] = done.stderr.splitlines()
    assert "SECRET_KEY" in line and "secrets.token_hex" in line
    assert list(tmp_path.iterdir()) == []


def test_web_starts_without_importing_tensorflow_or_migrations(tmp_path):
    code = "import sys, web; web.create_app(); print(sorted({'tensorflow', 'keras', 'apache_beam', 'alembic', 'numpy'} "
    code += "& set(sys.modules)))"
    done = start(code, tmp_path, PILAH_ENV="development")
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
    assert (tmp_path / "secret_key").stat().st_mode & 0o077 == 0
