"""The model that is served, by what the pipeline wrote beside its files: its card, and the classes that it knows."""

import json
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
    for name in (f"model_card.{language}.html", "model_card.html"):
        path = _newest(folder) / name
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            return Markup(text.partition("<main>")[2].partition("</main>")[0])
    return None


def classes(folder: pathlib.Path) -> list[str]:
    """The classes that the newest version knows, by its model.json; none where there is none to read."""
    try:
        return json.loads((_newest(folder) / "model.json").read_text(encoding="utf-8"))["classes"]
    except (OSError, ValueError, KeyError):
        return []


def _newest(folder: pathlib.Path) -> pathlib.Path:
    versions = [path for path in folder.glob("*") if path.name.isdecimal()]
    return max(versions, key=lambda path: int(path.name), default=folder)
