"""The short form of the trials of chaos/upgrades, and that they notice what they look for."""

import os
import pathlib
import subprocess
import sys

import pytest

from chaos.upgrades import page_databases
from chaos.upgrades import trial as upgrades

ROOT = pathlib.Path(__file__).parents[2]


def test_interrupted_migrations_go_on_and_lose_no_row():
    command = [sys.executable, "-m", "chaos.upgrades.trial", "--short"]
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "sqlite: migration killed before a statement" in done.stdout


@pytest.fixture
def database(tmp_path):
    """Return a filled database of SQLite at the newest revision."""
    with page_databases.make("sqlite", tmp_path / "data") as database:
        command = [sys.executable, "-m", "flask", "--app", "web", "db", "upgrade"]
        variables = {"PILAH_ENV": "development", "PILAH_DATA": str(database.folder), "DATABASE_URL": ""}
        subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=True, capture_output=True)
        database.fill(16, seed=1)
        yield database


def checked(database, rows):
    trial = upgrades.Trial("test")
    upgrades.check_rows(trial, database, rows, upgrades.HEAD)
    return trial.lost, trial.failures


def test_lost_and_changed_rows_are_counted(database):
    rows = database.snapshot()
    assert checked(database, rows) == (0, [])
    first, second = sorted(rows["upload"])[:2]
    with database.engine() as engine, engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM upload WHERE id = ?", (first,))
        connection.exec_driver_sql("UPDATE upload SET visitor = 'another' WHERE id = ?", (second,))
    assert checked(database, rows) == (2, ["upload has 15 rows"])


def test_leftover_table_and_wrong_revision_are_failures(database):
    rows = database.snapshot()
    with database.engine() as engine, engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE _alembic_tmp_upload (id TEXT PRIMARY KEY)")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0002'")
    lost, failures = checked(database, rows)
    assert lost == 0 and len(failures) == 2
