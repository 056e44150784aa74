"""The card of the model that is served, as the pipeline wrote it beside the model's files."""

import pathlib

import flask_babel
from flask import Blueprint, current_app, render_template
from markupsafe import Markup

blueprint = Blueprint("about", __name__)


@blueprint.get("/about")
def show() -> str:
    folder = current_app.config["PILAH"].model_folder
    found = card(pathlib.Path(folder), str(flask_babel.get_locale())) if folder else None
    return render_template("about.html", card=found)


def card(folder: pathlib.Path, language: str) -> Markup | None:
    """The newest version's card in `language`, else in English, without the frame of its own page; None without one."""
    versions = [path for path in folder.glob("*") if path.name.isdecimal()]
    newest = max(versions, key=lambda path: int(path.name), default=folder)
    for name in (f"model_card.{language}.html", "model_card.html"):
        if (newest / name).is_file():
            text = (newest / name).read_text(encoding="utf-8")
            return Markup(text.partition("<main>")[2].partition("</main>")[0])
    return None
