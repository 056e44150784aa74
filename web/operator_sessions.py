"""The operator's sessions, stored on the server so that they expire, end on sign-out and can be revoked."""

import datetime
import hashlib
import hmac
import logging
import secrets
from collections.abc import Sequence

import sqlalchemy as sa
from flask import current_app
from sqlalchemy import orm

from web import database
from web.database import db

LIFETIME = datetime.timedelta(hours=12)
IDLE_LIMIT = datetime.timedelta(minutes=30)
WRITE_INTERVAL = datetime.timedelta(minutes=1)  # between updates of `used_at`, so that most requests write nothing
CLOCK_STEP = datetime.timedelta(minutes=1)  # setting the clock back by less does not end sessions
ID_LENGTH = 12
log = logging.getLogger("web")


class OperatorSession(db.Model):  # type: ignore[name-defined]  # created at run time
    """A browser in which the operator signed in.

    Attributes:
        digest: SHA-256 of the token in the browser's cookie, so that nobody can sign in with what the database stores.
        admin_token_digest: digest of the ADMIN_TOKEN of the sign-in; changing ADMIN_TOKEN ends the session.
    """

    __tablename__ = "operator_session"

    digest: orm.Mapped[str] = orm.mapped_column(sa.String(64), primary_key=True)
    admin_token_digest: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    created_at: orm.Mapped[datetime.datetime]
    used_at: orm.Mapped[datetime.datetime]

    @property
    def id(self) -> str:
        return self.digest[:ID_LENGTH]


def start() -> str:
    """Store a new session, delete those that have ended, and return the token for the browser's cookie."""
    token, now = secrets.token_urlsafe(32), database.now()
    with db.engine.begin() as connection:
        connection.execute(sa.delete(OperatorSession).where(sa.not_(_is_valid(now))))
        values = {"digest": _digest(token), "admin_token_digest": _admin_token_digest()}
        connection.execute(sa.insert(OperatorSession).values(**values, created_at=now, used_at=now))
    return token


def is_valid(token: str) -> bool:
    """Return whether the session of `token` is valid, and record its use."""
    now = database.now()
    this_session = OperatorSession.digest == _digest(token)
    with db.engine.connect() as connection:
        used_at = connection.scalar(sa.select(OperatorSession.used_at).where(this_session, _is_valid(now)))
    if used_at is None:
        return False
    if now - used_at >= WRITE_INTERVAL:
        try:
            with db.engine.begin() as connection:
                connection.execute(sa.update(OperatorSession).where(this_session).values(used_at=now))
        except (
            sa.exc.OperationalError
        ) as error:  # such as a full disk: the operator must still be able to delete photos
            log.warning("The use of an operator's session could not be stored: %s", type(error).__name__)
    return True


def end(token: str) -> None:
    """Delete the session of `token`, if there is one."""
    with db.engine.begin() as connection:
        connection.execute(sa.delete(OperatorSession).where(OperatorSession.digest == _digest(token)))


def session_id(token: str) -> str:
    """Return the id of a session in the log and the command, which gives no access."""
    return _digest(token)[:ID_LENGTH]


def valid() -> Sequence[OperatorSession]:
    """Return the valid sessions, oldest first."""
    sessions = sa.select(OperatorSession).where(_is_valid(database.now())).order_by(OperatorSession.created_at)
    return db.session.scalars(sessions).all()


def revoke(sessions: Sequence[OperatorSession]) -> None:
    for session in sessions:
        db.session.delete(session)
        log.info("operator session revoked", extra={"fields": {"session": session.id}})
    db.session.commit()


def _is_valid(now: datetime.datetime) -> sa.ColumnElement[bool]:
    return sa.and_(
        OperatorSession.admin_token_digest == _admin_token_digest(),
        OperatorSession.created_at > now - LIFETIME,
        OperatorSession.created_at < now + CLOCK_STEP,
        OperatorSession.used_at > now - IDLE_LIMIT,
    )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _admin_token_digest() -> str:
    options = current_app.config["PILAH"]
    return hmac.digest(options.secret_key.encode(), options.admin_token.encode(), "sha256").hex()
