"""The sections of audit, leakage check and evaluations; each says how it is made where it was not."""

from typing import Any

from markupsafe import Markup

from pipeline.report import sentences
from pipeline.report.source import Contents, Source


def audit(source: Source) -> Contents:
    """Counts, folds with near-duplicates kept together, and photos to look at again."""
    if not source.figures["winner"]:  # it takes a finished search, as the other two do
        return None
    title, found = source.gettext("Audit of the photos"), source.figures["audit"]
    if not found:
        return {"title": title, "command": _command("audit")}
    gallery = {
        "pairs": [{**pair, "shown": [source.shown(photo) for photo in pair["ids"]]} for pair in found["pairs"]],
        "doubts": [{**doubt, **source.shown(doubt["id"])} for doubt in found["doubts"]],
        "odd": [{**one, **source.shown(one["id"])} for one in found["odd"]],
    }
    return {"title": title, **gallery, "kinds": _kinds(source), "folds": sentences.folds(found, source)}


def leakage_check(source: Source) -> Contents:
    if not source.figures["winner"]:
        return None
    title, found = source.gettext("Leakage check"), source.figures["protocol"]
    if not found:
        return {"title": title, "command": _command("audit --protocol carried")}
    _ = source.gettext
    return {
        "title": title,
        "sentence": sentences.leak(found["compared"], source),
        "names": {
            "honest_and_carried": _("honest and carried"),
            "honest_and_thesis": _("honest and the thesis's"),
            "carried_and_thesis": _("carried and the thesis's"),
        },
    }


def evaluations(source: Source) -> Contents:
    """What the pushed model makes of photos from elsewhere."""
    if not source.figures["winner"]:
        return None
    return {"title": source.gettext("On other photos"), "command": _command("evaluate --images OTHER")}


def _command(words: str) -> Markup:
    return Markup("<code>python -m pipeline {} --run-dir RUN</code>").format(words)


def _kinds(source: Source) -> dict[str, Any]:
    """Kind of odd photo -> its words."""
    _ = source.gettext
    return {
        "dark": _("dark"),
        "light": _("glaring"),
        "blank": _("blank"),
        "blurred": _("blurred"),
        "odd_shape": _("odd in shape"),
        "odd_size": _("odd in size"),
    }
