"""Who is asking: a browser known by a signed cookie, or an operator with the token. Who may see which row."""

import secrets

import sqlalchemy as sa
from flask import abort, session

from web.database import Upload, db


def current() -> str:
    """This browser's id, given to it at its first upload and kept in its signed cookie."""
    if "visitor" not in session:
        session["visitor"] = secrets.token_hex(16)
        session.permanent = True
    return session["visitor"]


def is_operator() -> bool:
    return bool(session.get("operator"))


def visible() -> sa.Select[Upload]:
    """The rows that whoever asks may see."""
    rows = sa.select(Upload)
    return rows if is_operator() else rows.where(Upload.visitor == session.get("visitor", ""))


def row_or_404(row_id: str) -> Upload:
    """A row that whoever asks may see; 404 for any other, whether it exists or not."""
    row = db.session.scalar(visible().where(Upload.id == row_id))
    if row is None:
        abort(404)
    return row
