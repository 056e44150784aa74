"""What the figures say, in sentences that are chosen and filled by the figures alone."""

from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from pipeline.report import localization
from pipeline.report.source import Source


def comparison(
    setting: str, found: dict[str, Any], _: localization.Gettext, figure: Callable[..., Markup]
) -> list[Markup]:
    """How the values of `setting` compare; `found` is their entry in the figures' comparisons."""
    first, *others = found["values"]
    path = f"comparisons/{setting}"
    if not others:
        return [_("Only %(value)s was tried.", value=first["value"])]
    last = len(others)
    shown = (lambda value: _("dropout %(rate)s", rate=value)) if setting == "dropout" else str
    names = {"best": shown(first["value"]), "worst": shown(others[-1]["value"]), "gap": figure(f"{path}/gap")}
    means = {"best_mean": figure(f"{path}/values/0/mean"), "worst_mean": figure(f"{path}/values/{last}/mean")}
    sentences = [
        _(
            "The highest mean F1, %(best_mean)s, is of %(best)s; the lowest, %(worst_mean)s, of %(worst)s.",
            **names,
            **means,
        )
    ]
    doubt = figure(f"{path}/doubt")
    if first["worst"] > found["next_best"]:
        sentences.append(
            _(
                "Even the worst scenario with %(best)s (%(lowest)s) is above the best of all others (%(next_best)s).",
                **names,
                lowest=figure(f"{path}/values/0/worst"),
                next_best=figure(f"{path}/next_best"),
            )
        )
    elif found["gap"] > found["doubt"]:
        sentences.append(
            _("The gap of %(gap)s is wider than the ±%(doubt)s by which one figure is unsure.", **names, doubt=doubt)
        )
    else:
        sentences.append(
            _("The gap of %(gap)s is within the ±%(doubt)s by which one figure is unsure.", **names, doubt=doubt)
        )
    if found["matched"] is not None:
        sentences.append(
            _(
                "Between scenarios that are alike in all else, it changes F1 by %(matched)s at most.",
                matched=figure(f"{path}/matched"),
            )
        )
    return sentences


def folds(found: dict[str, Any], source: Source) -> list[Markup]:
    """What keeping near-duplicates together does to F1; `found` is the figures' audit."""
    _, figure, compared = source.gettext, source.figure, found["folds"]
    if not compared:
        return [
            _(
                "F1 with near-duplicates kept together cannot be had: some class has fewer groups of them than there "
                "are folds."
            )
        ]
    values = {name: figure(f"audit/folds/{name}") for name in ("difference", "plain_mean", "grouped_mean")}
    spread = figure("audit/folds/plain_spread")
    sentences = [
        _(
            "With near-duplicates kept in one fold, the mean F1 is %(grouped_mean)s instead of %(plain_mean)s: a "
            "difference of %(difference)s.",
            **values,
        )
    ]
    if abs(compared["difference"]) <= compared["plain_spread"]:
        sentences.append(
            _("That is within what drawing the folds anew changes without any grouping: %(spread)s.", spread=spread)
        )
    else:
        sentences.append(
            _("That is more than drawing the folds anew changes without any grouping: %(spread)s.", spread=spread)
        )
    return sentences


def leak(compared: dict[str, Any], source: Source) -> Markup:
    """What the leakage check shows; `compared` is its comparison of the tables."""
    _, path = source.gettext, "protocol/compared"
    values = {"gain": source.figure(f"{path}/honest_and_carried/mean_difference")}
    if compared["honest_and_carried"]["mean_difference"] <= 0:
        return _("Carrying the model on gains nothing here: F1 changes by %(gain)s on average.", **values)
    if "carried_and_thesis" not in compared:
        return _(
            "Carrying the model on adds %(gain)s to F1 on average, all of it from photos that it had seen.", **values
        )
    near, far = (compared[f"{name}_and_thesis"]["mean_absolute_difference"] for name in ("carried", "honest"))
    values |= {
        name: source.figure(f"{path}/{name}_and_thesis/mean_absolute_difference") for name in ("carried", "honest")
    }
    if near < far:
        return _(
            "Carrying the model on adds %(gain)s to F1 on average, and takes the mean distance from the thesis's "
            "table from %(honest)s to %(carried)s: such a leak can explain its figures.",
            **values,
        )
    return _(
        "Carrying the model on adds %(gain)s to F1 on average, but takes the mean distance from the thesis's "
        "table from %(honest)s to %(carried)s: such a leak does not explain its figures.",
        **values,
    )
