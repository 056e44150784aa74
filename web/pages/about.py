"""The model card and the classes of the served model, from the files that the pipeline wrote."""

import functools
import json
import logging
import os
import pathlib
from collections.abc import Collection

import flask_babel
from flask import Blueprint, current_app, render_template
from markupsafe import Markup

from serving import client
from web import uploads

blueprint = Blueprint("about", __name__)
log = logging.getLogger("web.about")
VERSIONS_SECONDS = 0.2  # time limit for asking the model server for its versions, so that pages stay fast


@blueprint.get("/about")
def show() -> str:
    folder = current_app.config["PILAH"].model_folder
    language = str(flask_babel.get_locale())
    model_card = card(pathlib.Path(folder), language, _available_versions()) if folder else None
    return render_template("about.html", card=model_card)


def card(folder: pathlib.Path, language: str, available: Collection[int] = ()) -> Markup | None:
    """Return the body of the latest version's model card, in `language` or else in English; None without a card.

    The latest version is the highest in `available` that has a folder, or else the highest in `folder`.
    """
    version = _latest(folder, available)
    for name in (f"model_card.{language}.html", "model_card.html"):
        try:
            text = (version / name).read_text(encoding="utf-8")
        except FileNotFoundError:  # no card in this language, or the version was just deleted
            continue
        except (OSError, ValueError) as error:
            _log_unreadable(version / name, error)
            continue
        return Markup(text.partition("<main>")[2].partition("</main>")[0])
    return None


def classes(folder: pathlib.Path) -> list[str]:
    """Return the classes in the latest version's model.json; none if it cannot be read."""
    path = _latest(folder) / "model.json"
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["classes"]
        return [str(name) for name in names]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log_unreadable(path, error)
        return []


def _available_versions() -> list[int]:
    try:
        return uploads.service().caller.available_versions(VERSIONS_SECONDS)
    except (client.ServingUnavailable, client.ServingRejected):
        return []


def _latest(folder: pathlib.Path, available: Collection[int] = ()) -> pathlib.Path:
    try:
        versions = [path for path in folder.iterdir() if path.name.isdecimal()]
    except OSError as error:
        _log_unreadable(folder, error)
        return folder
    versions = [path for path in versions if int(path.name) in available] or versions
    return max(versions, key=lambda path: int(path.name), default=folder)


def _log_unreadable(path: pathlib.Path, error: Exception) -> None:
    reason = (error.strerror if isinstance(error, OSError) else "") or f"{type(error).__name__}: {error}"
    _log_once(
        f"{path} cannot be read by user id {os.getuid()}: {reason}. Pages leave out what it says about the model. If "
        "it exists, make it readable: chmod -R a+rX RUN/served"
    )


@functools.lru_cache(maxsize=100)
def _log_once(line: str) -> None:
    """Log `line` once, not on every page."""
    log.warning(line)
