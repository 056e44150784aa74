"""Sections of the audit, the leakage check and the evaluations; each shows its command until it has run."""

from typing import Any

from markupsafe import Markup

from pipeline.report import plots, sentences
from pipeline.report.source import Contents, Source


def audit(source: Source) -> Contents:
    """Show counts, the effect of near-duplicates on F1, and the photos to check."""
    if not source.figures["winner"]:  # the audit, the leakage check and evaluations need a finished search
        return None
    title, results = source.gettext("Audit of the photos"), source.figures["audit"]
    if not results:
        return {"title": title, "command": _command("audit")}
    gallery = {
        "pairs": [{**pair, "photos": [source.thumbnail(photo) for photo in pair["ids"]]} for pair in results["pairs"]],
        "label_issues": [{**issue, **source.thumbnail(issue["id"])} for issue in results["doubts"]],
        "quality_issues": [{**issue, **source.thumbnail(issue["id"])} for issue in results["odd"]],
    }
    return {"title": title, **gallery, "kinds": _kinds(source), "sentences": sentences.near_duplicates(results, source)}


def leakage_check(source: Source) -> Contents:
    """Compare F1 of new models for each fold, of a carried model, and of the thesis."""
    if not source.figures["winner"]:
        return None
    _, results = source.gettext, source.figures["leakage_check"]
    title = _("Leakage check")
    if not results:
        return {"title": title, "command": _command("leakage-check")}
    return {
        "title": title,
        "sentences": sentences.leakage(results, source),
        "plot": plots.folds(
            results["folds"],
            {
                "honest": _("a new model for each fold"),
                "carried": _("LEAKING: carried model"),
                "thesis": _("the thesis"),
            },
            _("fold"),
            _("macro F1"),
        ),
        "comparisons": {
            "honest_and_carried": _("carried model minus new models"),
            "honest_and_thesis": _("thesis minus new models"),
            "carried_and_thesis": _("thesis minus carried model"),
        },
    }


def evaluations(source: Source) -> Contents:
    """Show the scores of the pushed model on photos from elsewhere."""
    if not source.figures["winner"]:
        return None
    return {"title": source.gettext("Test on photos from elsewhere"), "command": _command("evaluate --images OTHER")}


def _command(arguments: str) -> Markup:
    return Markup("<code>python -m pipeline {} --run-dir RUN</code>").format(arguments)


def _kinds(source: Source) -> dict[str, Any]:
    """Return kind of image quality issue -> its label."""
    _ = source.gettext
    return {
        "dark": _("dark"),
        "light": _("overexposed"),
        "blank": _("blank"),
        "blurred": _("blurred"),
        "odd_shape": _("unusual shape"),
        "odd_size": _("unusual size"),
    }
