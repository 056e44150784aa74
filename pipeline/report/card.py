"""The model card of a pushed model, saved beside its files: text in each language, and figures for the web page."""

import pathlib
from typing import Any

from components.base import artifacts, documents
from components.publish import push
from pipeline import run_folder
from pipeline.report import card_text, localization, page

HTML_NAMES = {"en": "model_card.html", "id": "model_card.id.html"}
MARKDOWN_NAMES = {"en": "MODEL_CARD.md", "id": "MODEL_CARD.id.md"}
JSON_NAME = "model_card.json"  # read by the web page


def write(run_dir: pathlib.Path) -> pathlib.Path | None:
    """Write the card of the newest served version and return its folder: in each language, and as JSON.

    Return None if nothing is served, or if the served model is not the winner in report/figures.json, because these
    figures describe another model.
    """
    base = run_dir / run_folder.SERVED
    figures, versions = artifacts.read_json(run_dir / run_folder.FIGURES), push.versions(base)
    if not versions or not figures["winner"]:
        return None
    description = push.read(base / str(versions[-1]), documents.DescribedModel)
    if not _is_winner(description, figures):
        return None
    audit = figures["audit"] or {}
    if audit.get("photos_and_folds") != description["data"]["photos_and_folds"]:
        audit = {}  # the photos have changed since the model was trained
    folder = base / str(versions[-1])
    jinja = page.environment()
    for language in localization.LANGUAGES:
        _ = localization.translator(language)
        title = _("Model card: %(classes)s", classes=", ".join(description["classes"]))
        contents = {
            "title": title,
            "parts": card_text.parts(figures, description, audit, language),
            "language": language,
        }
        for name, template in ((HTML_NAMES[language], "card.html"), (MARKDOWN_NAMES[language], "card.md")):
            with artifacts.atomic_write(folder / name) as temporary:
                temporary.write_text(jinja.get_template(template).render(**contents), encoding="utf-8")
    artifacts.write_json(folder / JSON_NAME, to_json(figures, description))
    return folder


def to_json(figures: dict[str, Any], description: documents.ModelDescription) -> dict[str, Any]:
    """Return what the web page shows of the card: scores in cross-validation, and how often sure answers were right."""
    row, winner, calibration = figures["scenarios"][0], figures["winner"], figures["calibration"]
    return {
        "synthetic": description["data"]["drawn"],
        "random_weights": card_text.has_random_weights(description),
        "folds": figures["run"]["folds"],
        **{name: row[name] for name in ("photos", "right", "f1", "f1_low", "f1_high")},
        "coverage": calibration["coverage"] if calibration else None,
        "certainty": calibration["certainty"] if calibration else [],
        "classes": [
            {"photos": class_["tp"] + class_["fn"], "right": class_["tp"]}
            | {name: class_[name] for name in ("name", "precision", "recall", "f1")}
            for class_ in winner["classes"]
        ],
        "confusion_matrix": row["confusion_matrix"],  # rows = actual class
    }


def _is_winner(description: documents.ModelDescription, figures: dict[str, Any]) -> bool:
    """Return whether the served model is the winner of `figures`."""
    winner_row = figures["scenarios"][0]
    served_row = (description["scenario"]["scenario"], description["figures"]["f1"], description["data"]["photos"])
    return served_row == (winner_row["scenario"], winner_row["f1"], winner_row["photos"])
