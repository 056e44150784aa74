"""The database table, with a row for each accepted upload."""

import contextlib
import datetime
import enum
import logging
import os
import pathlib
import re
import secrets
from collections.abc import Sequence
from typing import Any

import click
import flask_sqlalchemy
import sqlalchemy as sa
from flask import Flask
from sqlalchemy import orm
from sqlalchemy.ext import hybrid

from serving import client


class Base(orm.DeclarativeBase):
    pass


log = logging.getLogger("web")
db = flask_sqlalchemy.SQLAlchemy(model_class=Base)


class State(enum.StrEnum):
    """State of an upload: waiting for a prediction, done, or refused by the model."""

    WAITING = "waiting"
    DONE = "done"
    REFUSED = "refused"


class Feedback(enum.StrEnum):
    """What a visitor said about a result, other than another class: it is right, of no class, or of several things."""

    CONFIRMED = "confirmed"
    NONE = "none"
    SEVERAL = "several"


# The words of the index ix_upload_unsure: SQLite uses a partial index only for the same expression, without parameters.
IS_UNSURE = f"certainty IN ('{client.Certainty.UNSURE}', '{client.Certainty.UNTYPICAL}')"


def new_id() -> str:
    """Return 128 random bits in hex, so that nobody can guess the address of an upload."""
    return secrets.token_hex(16)


def is_id(text: str) -> bool:
    """Return whether `text` has the form of an id; PostgreSQL refuses some strings."""
    return re.fullmatch(r"[0-9a-f]{32}", text) is not None


def now() -> datetime.datetime:
    """Return the time in UTC without a time zone, as both databases store it."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


class Upload(db.Model):  # type: ignore[name-defined]  # created at run time
    """An accepted photo, its prediction, and what the visitor said about it."""

    __tablename__ = "upload"
    __table_args__ = (
        sa.Index("ix_upload_visitor_time", "visitor", "created_at", "id"),
        sa.Index("ix_upload_visitor_class_time", "visitor", "class_name", "created_at", "id"),
        sa.Index("ix_upload_time", "created_at", "id"),
        sa.Index("ix_upload_state", "state", "created_at"),
        sa.Index(
            "ix_upload_unsure",
            "visitor",
            "created_at",
            "id",
            sqlite_where=sa.text(IS_UNSURE),
            postgresql_where=sa.text(IS_UNSURE),
        ),
    )

    id: orm.Mapped[str] = orm.mapped_column(sa.String(32), primary_key=True, default=new_id)
    visitor: orm.Mapped[str] = orm.mapped_column(sa.String(32))
    created_at: orm.Mapped[datetime.datetime] = orm.mapped_column(default=now)
    state: orm.Mapped[str] = orm.mapped_column(sa.String(8), default=State.WAITING)
    class_name: orm.Mapped[str | None] = orm.mapped_column(sa.String(100))
    score: orm.Mapped[float | None]
    scores: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(sa.JSON)  # class -> score, in the model's order
    model_version: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    # of serving.client.Prediction; None for models without prediction sets, as pushed by earlier versions
    prediction_set: orm.Mapped[list[str] | None] = orm.mapped_column(sa.JSON(none_as_null=True))
    typicality: orm.Mapped[float | None]
    certainty: orm.Mapped[str | None] = orm.mapped_column(sa.String(10))  # a Certainty
    corrected_class: orm.Mapped[str | None] = orm.mapped_column(sa.String(100))  # never the predicted one
    feedback: orm.Mapped[str | None] = orm.mapped_column(sa.String(9))  # a Feedback; None with a corrected class
    corrected_at: orm.Mapped[datetime.datetime | None]  # time of the corrected class or the feedback
    # one of the page's own photos, which takes no feedback: drawn photos must not become training data
    is_sample: orm.Mapped[bool] = orm.mapped_column(default=False, server_default=sa.false())

    @hybrid.hybrid_property
    def label(self) -> str | None:
        """Return the class that the visitor confirmed or corrected to, for training; None without one."""
        return self.class_name if self.feedback == Feedback.CONFIRMED else self.corrected_class

    @label.inplace.expression
    @classmethod
    def _label_expression(cls) -> sa.ColumnElement[str | None]:
        return sa.case((cls.feedback == Feedback.CONFIRMED, cls.class_name), else_=cls.corrected_class)


# Failures of the database's server, disk or connection, not errors in a statement.
UNAVAILABLE = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError)
MISSING_TABLE_PHRASES = ("no such table", "no such column", 'relation "', 'column "')  # of SQLite and PostgreSQL
LOCK_SECONDS = 5.0  # time for which a SQLite statement waits while another program writes
STATEMENT_SECONDS = 5.0  # time limit of the page's statements in PostgreSQL


def init_app(app: Flask) -> None:
    db.init_app(app)
    app.teardown_appcontext(_release_connection)  # Flask calls the last one first
    is_server = click.get_current_context(silent=True) is None  # commands such as migrations have no time limit
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            sa.event.listen(db.engine, "do_connect", _make_private)
            sa.event.listen(db.engine, "connect", _set_up_sqlite)
        elif db.engine.dialect.name == "postgresql":
            from web import postgres  # psycopg is not needed for SQLite

            postgres.limit_connecting(db.engine)
            postgres.report_missing_tables(db.engine)
            if is_server:
                postgres.limit_statements(db.engine, STATEMENT_SECONDS)


def _release_connection(error: BaseException | None) -> None:
    """End the session of a request or a background job, before Flask-SQLAlchemy would.

    What it did is committed, so a connection that is lost since then must neither fail a response that is ready nor end
    a background thread. Closing the session again, as Flask-SQLAlchemy does, then finds nothing to roll back.
    """
    try:
        db.session.remove()
    except UNAVAILABLE as lost:
        log.warning("the database failed at the end of a request: %s", describe(lost))


def describe(error: Exception) -> str:
    """Return the reason for a database failure on one line, with the next step if it is known."""
    reason = " ".join(str(getattr(error, "orig", None) or error).split())
    if any(phrase in reason for phrase in MISSING_TABLE_PHRASES):
        return f"{reason}. Create the tables: flask --app web db upgrade"
    return reason


def erase_deleted() -> None:
    """Remove deleted rows from SQLite's write-ahead log, where they stay readable otherwise.

    This does nothing while another connection reads. Each deletion and each round of pruning calls it again.
    """
    if db.engine.dialect.name != "sqlite":
        return
    with contextlib.suppress(*UNAVAILABLE), db.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=0")  # do not wait for a lock
        try:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={round(LOCK_SECONDS * 1000)}")


def _make_private(dialect: Any, record: Any, arguments: Sequence[Any], options: Any) -> None:
    """Make the database file readable only by its owner; SQLite creates its other files with the same mode."""
    if arguments[0] == ":memory:" or arguments[0].startswith("file:"):
        return
    path = pathlib.Path(arguments[0])
    with contextlib.suppress(OSError):  # SQLite reports a file that it cannot open
        os.close(os.open(path, os.O_CREAT | os.O_RDONLY, 0o600))
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        with contextlib.suppress(OSError):  # it is missing or has another owner
            path.with_name(name).chmod(0o600)


def _set_up_sqlite(connection: Any, _: Any) -> None:
    """Let connections read while another one writes, let writers wait for locks, and overwrite deleted data."""
    connection.execute(f"PRAGMA busy_timeout={round(LOCK_SECONDS * 1000)}")  # first: the others may have to wait
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA secure_delete=ON")
