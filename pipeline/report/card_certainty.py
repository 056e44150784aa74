"""What a model card says about prediction sets, untypical photos and heat maps."""

from collections.abc import Callable
from typing import Any

from pipeline.report import localization, sentences


def lines(figures: dict[str, Any], _: localization.Gettext, number: Callable[..., str]) -> list[str]:
    """Say how often the sets hold the actual class, what untypical means, and what heat maps show.

    Args:
        figures: of the report, with a calibration.
        number: formats a value in a style.
    """
    results = figures["calibration"]
    applied, flagged = results["sets"][str(results["coverage"])], results["flagged"]

    def number_at(path: str, style: str) -> str:
        return number(localization.value_at(figures, path), style)

    return [
        _(
            "It answers with a prediction set: the most probable class, and every other class that could well be the "
            "right one. The stated coverage is %(stated)s: at least this share of the sets is to hold the actual "
            "class, in each class.",
            stated=number(results["coverage"], "%"),
        ),
        _(
            "Measured with thresholds from the other folds, %(coverage)s of the sets hold the actual class (95 %% "
            "confidence interval %(low)s to %(high)s); a set has %(size)s classes on average.",
            coverage=number(applied["coverage"], "%"),
            low=number(applied["low"], "%"),
            high=number(applied["high"], "%"),
            size=number(applied["mean_size"], "2"),
        )
        + " "
        + sentences.coverage_by_class(results, _),
        sentences.temperature(results, _, number_at),
        _(
            "A photo is untypical if fewer than 1 %% of the training photos are less typical, by the activations of "
            "the network. Of the photos of the study, %(count)s are: %(share)s (95 %% confidence interval %(low)s to "
            "%(high)s).",
            count=number(flagged["count"], ""),
            **{name: number(flagged[name], "%") for name in ("share", "low", "high")},
        ),
        _(
            "A heat map (Grad-CAM) shows where in a photo the network found a class, in coarse cells. It does not show "
            "what it saw there, nor whether it is right."
        ),
    ]


def elsewhere(results: dict[str, Any], _: localization.Gettext, number: Callable[..., str]) -> str:
    """State the scores of an evaluation on photos from elsewhere; `results` are its figures."""
    scores = results["compared"]
    values = {
        "name": results["name"],
        "photos": number(results["photos"], ""),
        "f1": number(results["f1"]),
        "accuracy": number(results["accuracy"], "%"),
    }
    if "coverage" not in scores or "flagged" not in scores:
        return _("On %(photos)s photos from elsewhere (%(name)s): macro F1 %(f1)s, accuracy %(accuracy)s.", **values)
    return _(
        "On %(photos)s photos from elsewhere (%(name)s): macro F1 %(f1)s, accuracy %(accuracy)s; %(coverage)s of the "
        "prediction sets hold the actual class, and %(flagged)s of the photos are untypical.",
        coverage=number(scores["coverage"]["here"], "%"),
        flagged=number(scores["flagged"]["here"], "%"),
        **values,
    )


def table(figures: dict[str, Any], _: localization.Gettext, number: Callable[..., str]) -> list[list[str]]:
    """Return coverage and size of the sets of each class; the first row is the header."""
    applied = figures["calibration"]["sets"][str(figures["calibration"]["coverage"])]
    header = [_("Class"), _("Measured coverage"), _("95 %% confidence interval"), _("Classes in a set, mean")]
    rows = [
        [
            row["class"],
            number(row["coverage"], "%"),
            _("%(low)s to %(high)s", low=number(row["low"], "%"), high=number(row["high"], "%")),
            number(row["mean_size"], "2"),
        ]
        for row in applied["per_class"]
    ]
    return [header, *rows]
