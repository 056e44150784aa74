"""Rate limits and daily quotas of uploads, and rate limits of heat maps and the operator's sign-ins.

Counts are in memory: a restart resets them. A period begins with its first request, not at midnight.
"""

import datetime
import logging
import time
from collections.abc import Callable
from typing import Any

import flask_babel
import flask_limiter
from flask import Flask, Response, current_app, request
from flask_babel import gettext
from flask_babel import lazy_gettext as _

from web import addresses, visitors

SIGN_IN_RATE = "10 per minute; 100 per day"
HEATMAP_RATE = "60 per minute"  # a page with a heat map, and the heat map itself
log = logging.getLogger("web")
limiter = flask_limiter.Limiter(addresses.rate_limit_key, storage_uri="memory://")


def init_app(app: Flask) -> None:
    limiter.init_app(app)


def uploads(view: Callable[..., Any]) -> Callable[..., Any]:
    """Limit the uploads to `view` by address and in total."""
    return _by_address(_in_total(view))


def page_uploads(view: Callable[..., Any]) -> Callable[..., Any]:
    """Limit the uploads to `view` by address, by visitor and in total; only browsers send a visitor's cookie."""
    return uploads(_by_visitor(view))


def _rate(name: str) -> Callable[[], str]:
    return lambda: getattr(current_app.config["PILAH"], name)


def _message(sentence: Any) -> Callable[[], str]:
    """Return a function that returns `sentence` and when to try again."""

    def message() -> str:
        limit = limiter.current_limit
        seconds = max(1, int(limit.reset_at - time.time())) if limit else 60
        wait = flask_babel.format_timedelta(datetime.timedelta(seconds=seconds), threshold=1)  # 59 seconds, 1 minute
        next_step = gettext("Try again in %(time)s.", time=wait)
        return f"{sentence} {next_step}"

    return message


def _log_sign_in(limit: flask_limiter.RequestLimit) -> None:
    log.warning("operator sign-in refused: too many attempts", extra={"fields": {"address": addresses.client()}})


def _is_accepted(response: Response) -> bool:
    return response.status_code < 400


# The limit by address counts every upload, because refused ones cost CPU time too. The quotas by visitor and in total
# protect the disk, so they count only accepted photos: refused uploads must not use up the quota of all visitors.
_by_address = limiter.shared_limit(
    _rate("upload_rate"),
    scope="uploads",
    methods=["POST"],
    error_message=_message(_("Too many uploads.")),
)
_by_visitor = limiter.shared_limit(
    _rate("visitor_rate"),
    scope="uploads of a visitor",
    methods=["POST"],
    key_func=visitors.current,
    deduct_when=_is_accepted,
    error_message=_message(_("Too many photos from this browser.")),
)
_in_total = limiter.shared_limit(
    _rate("total_rate"),
    scope="all uploads",
    methods=["POST"],
    key_func=lambda: "everybody",
    deduct_when=_is_accepted,
    error_message=_message(_("This site can't accept more photos right now.")),
)
heatmaps = limiter.shared_limit(  # each costs the model server more than a photo
    HEATMAP_RATE,
    scope="heat maps",
    exempt_when=lambda: request.endpoint == "results.show" and "heatmap" not in request.args,
    error_message=_message(_("Too many heat maps.")),
)
sign_ins = limiter.limit(
    SIGN_IN_RATE,
    methods=["POST"],
    on_breach=_log_sign_in,
    error_message=_message(_("Too many sign-in attempts.")),
)
