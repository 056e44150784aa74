"""The served model: its model card and its classes, from the files that the pipeline wrote."""

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
    language = str(flask_babel.get_locale())
    model_card = card(pathlib.Path(folder), language, _available_versions()) if folder else None
    return render_template("about.html", card=model_card)


def card(folder: pathlib.Path, language: str, available: Collection[int] = ()) -> Markup | None:
    """Return the body of the latest version's model card in `language`, else in English; None without a card.

    The latest version is that of `available`, else, if none of them has a folder, that of `folder`.
    """
    version = _latest(folder, available)
    for name in (f"model_card.{language}.html", "model_card.html"):
        try:
            text = (version / name).read_text(encoding="utf-8")
        except OSError:  # no card in this language, or the version was just deleted
            continue
        return Markup(text.partition("<main>")[2].partition("</main>")[0])
    return None


def classes(folder: pathlib.Path) -> list[str]:
    """Return the classes of the latest version, from its model.json; none if that cannot be read."""
    try:
        return json.loads((_latest(folder) / "model.json").read_text(encoding="utf-8"))["classes"]
    except (OSError, ValueError, KeyError):
        return []


def _available_versions() -> list[int]:
    try:
        return uploads.service().caller.available_versions(client.PROBE_SECONDS)
    except (client.ServingUnavailable, client.ServingRejected):
        return []


def _latest(folder: pathlib.Path, available: Collection[int] = ()) -> pathlib.Path:
    versions = [path for path in folder.glob("*") if path.name.isdecimal()]
    versions = [path for path in versions if int(path.name) in available] or versions
    return max(versions, key=lambda path: int(path.name), default=folder)
