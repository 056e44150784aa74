"""The model that is served, by what the pipeline wrote beside its files: its card, and the classes that it knows."""

import json
import pathlib
from collections.abc import Collection

import flask_babel
from flask import Blueprint, current_app, render_template
from markupsafe import Markup

from serving import client
from web import uploads

blueprint = Blueprint("about", __name__)


@blueprint.get("/about")
def show() -> str:
    folder = current_app.config["PILAH"].model_folder
    found = card(pathlib.Path(folder), str(flask_babel.get_locale()), _answering()) if folder else None
    return render_template("about.html", card=found)


def card(folder: pathlib.Path, language: str, answering: Collection[int] = ()) -> Markup | None:
    """The card of the newest version that answers, in `language`, else in English; None without one.

    It comes without the frame of its own page. Where none of `answering` has a folder, the highest number counts.
    """
    version = _newest(folder, answering)
    for name in (f"model_card.{language}.html", "model_card.html"):
        try:
            text = (version / name).read_text(encoding="utf-8")
        except OSError:  # there is none, or the version was deleted meanwhile
            continue
        return Markup(text.partition("<main>")[2].partition("</main>")[0])
    return None


def classes(folder: pathlib.Path) -> list[str]:
    """The classes that the newest version knows, by its model.json; none where there is none to read."""
    try:
        return json.loads((_newest(folder) / "model.json").read_text(encoding="utf-8"))["classes"]
    except (OSError, ValueError, KeyError):
        return []


def _answering() -> list[int]:
    try:
        return uploads.service().caller.available_versions(client.PROBE_SECONDS)
    except (client.ServingUnavailable, client.ServingRejected):
        return []


def _newest(folder: pathlib.Path, answering: Collection[int] = ()) -> pathlib.Path:
    versions = [path for path in folder.glob("*") if path.name.isdecimal()]
    versions = [path for path in versions if int(path.name) in answering] or versions
    return max(versions, key=lambda path: int(path.name), default=folder)
