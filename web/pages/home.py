"""The home page with the upload form, and the choice of language."""

import pathlib
from typing import Any
from urllib.parse import unquote, urlsplit

from flask import Blueprint, abort, current_app, redirect, request, session, url_for

from web import settings
from web.pages import about, classify

blueprint = Blueprint("home", __name__)
PAGES_OF_FORMS = {  # form endpoint without a page -> page with that form
    "operations.leave": "history.show",
    "results.correct": "results.show",
    "results.delete": "results.show",
}


@blueprint.get("/")
def show() -> str:
    folder = current_app.config["PILAH"].model_folder
    classes = about.classes(pathlib.Path(folder)) if folder else []
    samples = [name for name in classify.SAMPLES if name in classes]
    return classify.form_page("home.html", classes=classes, samples=samples)


@blueprint.post("/language")
def switch() -> Any:
    """Store the chosen language and redirect to the page it was chosen on."""
    language = request.form.get("language", "")
    if language not in settings.LANGUAGES:
        abort(400, f"language must be one of: {', '.join(settings.LANGUAGES)}.")
    session["language"] = language
    session.permanent = True
    return redirect(_return_page(request.referrer or ""), 303)


def _return_page(referrer: str) -> str:
    """Return the page to open after a language change: `referrer` if it is on this site, otherwise the home page."""
    home = url_for("home.show")
    parts = urlsplit(referrer)
    path = "/" + parts.path.lstrip("/\\")  # //example.org would lead to another site
    if parts.netloc not in ("", request.host) or not path.startswith(home):
        return home
    routes = current_app.url_map.bind_to_environ(request.environ)
    inner_path = unquote(path).removeprefix(request.script_root)
    methods = routes.allowed_methods(inner_path)
    if methods and "GET" not in methods:  # the error page of a form, whose address has no GET
        endpoint, values = routes.match(inner_path, "POST")
        return url_for(PAGES_OF_FORMS.get(endpoint, "home.show"), **values)
    return f"{path}?{parts.query}" if parts.query else path
