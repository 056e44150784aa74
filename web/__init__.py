"""The web tier: upload, result, history. Needs no TensorFlow."""

import logging
import os
import pathlib
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import flask_babel
import flask_bootstrap
import flask_wtf.csrf
from flask import Flask, current_app, render_template, request, session
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from serving import client
from web import commands, database, limits, messages, pictures, security, settings, store, telemetry, uploads
from web.pages import about, admin, api, classify, history, home, results

LANGUAGES = {"en": "English", "id": "Bahasa Indonesia"}


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """The application, set up from the environment.

    Args:
        config: settings by field name of `web.settings.Settings`, over those of the environment; names in capitals go
            to Flask and its extensions as they are.
    """
    config = dict(config or {})
    try:
        given = settings.read(os.environ, {name: value for name, value in config.items() if name.islower()})
    except settings.SettingsError as error:
        sys.exit(f"web: {error}")
    data = pathlib.Path(given.pilah_data).resolve()
    data.mkdir(parents=True, exist_ok=True)
    app = Flask(__name__, instance_path=str(data))
    app.config.from_mapping(
        SECRET_KEY=given.secret_key,
        SQLALCHEMY_DATABASE_URI=given.database_url or f"sqlite:///{data / 'pilah.db'}",
        SQLALCHEMY_ENGINE_OPTIONS={"pool_pre_ping": True},  # a connection that the database closed is replaced
        MAX_CONTENT_LENGTH=given.max_upload_bytes + 64 * 1024,  # the form around the photo
        PERMANENT_SESSION_LIFETIME=timedelta(days=400),
        SESSION_REFRESH_EACH_REQUEST=False,  # a late answer would put back what another tab has changed meanwhile
        SESSION_COOKIE_SECURE=not given.is_development,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_HTTPONLY=True,
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session: a page may stay open for a day
        BABEL_DEFAULT_LOCALE="en",
        BOOTSTRAP_SERVE_LOCAL=True,
        RATELIMIT_HEADERS_ENABLED=True,
        SEND_FILE_MAX_AGE_DEFAULT=300,  # seconds that a browser need not ask again for a style sheet
        PILAH=given,
    )
    app.config.from_mapping({name: value for name, value in config.items() if name.isupper()})
    app.wsgi_app = ProxyFix(app.wsgi_app, given.trusted_proxies, given.trusted_proxies)  # type: ignore[method-assign]
    app.json.sort_keys = False  # type: ignore[attr-defined]  # scores keep the model's order of classes
    _extend(app, given, data)
    for page in (home, classify, results, history, about, api, admin):
        app.register_blueprint(page.blueprint)
    app.register_error_handler(HTTPException, _error_page)
    return app


def _extend(app: Flask, given: settings.Settings, data: pathlib.Path) -> None:
    telemetry.init_app(app)  # the first to see a request: what follows may end it
    database.init_app(app)
    csrf = flask_wtf.csrf.CSRFProtect(app)
    csrf.exempt(api.blueprint)  # it takes no cookie, so nobody can lend a browser's
    flask_babel.Babel(app, locale_selector=_language)
    flask_bootstrap.Bootstrap5(app)
    limits.init_app(app)
    security.init_app(app)
    commands.init_app(app)
    caller = client.Client(given.serving_target, timeout_seconds=given.serving_timeout_seconds)
    kept = store.PictureStore(data / "uploads")
    uploads.init_app(app, uploads.Service(kept, caller, given))
    app.jinja_env.globals["languages"] = LANGUAGES
    app.jinja_env.globals["current_language"] = lambda: str(flask_babel.get_locale())


def _language() -> str:
    chosen = None if request.path.startswith("/api/") else session.get("language")  # programs have no cookie
    return chosen if chosen in LANGUAGES else request.accept_languages.best_match(LANGUAGES) or "en"


def _error_page(error: HTTPException) -> Any:
    if error.response is not None:
        return error
    logging.getLogger("web").info("%s %s: %s", error.code, request.path, error.description)
    if request.path.startswith("/api/"):
        name, detail = error.name, error.description
        if error.code == 413:  # far beyond the limit, so that it was not even read
            name = "bytes"
            limit = current_app.config["PILAH"].max_upload_bytes // settings.MIB
            detail = messages.refusal(pictures.BadPictureError(413, "bytes", limit=limit))
        return {"error": name, "detail": detail}, error.code
    reason = (error.description or "") if isinstance(error, flask_wtf.csrf.CSRFError) else ""
    from_elsewhere = "referrer" in reason  # Flask-WTF looks at it under https, once the token is found to be right
    if from_elsewhere:
        logging.getLogger("web").warning(
            "A form must come from https://%s/, by the Host of its request. Received: %s. Where that is a page of this "
            "site, have the proxy pass Host (docs/SERVING.md).",
            request.host,
            request.referrer or "no referrer",
        )
    lost = bool(reason) and not from_elsewhere
    page = render_template("error.html", error=error, is_without_cookie=lost, is_from_elsewhere=from_elsewhere)
    return page, error.code
