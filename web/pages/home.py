"""The home page, and the choice of language."""

import pathlib
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, abort, current_app, redirect, render_template, request, session

from web import disposal_advice, settings
from web.pages import about

blueprint = Blueprint("home", __name__)


@blueprint.get("/")
def show() -> str:
    folder = current_app.config["PILAH"].model_folder
    classes = about.classes(pathlib.Path(folder)) if folder else []
    return render_template("home.html", classes=classes, with_icon=disposal_advice.ADVICE)


@blueprint.post("/language")
def switch() -> Any:
    """Store the chosen language and redirect to the page it was chosen on."""
    language = request.form.get("language", "")
    if language not in settings.LANGUAGES:
        abort(400, f"The language must be one of {', '.join(settings.LANGUAGES)}.")
    session["language"] = language
    session.permanent = True
    try:
        referrer = urlsplit(request.referrer or "/")
    except ValueError:  # the header may not be a URL
        return redirect("/", 303)
    if referrer.netloc not in ("", request.host):
        return redirect("/", 303)
    path = "/" + referrer.path.lstrip("/\\")  # //example.org would lead to another site
    return redirect(f"{path}?{referrer.query}" if referrer.query else path, 303)
