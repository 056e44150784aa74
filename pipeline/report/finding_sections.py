"""Sections of the audit, the leakage check and the evaluations, and of the commands that have not run."""

from typing import Any

from markupsafe import Markup

from pipeline.report import plots, sentences
from pipeline.report.source import Contents, Source

PHOTOS_SHOWN_FIRST = 12  # of each list of photos to check; the others are folded
PERCENT_SCORES = ("accuracy", "coverage", "flagged", "ece", "ece_by_chance")


def audit(source: Source) -> Contents:
    """Show counts, the effect of near-duplicates on F1, and the photos to check."""
    results = source.figures["audit"]
    if not results:
        return None
    gallery = {
        "pairs": [{**pair, "photos": [source.thumbnail(photo) for photo in pair["ids"]]} for pair in results["pairs"]],
        "label_issues": [{**issue, **source.thumbnail(issue["id"])} for issue in results["doubts"]],
        "quality_issues": [{**issue, **source.thumbnail(issue["id"])} for issue in results["odd"]],
    }
    return {
        "title": source.gettext("Audit of the photos"),
        **gallery,
        "shown_first": PHOTOS_SHOWN_FIRST,
        "kinds": _kinds(source),
        "sentences": sentences.near_duplicates(results, source),
    }


def leakage_check(source: Source) -> Contents:
    """Compare F1 of new models for each fold, of a carried model, and of the thesis."""
    _, results = source.gettext, source.figures["leakage_check"]
    if not results:
        return None
    return {
        "title": _("Leakage check"),
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
    if not (source.figures["evaluations"] or source.figures["evaluations_of_others"]):
        return None
    _ = source.gettext
    return {
        "title": _("Test on photos from elsewhere"),
        "scores": {
            "f1": _("Macro F1"),
            "accuracy": _("Accuracy"),
            "recall": _("Recall"),
            "coverage": _("Coverage of the sets"),
            "mean_size": _("Classes in a set, mean"),
            "flagged": _("Untypical photos"),
            "ece": "ECE",
            "ece_by_chance": _("ECE by chance alone"),
        },
        "styles": {"f1": "3", "mean_size": "2"} | dict.fromkeys(PERCENT_SCORES, "%"),
        "class_scores": ["recall", "coverage", "flagged"],
    }


def further_checks(source: Source) -> Contents:
    """List the commands that have not run on these photos and this winner, with what each would show."""
    _, figures = source.gettext, source.figures
    if not figures["winner"]:  # all three need a finished search
        return None
    checks = [
        (figures["audit"], _("near-duplicates, likely mislabelled photos and image quality"), "audit"),
        (figures["evaluations"], _("scores of the pushed model on photos from elsewhere"), "evaluate --images OTHER"),
        (figures["leakage_check"], _("how much F1 rises if one model is carried through all folds"), "leakage-check"),
    ]
    left = [{"shows": shows, "command": _command(command)} for results, shows, command in checks if not results]
    return {"title": _("Further checks"), "checks": left} if left else None


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
