import errno
import pathlib
import subprocess
import sys

import click
import pytest
import sqlalchemy as sa
import web_app

import web
from web.database import db

COMMANDS = [["prune", "--days", "1"], ["doctor"], ["export-corrections", "exported"]]


@pytest.fixture
def run(tmp_path, model):
    """Return run(*arguments, **settings), which runs a command without tables."""

    def invoke(*arguments, **settings):
        names = {"pilah_data": str(tmp_path / "data"), "serving_target": model.target, "database_url": "", **settings}
        with click.Context(click.Command("tests")):
            app = web.create_app({**web_app.SETTINGS, **names})
        try:
            return app.test_cli_runner().invoke(args=list(arguments))
        finally:
            web_app.close(app)

    return invoke


def check_one_line(done, *words):
    assert done.exit_code == 1 and done.output.count("\n") == 1 and done.output.startswith("Error: ")
    for word in words:
        assert word in done.output


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_command_without_database_or_tables_fails_with_one_line(run, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_one_line(run(*command), "no such table", "flask --app web db upgrade")
    check_one_line(run(*command, database_url="sqlite:////nowhere/pilah.db"), "unable to open database file")
    check_one_line(run(*command, database_url="postgresql+psycopg://x@127.0.0.1:1/x"), "Connection refused")


@pytest.mark.parametrize("days", ["1000000", "99999999999999999999"])
def test_prune_with_huge_days_deletes_nothing(app, days):
    web_app.Browser(app).uploaded()
    done = app.test_cli_runner().invoke(args=["prune", "--days", days])
    assert done.exit_code == 0 and done.output.startswith("deleted 0 rows") and len(web_app.rows(app)) == 1


def test_prune_on_a_read_only_disk_fails_with_one_line(app, monkeypatch):
    web_app.Browser(app).uploaded()

    def fail(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system", "/data/file")

    monkeypatch.setattr(pathlib.Path, "unlink", fail)
    done = app.test_cli_runner().invoke(args=["prune", "--days", "0"])
    check_one_line(done, "/data/file: Read-only file system")


def test_start_with_a_newer_database_fails_with_one_line(make_app, tmp_path, tables):
    if isinstance(tables, str):
        pytest.skip("one database is enough")
    app = make_app()
    with app.app_context():
        db.session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        db.session.commit()
    command = [sys.executable, "-m", "web", "--model_base_path", str(tmp_path)]  # which first upgrades the database
    environment = web_app.environment(PILAH_ENV="development", PILAH_DATA=str(tmp_path), DATABASE_URL="")
    done = subprocess.run(command, cwd=web_app.ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "created by a newer version of Pilah" in done.stderr.splitlines()[-1] and "9999" in done.stderr
