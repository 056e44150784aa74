"""Identify the sender of a request, a visitor or the operator, and select the rows that they may see."""

import hmac
import logging
import secrets

import sqlalchemy as sa
from flask import abort, current_app, g, session

from web import addresses, database, operator_sessions
from web.database import Upload, db

log = logging.getLogger("web")


def current() -> str:
    """Return the visitor's id from the signed cookie; create it on the first visit."""
    if "visitor" not in session:
        session["visitor"] = secrets.token_hex(16)
        session.permanent = True
    return session["visitor"]


def sign_in(token: str) -> bool:
    """Return whether `token` is correct; if so, start an operator session in this browser."""
    expected = current_app.config["PILAH"].admin_token
    if not expected or not hmac.compare_digest(token.encode(), expected.encode()):
        log.warning("operator sign-in refused: wrong token", extra=_fields())
        return False
    _end_session()
    session["operator"] = operator_sessions.start()
    session.pop("csrf_token", None)  # someone who knows the old one must not send forms as the operator
    log.info("operator signed in", extra=_fields(session["operator"]))
    return True


def sign_out() -> None:
    """End the operator's session in this browser, so that copies of its cookie give no access."""
    was_operator = is_operator()
    token = _end_session()
    if was_operator:
        log.info("operator signed out", extra=_fields(token))


def is_operator() -> bool:
    """Return whether this browser has a valid operator session; check once per request."""
    if "is_operator" not in g:
        token = session.get("operator", "")
        has_admin_token = bool(current_app.config["PILAH"].admin_token)
        g.is_operator = has_admin_token and bool(token) and operator_sessions.is_valid(token)
    return g.is_operator


def visible() -> sa.Select[Upload]:
    """Select the rows that the visitor or operator may see."""
    rows = sa.select(Upload)
    return rows if is_operator() else rows.where(Upload.visitor == session.get("visitor", ""))


def row_or_404(row_id: str) -> Upload:
    """Return a row that the visitor may see; answer 404 for all others, whether they exist or not."""
    row = db.session.scalar(visible().where(Upload.id == row_id)) if database.is_id(row_id) else None
    if row is None:
        abort(404)
    return row


def _end_session() -> str:
    """End the operator's session in this browser and return its token, or "" if there is none."""
    g.pop("is_operator", None)
    token = session.pop("operator", "")
    if token:
        operator_sessions.end(token)
    return token


def _fields(token: str | None = None) -> dict[str, dict[str, str]]:
    """Return the fields of a log line about the operator."""
    fields = {"address": addresses.client()}
    return {"fields": fields | {"session": operator_sessions.session_id(token)} if token else fields}
