"""The text of a model card: its intended use, performance and weaknesses, and what was not tested."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from components.base import documents
from pipeline.report import card_certainty, card_training, localization, sentences


@dataclasses.dataclass(frozen=True)
class Part:
    """A heading with lines below it and, optionally, a table whose first row is its header."""

    title: str
    lines: Sequence[str]
    table: Sequence[Sequence[str]] = ()


def parts(
    figures: dict[str, Any], description: documents.ModelDescription, audit: dict[str, Any], language: str
) -> list[Part]:
    """Return the card's parts; `audit` is the audit in the figures, or empty if the photos were not audited."""
    _ = localization.translator(language)

    def number(value: float | None, style: str = "3") -> str:
        return localization.format_number(value, style, language)

    winner_row = figures["scenarios"][0]
    elsewhere = [
        card_certainty.elsewhere(evaluation, _, number)
        for evaluation in figures["evaluations"]
        if evaluation["version"] == description["version"]
    ]
    return [
        Part(_("Intended use"), _use(description, _)),
        Part(
            _("Performance"), [*_scores(figures, winner_row, _, number), *elsewhere], _class_table(figures, _, number)
        ),
        *_certainty(figures, _, number),
        Part(_("Weaknesses"), _weaknesses(figures, _, number)),
        Part(_("Photos"), card_training.photos(figures, description, audit, _, number)),
        Part(_("How it was trained"), card_training.recipe(description, _, number)),
        Part(_("Not tested"), _untested(bool(elsewhere), bool(figures["calibration"]), _)),
    ]


def _certainty(figures: dict[str, Any], _: localization.Gettext, number: Any) -> list[Part]:
    """Return the part about prediction sets and untypical photos; none for a model without them."""
    if not figures["calibration"]:
        return []
    lines = card_certainty.lines(figures, _, number)
    return [Part(_("How sure it is of each answer"), lines, card_certainty.table(figures, _, number))]


def has_random_weights(description: documents.ModelDescription) -> bool:
    """Return whether the backbone of a model had random weights before training."""
    return description["weights"].startswith("random")


def _use(description: documents.ModelDescription, _: localization.Gettext) -> list[str]:
    lines: list[str] = [
        _("For a photo of one object, this model suggests one of its classes to a person who checks the suggestion."),
        _(
            "It is not meant to sort without a person, nor for objects outside its classes: it always answers with at "
            "least one of them."
        ),
    ]
    if description["data"]["drawn"]:
        lines.insert(
            0,
            _("It was trained on synthetic photos, to show that the pipeline works. Do not use it on real photos."),
        )
    if has_random_weights(description):
        lines.insert(0, _("Its backbone has random weights, so its answers mean nothing."))
    return lines


def _scores(figures: dict[str, Any], row: dict[str, Any], _: localization.Gettext, number: Any) -> list[str]:
    winner = figures["winner"]

    def number_at(path: str, style: str) -> str:
        return number(localization.value_at(figures, path), style)

    return [
        _(
            "Macro F1 %(f1)s (95 %% confidence interval %(low)s to %(high)s), macro precision %(precision)s, macro "
            "recall %(recall)s.",
            **{name: number(row[name]) for name in ("f1", "precision", "recall")},
            low=number(row["f1_low"]),
            high=number(row["f1_high"]),
        ),
        _(
            "%(right)s of %(photos)s photos classified correctly, each by a model trained on the other folds "
            "(%(folds)s folds in all).",
            right=number(row["right"], ""),
            photos=number(row["photos"], ""),
            folds=figures["run"]["folds"],
        ),
        _(
            "Macro F1 of the individual folds: %(low)s to %(high)s.",
            low=number(row["fold_f1_lowest"]),
            high=number(row["fold_f1_highest"]),
        ),
        _("The served model was then trained again, on all photos; this final model was not tested separately."),
        _(
            "Other scenarios of the study that were not measurably worse: %(n)s of %(m)s.",
            m=winner["compared"],
            n=winner["alike"],
        ),
        *sentences.selection(winner, _, number_at),
        _(
            "Its mean confidence is %(confidence)s, and %(accuracy)s of its answers are correct.",
            confidence=number(winner["mean_confidence"], "%"),
            accuracy=number(row["accuracy"], "%"),
        )
        + " "
        + sentences.confidence_gap(winner["confidence_gap"], _, number_at)
        + " "
        + sentences.calibration(figures, _, number_at),
        *_leakage(figures, row["scenario"], _, number),
    ]


def _leakage(figures: dict[str, Any], scenario: int, _: localization.Gettext, number: Any) -> list[str]:
    """State the scenario's F1 with leakage and its F1 in the thesis, if the leakage check has them."""
    rows = figures["leakage_check"]["scenarios"] if figures["leakage_check"] else []
    row = next((row for row in rows if row["scenario"] == scenario), None)
    if not row:
        return []
    lines: list[str] = [
        _(
            "One model carried through all folds, and therefore tested on photos that it was trained on, has an F1 of "
            "%(f1)s. The figures here do not leak: each fold has a new model.",
            f1=number(row["carried_f1"]),
        )
    ]
    if row["thesis_f1"]:
        lines.append(
            _(
                "The thesis reports an F1 of %(f1)s for this scenario, from a model carried through the folds.",
                f1=number(row["thesis_f1"]),
            )
        )
    return lines


def _class_table(figures: dict[str, Any], _: localization.Gettext, number: Any) -> list[list[str]]:
    header = [_("Class"), _("Photos"), _("Precision"), _("Recall"), "F1"]
    rows = [
        [row["name"], number(row["tp"] + row["fn"], ""), *(number(row[name]) for name in ("precision", "recall", "f1"))]
        for row in figures["winner"]["classes"]
    ]
    return [header, *rows]


def _weaknesses(figures: dict[str, Any], _: localization.Gettext, number: Any) -> list[str]:
    winner = figures["winner"]
    weakest = min(winner["classes"], key=lambda row: row["f1"])
    lines: list[str] = [
        _(
            "%(name)s is the weakest class: %(tp)s of its %(photos)s photos are classified correctly; photos of other "
            "classes mistaken for it: %(fp)s.",
            name=weakest["name"],
            tp=number(weakest["tp"], ""),
            photos=number(weakest["tp"] + weakest["fn"], ""),
            fp=number(weakest["fp"], ""),
        )
    ]
    return lines + [
        _(
            "Photos of %(actual)s mistaken for %(predicted)s: %(photos)s.",
            actual=pair["actual"],
            predicted=pair["predicted"],
            photos=pair["photos"],
        )
        for pair in winner["mistakes"][:3]
    ]


def _untested(evaluated: bool, calibrated: bool, _: localization.Gettext) -> list[str]:
    """List what was not tested.

    Args:
        evaluated: whether the model was evaluated on photos from elsewhere.
        calibrated: whether it has prediction sets.
    """
    lines: list[str] = [
        _("Photos from elsewhere, apart from those above: other backgrounds, light, cameras, countries and brands.")
        if evaluated
        else _("Photos from elsewhere: other backgrounds, light, cameras, countries and brands than in training."),
        _("Several objects in one photo, parts of objects, and things that belong to none of the classes."),
        _("Adversarial photos."),
        _("Whether people sort better with it than without it."),
    ]
    if calibrated:
        lines.append(
            _(
                "Coverage and untypical photos elsewhere: both were measured on photos of the same set. Synthetic "
                "changes of these photos can only stand in for photos from elsewhere; evaluate measures real ones."
            )
        )
    return lines
