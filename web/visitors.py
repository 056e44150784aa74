"""Who is asking: a browser known by a signed cookie, or an operator with the token. Who may see which row."""

import hmac
import secrets

import sqlalchemy as sa
from flask import abort, current_app, session

from web import database
from web.database import Upload, db


def current() -> str:
    """This browser's id, kept in its signed cookie; given to it with the form, before there is an upload to lose."""
    if "visitor" not in session:
        session["visitor"] = secrets.token_hex(16)
        session.permanent = True
    return session["visitor"]


def sign_in(token: str) -> bool:
    """Whether `token` is the operator's; this browser is then the operator's until it leaves or the token changes."""
    expected = current_app.config["PILAH"].admin_token
    if not expected or not hmac.compare_digest(token.encode(), expected.encode()):
        return False
    session["operator"] = _mark(expected)
    return True


def is_operator() -> bool:
    expected = current_app.config["PILAH"].admin_token
    return bool(expected) and hmac.compare_digest(session.get("operator", ""), _mark(expected))


def visible() -> sa.Select[Upload]:
    """The rows that whoever asks may see."""
    rows = sa.select(Upload)
    return rows if is_operator() else rows.where(Upload.visitor == session.get("visitor", ""))


def row_or_404(row_id: str) -> Upload:
    """A row that whoever asks may see; 404 for any other, whether it exists or not."""
    row = db.session.scalar(visible().where(Upload.id == row_id)) if database.is_id(row_id) else None
    if row is None:
        abort(404)
    return row


def _mark(token: str) -> str:
    """What stands for the token in a cookie, which its browser can read."""
    return hmac.digest(current_app.config["PILAH"].secret_key.encode(), token.encode(), "sha256").hex()
