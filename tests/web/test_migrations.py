"""Migrations of filled databases: each step down and up, without space, two at once, and of newer databases."""

import resource
import signal
import subprocess
import sys

import pytest
import sqlalchemy as sa
import web_app

from chaos.upgrades import page_databases
from chaos.upgrades import trial as upgrades

REVISIONS = ("0004", "0003", "0002", "0001")


@pytest.fixture
def data(database, tmp_path):
    """Return an empty database of the page."""
    with page_databases.make(database, tmp_path / "data") as data:
        yield data


def start(data, *arguments, **options):
    variables = web_app.environment(PILAH_ENV="development", PILAH_DATA=str(data.folder), DATABASE_URL=data.url)
    command = [sys.executable, "-m", "flask", "--app", "web", "db", *arguments]
    return subprocess.Popen(
        command, cwd=web_app.ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def run(data, *arguments, **options):
    """Run `flask --app web db ARGUMENTS`, and return the exit code and the last line of its output."""
    process = start(data, *arguments, **options)
    output, errors = process.communicate()
    assert "Traceback" not in errors
    return process.returncode, (output + errors).splitlines()[-1] if output + errors else ""


def migrate(data, *arguments):
    code, line = run(data, *arguments)
    assert code == 0, line


def test_rows_and_tables_are_right_after_each_step_down_and_up(data):
    migrate(data, "upgrade")
    data.fill(80, seed=3)
    rows, schema = data.snapshot(), data.schema()
    kinds = {
        (row["state"], row["feedback"], row["corrected_class"], row["is_sample"]) for row in rows["upload"].values()
    }
    assert {row["certainty"] for row in rows["upload"].values()} == {None, "sure", "unsure", "untypical"}
    assert len(kinds) == 8 and len(rows["operator_session"]) == 2
    for revision in REVISIONS[1:]:
        migrate(data, "downgrade", revision)
        assert data.revision() == revision
        rows = upgrades.migrated(rows, revision)
        assert data.snapshot() == rows
    for revision in reversed(REVISIONS[:-1]):
        migrate(data, "upgrade", revision)
        rows = upgrades.migrated(rows, revision) | {"operator_session": {}}
        assert data.snapshot() == rows
    assert data.schema() == schema and "ix_upload_unsure" in schema["upload"]["indexes"]
    assert run(data, "check")[0] == 0  # the tables are those of web/database.py


@pytest.mark.databases("sqlite")
def test_downgrade_keeps_corrections_and_drops_feedback(data):
    migrate(data, "upgrade")
    data.fill(80, seed=3)
    corrected = {key: row for key, row in data.snapshot()["upload"].items() if row["corrected_class"]}
    migrate(data, "downgrade", "0001")
    earlier = data.snapshot()["upload"]
    assert len(corrected) == 10
    assert all(earlier[key].items() <= row.items() and earlier[key]["corrected_at"] for key, row in corrected.items())
    assert [row for key, row in earlier.items() if key not in corrected and row["corrected_at"]] == []
    assert not any({"feedback", "is_sample"} & set(row) for row in earlier.values())


@pytest.mark.databases("sqlite")
def test_downgrade_to_nothing_and_upgrade_makes_new_tables(data):
    migrate(data, "upgrade")
    schema = data.schema()
    data.fill(8, seed=3)
    migrate(data, "downgrade", "base")
    assert data.snapshot() == {}
    migrate(data, "upgrade")
    assert data.schema() == schema


def test_two_upgrades_at_the_same_time_both_end_well(data):
    processes = [start(data, "upgrade") for _ in range(2)]
    outputs = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert data.revision() == upgrades.HEAD


def test_upgrade_waits_for_a_program_that_writes(data, database):
    migrate(data, "upgrade", "0002")
    lock = "BEGIN IMMEDIATE" if database == "sqlite" else f"SELECT pg_advisory_xact_lock({upgrades_lock()})"
    with data.engine() as engine, engine.connect() as connection:
        connection.exec_driver_sql(lock)
        process = start(data, "upgrade")
        for line in process.stderr:
            if "waits for it" in line:
                break
        assert process.poll() is None
    assert process.wait() == 0
    process.stderr.close()
    process.stdout.close()
    assert data.revision() == upgrades.HEAD


def upgrades_lock():
    """Return the number of the lock of web/migrations/env.py."""
    text = (web_app.ROOT / "web" / "migrations" / "env.py").read_text()
    return int(text.partition("LOCK_KEY = ")[2].split()[0])


def limit_files():
    """Let SQLite's files grow no further; chaos/upgrades has a full disk, which only root can mount."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))


@pytest.mark.databases("sqlite")
def test_upgrade_without_space_names_the_disk_and_goes_on_later(data):
    migrate(data, "upgrade", "0002")
    data.fill(800, seed=3)
    rows = data.snapshot()
    code, line = run(data, "upgrade", preexec_fn=limit_files)
    assert code == 1 and line.endswith("The database failed: disk I/O error")
    assert (data.revision(), data.snapshot()) == ("0002", rows)
    migrate(data, "upgrade")
    assert data.snapshot() == upgrades.migrated(rows, upgrades.HEAD)


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("command", ["upgrade", "downgrade", "current", "check"])
def test_command_on_a_database_of_a_newer_version_fails_with_one_line(data, command):
    migrate(data, "upgrade")
    data.fill(8, seed=3)
    rows = data.snapshot()
    with data.engine() as engine, engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0099'"))
    code, line = run(data, command)
    assert code == 1
    assert "The database was created by a newer version of Pilah" in line and "'0099'" in line
    assert "Start that version, or restore an older backup." in line
    assert (data.revision(), data.snapshot()) == ("0099", rows)
