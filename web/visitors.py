"""Who sends a request, a visitor with a signed cookie or the operator, and which rows they may see."""

import hmac
import secrets

import sqlalchemy as sa
from flask import abort, current_app, session

from web import database
from web.database import Upload, db


def current() -> str:
    """Return the visitor's id from the signed cookie, and create it if there is none."""
    if "visitor" not in session:
        session["visitor"] = secrets.token_hex(16)
        session.permanent = True
    return session["visitor"]


def sign_in(token: str) -> bool:
    """Return whether `token` is right; if so, sign this browser in until it signs out or the token changes."""
    expected = current_app.config["PILAH"].admin_token
    if not expected or not hmac.compare_digest(token.encode(), expected.encode()):
        return False
    session["operator"] = _signature(expected)
    return True


def is_operator() -> bool:
    expected = current_app.config["PILAH"].admin_token
    return bool(expected) and hmac.compare_digest(session.get("operator", ""), _signature(expected))


def visible() -> sa.Select[Upload]:
    """Select the rows that the visitor or operator may see."""
    rows = sa.select(Upload)
    return rows if is_operator() else rows.where(Upload.visitor == session.get("visitor", ""))


def row_or_404(row_id: str) -> Upload:
    """Return a row that the visitor may see; answer 404 for any other, whether it exists or not."""
    row = db.session.scalar(visible().where(Upload.id == row_id)) if database.is_id(row_id) else None
    if row is None:
        abort(404)
    return row


def _signature(token: str) -> str:
    """Sign `token` for the cookie, whose content the browser can read."""
    return hmac.digest(current_app.config["PILAH"].secret_key.encode(), token.encode(), "sha256").hex()
