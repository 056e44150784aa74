"""What the figures say of a setting, in sentences that are chosen and filled by the figures alone."""

from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from pipeline.report.words import Say


def comparison(setting: str, found: dict[str, Any], say: Say, figure: Callable[..., Markup]) -> list[Markup]:
    """How the values of `setting` compare; `found` is their entry in the figures' comparisons."""
    first, *others = found["values"]
    path = f"comparisons/{setting}"
    if not others:
        return [say("Only {value} was tried.", value=first["value"])]
    last = len(others)
    shown = (lambda value: say("dropout {rate}", rate=value)) if setting == "dropout" else str
    names = {"best": shown(first["value"]), "worst": shown(others[-1]["value"]), "gap": figure(f"{path}/gap")}
    means = {"best_mean": figure(f"{path}/values/0/mean"), "worst_mean": figure(f"{path}/values/{last}/mean")}
    sentences = [
        say("The highest mean F1, {best_mean}, is of {best}; the lowest, {worst_mean}, of {worst}.", **names, **means)
    ]
    doubt = figure(f"{path}/doubt")
    if first["worst"] > found["next_best"]:
        sentences.append(
            say(
                "Even the worst scenario with {best} ({lowest}) is above the best of all others ({next_best}).",
                **names,
                lowest=figure(f"{path}/values/0/worst"),
                next_best=figure(f"{path}/next_best"),
            )
        )
    elif found["gap"] > found["doubt"]:
        sentences.append(
            say("The gap of {gap} is wider than the ±{doubt} by which one figure is unsure.", **names, doubt=doubt)
        )
    else:
        sentences.append(
            say("The gap of {gap} is within the ±{doubt} by which one figure is unsure.", **names, doubt=doubt)
        )
    if found["matched"] is not None:
        sentences.append(
            say(
                "Between scenarios that are alike in all else, it changes F1 by {matched} at most.",
                matched=figure(f"{path}/matched"),
            )
        )
    return sentences
