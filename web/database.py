"""The database table, with a row for each accepted upload."""

import datetime
import enum
import re
import secrets
from typing import Any

import flask_sqlalchemy
import sqlalchemy as sa
from flask import Flask
from sqlalchemy import orm


class Base(orm.DeclarativeBase):
    pass


db = flask_sqlalchemy.SQLAlchemy(model_class=Base)


class State(enum.StrEnum):
    """State of an upload: waiting for a prediction, done, or refused by the model."""

    WAITING = "waiting"
    DONE = "done"
    REFUSED = "refused"


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
    """An accepted photo, its prediction, and the visitor's correction."""

    __tablename__ = "upload"
    __table_args__ = (
        sa.Index("ix_upload_visitor_time", "visitor", "created_at", "id"),
        sa.Index("ix_upload_visitor_class_time", "visitor", "class_name", "created_at", "id"),
        sa.Index("ix_upload_time", "created_at", "id"),
        sa.Index("ix_upload_state", "state", "created_at"),
    )

    id: orm.Mapped[str] = orm.mapped_column(sa.String(32), primary_key=True, default=new_id)
    visitor: orm.Mapped[str] = orm.mapped_column(sa.String(32))
    created_at: orm.Mapped[datetime.datetime] = orm.mapped_column(default=now)
    state: orm.Mapped[str] = orm.mapped_column(sa.String(8), default=State.WAITING)
    class_name: orm.Mapped[str | None] = orm.mapped_column(sa.String(100))
    score: orm.Mapped[float | None]
    scores: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(sa.JSON)  # class -> score, in the model's order
    model_version: orm.Mapped[int | None] = orm.mapped_column(sa.BigInteger)
    corrected_class: orm.Mapped[str | None] = orm.mapped_column(sa.String(100))
    corrected_at: orm.Mapped[datetime.datetime | None]


def init_app(app: Flask) -> None:
    db.init_app(app)
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            sa.event.listen(db.engine, "connect", _set_up_sqlite)


def _set_up_sqlite(connection: Any, _: Any) -> None:
    """Let readers work while another connection writes, and let writers wait for their turn."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA busy_timeout=10000")
