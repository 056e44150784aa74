"""Rate limits and daily quotas of uploads, and rate limits of the operator's sign-ins.

They are kept in memory: a restart resets them. A period begins with its first request, not at midnight.
"""

import datetime
import logging
import time
from collections.abc import Callable
from typing import Any

import flask_babel
import flask_limiter
from flask import Flask, Response, current_app
from flask_babel import gettext
from flask_babel import lazy_gettext as _

from web import addresses, visitors

SIGN_IN_RATE = "10 per minute; 100 per day"
log = logging.getLogger("web")
limiter = flask_limiter.Limiter(addresses.counted, storage_uri="memory://")


def init_app(app: Flask) -> None:
    limiter.init_app(app)


def uploads(view: Callable[..., Any]) -> Callable[..., Any]:
    """Limit the uploads to `view` from one address, and those of all clients together."""
    return _by_address(_in_total(view))


def page_uploads(view: Callable[..., Any]) -> Callable[..., Any]:
    """Limit the uploads to `view` by visitor too; programs send no cookie to tell visitors apart."""
    return uploads(_by_visitor(view))


def _rate(name: str) -> Callable[[], str]:
    return lambda: getattr(current_app.config["PILAH"], name)


def _message(sentence: Any) -> Callable[[], str]:
    """Return a function for the text of a refusal: `sentence`, and when to try again."""

    def message() -> str:
        limit = limiter.current_limit
        left = datetime.timedelta(seconds=max(1.0, limit.reset_at - time.time()) if limit else 60.0)
        next_step = gettext("Try again in about %(time)s.", time=flask_babel.format_timedelta(left))
        return f"{sentence} {next_step}"

    return message


def _log_sign_in(limit: flask_limiter.RequestLimit) -> None:
    log.warning("operator sign-in refused: too many attempts", extra={"fields": {"address": addresses.client()}})


def _is_accepted(response: Response) -> bool:
    return response.status_code < 400


# By address every upload counts, since refused ones cost computing time too. The quotas by visitor and in total limit
# the disk, so that only accepted photos count: refused uploads must not use up everybody's quota.
_by_address = limiter.shared_limit(
    _rate("upload_rate"),
    scope="uploads",
    methods=["POST"],
    error_message=_message(_("There were too many uploads from your address.")),
)
_by_visitor = limiter.shared_limit(
    _rate("visitor_rate"),
    scope="uploads of a visitor",
    methods=["POST"],
    key_func=visitors.current,
    deduct_when=_is_accepted,
    error_message=_message(_("There were too many photos from this browser.")),
)
_in_total = limiter.shared_limit(
    _rate("total_rate"),
    scope="all uploads",
    methods=["POST"],
    key_func=lambda: "everybody",
    deduct_when=_is_accepted,
    error_message=_message(_("This site has received as many photos as it accepts for now.")),
)
sign_ins = limiter.limit(
    SIGN_IN_RATE,
    methods=["POST"],
    on_breach=_log_sign_in,
    error_message=_message(_("There were too many attempts to sign in from your address.")),
)
