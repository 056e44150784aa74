"""The web page: upload, result and history of photos. Runs without TensorFlow."""

import dataclasses
import logging
import os
import pathlib
import re
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import flask_babel
import flask_wtf.csrf
from flask import Flask, current_app, render_template, request, session
from werkzeug.exceptions import BadHost, HTTPException, RequestEntityTooLarge
from werkzeug.middleware.proxy_fix import ProxyFix

from components.base import rounding
from serving import client
from web import (
    commands,
    cookies,
    data_folder,
    database,
    delivery,
    disposal_advice,
    failures,
    form_parser,
    forms,
    limits,
    messages,
    model_card,
    readiness,
    security,
    settings,
    store,
    telemetry,
    uploads,
)
from web.pages import about, admin, api, api_docs, classify, history, home, privacy, results

FORMER_LANGUAGE_CODES = {"in": "id"}  # Java and older Android still send it


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Create the application from the settings in the environment.

    Args:
        config: overrides of the environment, by field name of `web.settings.Settings`; names in capitals are settings
            of Flask and its extensions.
    """
    config = dict(config or {})
    telemetry.set_up_log()
    try:
        options = settings.read(os.environ, {name: value for name, value in config.items() if name.islower()})
        data = pathlib.Path(options.pilah_data).absolute()
        data_folder.prepare(data)
        advice = disposal_advice.read(options.disposal_advice)
        options = dataclasses.replace(options, secret_key=options.secret_key or data_folder.secret_key(data))
    except (settings.SettingsError, data_folder.DataFolderError) as error:
        sys.exit(f"web: {error}")
    database_url = options.database_url or f"sqlite:///{data / 'pilah.db'}"
    app = Flask(__name__, instance_path=str(data))
    app.request_class = form_parser.Request
    app.config.from_mapping(
        SECRET_KEY=options.secret_key,
        SQLALCHEMY_DATABASE_URI=database_url,
        # Replace connections that the database closed, and wait at most 5 seconds for a free one.
        SQLALCHEMY_ENGINE_OPTIONS={"pool_pre_ping": True, "pool_timeout": 5},
        MAX_CONTENT_LENGTH=options.max_upload_bytes + 64 * 1024,  # the photo, and the rest of the form
        PERMANENT_SESSION_LIFETIME=timedelta(days=400),
        SESSION_REFRESH_EACH_REQUEST=False,  # otherwise a late response undoes a change from another tab
        SESSION_COOKIE_NAME=cookies.name(options.secret_key, is_secure=not options.is_development),
        SESSION_COOKIE_PATH="/",  # under a prefix too: browsers require it of a name that begins with __Host-
        SESSION_COOKIE_SECURE=not options.is_development,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_HTTPONLY=True,
        WTF_CSRF_TIME_LIMIT=None,  # the session limits the token: a page may stay open for a day
        BABEL_DEFAULT_LOCALE="en",
        RATELIMIT_HEADERS_ENABLED=True,
        PILAH=options,
        DISPOSAL_ADVICE=advice,
    )
    app.config.from_mapping({name: value for name, value in config.items() if name.isupper()})
    proxies = options.trusted_proxies
    app.wsgi_app = ProxyFix(app.wsgi_app, proxies, proxies)  # type: ignore[method-assign]
    app.session_interface = cookies.CookieSessions()
    app.json.sort_keys = False  # type: ignore[attr-defined]  # scores keep the model's order of classes
    _init_extensions(app, options, data)
    for page in (home, classify, results, history, about, privacy, api, api_docs, admin):
        app.register_blueprint(page.blueprint)
    app.register_error_handler(HTTPException, _error_page)
    return app


def _init_extensions(app: Flask, options: settings.Settings, data: pathlib.Path) -> None:
    telemetry.init_app(app)  # first, because the next ones may end a request
    database.init_app(app)
    failures.init_app(app)
    csrf = forms.FormProtection(app)
    csrf.exempt(api.blueprint)  # it uses no cookies, so that a forged request has no access
    flask_babel.Babel(app, locale_selector=_language)
    limits.init_app(app)
    security.init_app(app)
    delivery.init_app(app)
    readiness.init_app(app)
    commands.init_app(app)
    caller = client.Client(options.serving_target, timeout_seconds=options.serving_timeout_seconds)
    uploads.init_app(app, uploads.Service(store.PictureStore(data / "uploads"), caller, options))
    app.jinja_env.globals["rounding_limit"] = rounding.limit
    app.jinja_env.globals["served_card"] = model_card.served
    app.jinja_env.globals["languages"] = settings.LANGUAGES
    app.jinja_env.globals["current_language"] = lambda: str(flask_babel.get_locale())


def _language() -> str:
    is_api = request.path.startswith("/api/") and request.blueprint != api_docs.blueprint.name
    chosen = None if is_api else session.get("language")  # the API uses no cookies
    return chosen if chosen in settings.LANGUAGES else _accepted_language()


def _accepted_language() -> str:
    """Return the supported language that Accept-Language prefers, whatever its region: id-ID is Indonesian."""
    for tag, quality in request.accept_languages:  # the most preferred first
        language = re.split("[-_]", tag.lower())[0]
        language = FORMER_LANGUAGE_CODES.get(language, language)
        if quality > 0 and language in settings.LANGUAGES:
            return language
    return "en"


def _error_page(error: HTTPException) -> Any:
    """Answer an error with a page, or with JSON under /api/; keep its headers, such as Allow and Retry-After."""
    if error.response is not None:
        return error
    logging.getLogger("web").info("%s %s: %s", error.code, request.path, error.description)
    if isinstance(error, RequestEntityTooLarge):  # a request beyond MAX_CONTENT_LENGTH is not read
        limit = current_app.config["PILAH"].max_upload_bytes // settings.MIB
        error = form_parser.FormError(413, "bytes", limit=limit)
    refusal = messages.refusal(error) if isinstance(error, form_parser.FormError) else None
    response = error.get_response()
    if request.path.startswith("/api/"):
        name = error.reason if isinstance(error, form_parser.FormError) else error.name
        response.data = current_app.json.dumps({"error": name, "detail": refusal or error.description})
        response.content_type = "application/json"
    elif not isinstance(error, BadHost):  # without a valid host, a page has no addresses for its links
        response.data = _error_html(error, refusal)
    return response


def _error_html(error: HTTPException, refusal: str | None) -> str:
    reason = (error.description or "") if isinstance(error, flask_wtf.csrf.CSRFError) else ""
    has_wrong_referrer = "referrer" in reason  # with https, Flask-WTF checks it after the token
    if has_wrong_referrer:
        logging.getLogger("web").warning(
            "Refused a form: its referrer must be a page of https://%s/, the Host of the request (got %s). If this "
            "is a page of this site, have the proxy pass Host (docs/deployment.md).",
            request.host,
            request.referrer or "no referrer",
        )
    is_without_token = reason == "The CSRF token is missing."  # the form did not come from a page of this site
    return render_template(
        "error.html",
        error=error,
        refusal=refusal,
        is_without_cookie=bool(reason) and not has_wrong_referrer and not is_without_token,
        has_wrong_referrer=has_wrong_referrer,
    )
