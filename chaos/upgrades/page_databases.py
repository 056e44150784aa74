"""Filled databases of the page for the trials of upgrades, and migrations of them in processes that can be killed."""

import contextlib
import dataclasses
import datetime
import os
import pathlib
import random
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import flask.cli
import sqlalchemy as sa

from web import commands, database  # noqa: F401  # imported before the fork, as the next lines

import flask_migrate  # isort: skip # noqa: F401
import alembic.command  # isort: skip # noqa: F401

ROOT = pathlib.Path(__file__).parents[2]
FEEDBACK = ("confirmed", "none", "several")
TIME = datetime.datetime(2026, 11, 29, 8)
SET_COLUMNS = ("prediction_set", "typicality", "certainty")  # since revision 0004
ANSWERS: list[dict[str, Any]] = [  # of a model without prediction sets, then of each certainty
    dict(zip(SET_COLUMNS, values, strict=True))
    for values in (
        (None, None, None),
        (["kaca & gelas \N{SNOWMAN}"], 0.5, "sure"),
        (["kaca & gelas \N{SNOWMAN}", "logam"], 0.25, "unsure"),
        (["kaca & gelas \N{SNOWMAN}", "logam"], 0.001, "untypical"),
    )
]
Snapshot = dict[str, dict[str, dict[str, Any]]]  # table -> primary key -> column -> value


@dataclasses.dataclass(frozen=True)
class PageDatabase:
    """The data of a page: a folder, and a schema in PostgreSQL if `url` is not empty."""

    folder: pathlib.Path
    url: str = ""

    @property
    def _output_path(self) -> pathlib.Path:
        """Return a file beside the folder, whose disk may be full."""
        return self.folder.with_suffix(".output")

    @contextlib.contextmanager
    def engine(self) -> Iterator[sa.Engine]:
        engine = sa.create_engine(self.url or f"sqlite:///{self.folder / 'pilah.db'}", poolclass=sa.NullPool)
        yield engine
        engine.dispose()

    def start(self, *arguments: str, prepare: Callable[[], None] = lambda: None) -> int:
        """Start `flask --app web db ARGUMENTS` in a process that calls `prepare` first, and return its id."""
        pid = os.fork()
        if not pid:
            self._run(arguments, prepare)
        return pid

    def run(self, *arguments: str, prepare: Callable[[], None] = lambda: None) -> int:
        """Run the command to its end; return its exit code, or the negative number of the signal that killed it."""
        return os.waitstatus_to_exitcode(os.waitpid(self.start(*arguments, prepare=prepare), 0)[1])

    def output(self) -> str:
        """Return what the commands have printed."""
        return self._output_path.read_text(errors="replace")

    def last_line(self) -> str:
        return (self.output().splitlines() or [""])[-1]

    def _run(self, arguments: tuple[str, ...], prepare: Callable[[], None]) -> None:
        """Run the command in this process, which then ends."""
        code = 70
        try:
            output = os.open(self._output_path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.chdir(ROOT)
            os.environ |= {"PILAH_ENV": "development", "PILAH_DATA": str(self.folder), "DATABASE_URL": self.url}
            prepare()
            sys.argv = ["flask", "--app", "web", "db", *arguments]
            flask.cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def snapshot(self) -> Snapshot:
        """Return all rows of all tables but that of Alembic."""
        tables: Snapshot = {}
        with self.engine() as engine, engine.connect() as connection:
            metadata = sa.MetaData()
            metadata.reflect(connection)
            for table in metadata.tables.values():
                if table.name != "alembic_version":
                    (key,) = table.primary_key.columns.keys()
                    rows = connection.execute(sa.select(table)).mappings()
                    tables[table.name] = {row[key]: dict(row) for row in rows}
        return tables

    def revision(self) -> str | None:
        with self.engine() as engine, engine.connect() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            return connection.scalar(sa.text("SELECT version_num FROM alembic_version"))

    def schema(self) -> dict[str, Any]:
        """Return the columns, key and indexes of each table."""
        with self.engine() as engine:
            inspector = sa.inspect(engine)
            return {
                name: {
                    "columns": {
                        column["name"]: (str(column["type"]), column["nullable"], bool(column["default"]))
                        for column in inspector.get_columns(name)
                    },
                    "key": inspector.get_pk_constraint(name)["constrained_columns"],
                    "indexes": {index["name"]: index["column_names"] for index in inspector.get_indexes(name)},
                }
                for name in inspector.get_table_names()
            }

    def fill(self, number: int, seed: int) -> None:
        """Insert `number` uploads of all kinds, and two sessions of the operator where there is a table for them."""
        generator = random.Random(seed)
        with self.engine() as engine, engine.begin() as connection:
            metadata = sa.MetaData()
            metadata.reflect(connection)
            table = metadata.tables["upload"]
            names = table.columns.keys()
            rows = [{name: row[name] for name in names} for row in uploads(number, generator, "feedback" in names)]
            if rows:
                connection.execute(table.insert(), rows)
            if "operator_session" in metadata.tables:
                connection.execute(metadata.tables["operator_session"].insert(), operator_sessions(generator))


def uploads(number: int, generator: random.Random, has_feedback: bool) -> Iterator[dict[str, Any]]:
    """Yield rows of waiting, refused, answered, confirmed and corrected photos, and of samples.

    Without feedback, as before revision 0003, only corrected ones have a time of their correction.
    """
    for position in range(number):
        kind = ("waiting", "refused", "done", "confirmed", "corrected", "none", "several", "sample")[position % 8]
        is_done = kind not in ("waiting", "refused")
        created_at = TIME + datetime.timedelta(seconds=position, microseconds=generator.randrange(10**6))
        score = generator.random()
        yield {
            "id": f"{generator.getrandbits(128):032x}",
            "visitor": f"{generator.getrandbits(128):032x}" if position % 3 else "",
            "created_at": created_at,
            "state": "done" if is_done else kind,
            "class_name": "kaca & gelas \N{SNOWMAN}" if is_done else None,
            "score": score if is_done else None,
            "scores": {"kaca & gelas \N{SNOWMAN}": score, "logam": 1 - score} if is_done else None,
            "model_version": 2**40 + position if is_done else None,
            "corrected_class": "logam" if kind == "corrected" else None,
            "corrected_at": created_at if kind == "corrected" or (has_feedback and kind in FEEDBACK) else None,
            "feedback": kind if kind in FEEDBACK else None,
            "is_sample": kind == "sample",
            **(ANSWERS[position // 8 % len(ANSWERS)] if is_done else ANSWERS[0]),
        }


def operator_sessions(generator: random.Random) -> list[dict[str, Any]]:
    return [
        {
            "digest": f"{generator.getrandbits(256):064x}",
            "admin_token_digest": f"{generator.getrandbits(256):064x}",
            "created_at": TIME,
            "used_at": TIME,
        }
        for _ in range(2)
    ]


@contextlib.contextmanager
def make(name: str, folder: pathlib.Path) -> Iterator[PageDatabase]:
    """Yield an empty database of "sqlite" or "postgresql", and delete it.

    The PostgreSQL is that of DATABASE_URL, in which the database is a schema of its own.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder.with_suffix(".output").unlink(missing_ok=True)
    if name == "sqlite":
        yield PageDatabase(folder)
    else:
        schema = f"pilah_chaos_{os.getpid()}"
        address = sa.make_url(os.environ["DATABASE_URL"])
        engine = sa.create_engine(address, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        try:
            with engine.connect() as connection:
                connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
            url = address.update_query_dict({"options": f"-csearch_path={schema}"})
            yield PageDatabase(folder, url.render_as_string(hide_password=False))
        finally:
            with engine.connect() as connection:
                connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))
    shutil.rmtree(folder)
