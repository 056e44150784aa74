"""How good the served model is, from the files that the pipeline wrote: its results in testing and its model card."""

import dataclasses
import errno
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
from web import model_card, uploads

blueprint = Blueprint("about", __name__)
log = logging.getLogger("web.about")
VERSIONS_SECONDS = 0.2  # time limit for asking the model server for its versions, so that pages stay fast
FREQUENT_SHARE = 0.1  # share of a class's photos from which a confusion is called frequent
NOTABLE_SHARE = 0.03  # share from which a confusion is named and highlighted
MIN_CONFUSED_PHOTOS = 3  # fewer may be chance
MAX_CONFUSIONS = 3  # number of confusions in words; the confusion matrix has all of them


@dataclasses.dataclass(frozen=True)
class Confusion:
    """Photos of the class `actual` that were classified as `predicted`: `photos` of `total`."""

    actual: str
    predicted: str
    photos: int
    total: int

    @property
    def share(self) -> float:
        return self.photos / self.total if self.total else 0.0

    @property
    def is_notable(self) -> bool:
        is_wrong = self.actual != self.predicted
        return is_wrong and self.share >= NOTABLE_SHARE and self.photos >= MIN_CONFUSED_PHOTOS

    @property
    def is_frequent(self) -> bool:
        return self.is_notable and self.share >= FREQUENT_SHARE


@blueprint.get("/about")
def show() -> str:
    options = current_app.config["PILAH"]
    version = latest(pathlib.Path(options.model_folder), _available_versions()) if options.model_folder else None
    results = model_card.read(version) if version else None
    return render_template(
        "about.html",
        results=results,
        tested_classes=tested_classes(results) if results else [],
        confusions=confusions(results) if results else [],
        matrix=matrix(results) if results else [],
        details=details(version, str(flask_babel.get_locale())) if version else None,
        report_url=options.report_url,
        of_100=of_100,
    )


def latest(folder: pathlib.Path, available: Collection[int] = ()) -> pathlib.Path:
    """Return the folder of the latest version: the highest in `available` that has a folder, or else the highest."""
    try:
        versions = [path for path in folder.iterdir() if path.name.isdecimal()]
    except OSError as error:
        _log_unreadable(folder, error)
        return folder
    versions = [path for path in versions if int(path.name) in available] or versions
    return max(versions, key=lambda path: int(path.name), default=folder)


def of_100(part: int, photos: int) -> tuple[int, int]:
    """Return `part` of `photos` as a number of 100; of fewer than 100 photos, return both as they are.

    It is 0 or 100 only if `part` is none or all of the photos.
    """
    if photos < 100:
        return part, photos
    rounded = round(100 * part / photos)
    return (rounded if part in (0, photos) else min(max(rounded, 1), 99)), 100


def tested_classes(card: model_card.ModelCard) -> list[model_card.ClassResult]:
    """Return the classes that had photos in testing, the best recognised first."""
    tested = [result for result in card.classes if result.photos]
    return sorted(tested, key=lambda result: result.right / result.photos, reverse=True)


def matrix(card: model_card.ModelCard) -> list[list[Confusion]]:
    """Return the confusion matrix: a row per actual class, a column per predicted class."""
    names = card.class_names
    return [
        [Confusion(actual, predicted, photos, sum(row)) for predicted, photos in zip(names, row, strict=True)]
        for actual, row in zip(names, card.confusion_matrix, strict=True)
    ]


def confusions(card: model_card.ModelCard) -> list[Confusion]:
    """Return the most frequent confusions, by their share of the actual class's photos."""
    notable = [confusion for row in matrix(card) for confusion in row if confusion.is_notable]
    return sorted(notable, key=lambda confusion: confusion.share, reverse=True)[:MAX_CONFUSIONS]


def details(version: pathlib.Path, language: str) -> Markup | None:
    """Return the body of the version's model card, in `language` or else in English; None without a card.

    Its headings are one level lower, because they are below those of the page.
    """
    for name in (f"model_card.{language}.html", "model_card.html"):
        try:
            text = _read_text(version / name)
        except FileNotFoundError:  # no card in this language, or the version was just deleted
            continue
        except (OSError, ValueError) as error:
            _log_unreadable(version / name, error)
            continue
        body, end, _ = text.partition("<main>")[2].partition("</main>")
        if not (end and body.strip()):
            _log_unreadable(version / name, ValueError("it has no text between <main> and </main>"))
            continue
        for level in (2, 1):
            body = body.replace(f"<h{level}>", f"<h{level + 1}>").replace(f"</h{level}>", f"</h{level + 1}>")
        return Markup(body)  # nosec B704 # written by pipeline/report with autoescape, and trusted as the model is
    return None


def classes(folder: pathlib.Path) -> list[str]:
    """Return the classes in the latest version's model.json; none if it cannot be read."""
    path = latest(folder) / "model.json"
    try:
        names = json.loads(_read_text(path))["classes"]
        return [str(name) for name in names]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        _log_unreadable(path, error)
        return []


def _read_text(path: pathlib.Path) -> str:
    if path.exists() and not path.is_file():  # a pipe would be read forever
        raise OSError(errno.EINVAL, "it is not a file")
    return path.read_text(encoding="utf-8")


def _available_versions() -> list[int]:
    try:
        return uploads.service().caller.available_versions(VERSIONS_SECONDS)
    except (client.ServingUnavailable, client.ServingRejected):
        return []


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
