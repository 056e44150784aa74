"""Sentences that the figures alone choose and fill in."""

from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

from pipeline.report import localization, max_t
from pipeline.report.source import Source


def comparison(
    setting: str, compared: dict[str, Any], _: localization.Gettext, figure: Callable[..., Markup]
) -> list[Markup]:
    """Say how the values of `setting` compare; `compared` is its entry in the figures' comparisons."""
    best, *others = compared["values"]
    path = f"comparisons/{setting}"
    if not others:
        return [_("Only %(value)s was tried.", value=best["value"])]
    name = (lambda value: _("dropout %(rate)s", rate=value)) if setting == "dropout" else str
    sentences = [
        _(
            "The highest mean F1 is %(best_mean)s, with %(best)s; the lowest is %(worst_mean)s, with %(worst)s.",
            best=name(best["value"]),
            best_mean=figure(f"{path}/values/0/mean"),
            worst=name(others[-1]["value"]),
            worst_mean=figure(f"{path}/values/{len(others)}/mean"),
        )
    ]
    values = {name: figure(f"{path}/{name}", "4") for name in ("gap", "gap_low", "gap_high")}
    values["p"] = figure(f"{path}/p", "p")
    if compared["told_apart"]:
        sentences.append(
            _(
                "The difference of %(gap)s is measurable (95 %% interval %(gap_low)s to %(gap_high)s; adjusted p: "
                "%(p)s).",
                **values,
            )
        )
    else:
        sentences.append(
            _(
                "The difference of %(gap)s can be chance (95 %% interval %(gap_low)s to %(gap_high)s; adjusted p: "
                "%(p)s).",
                **values,
            )
        )
    if best["worst"] > compared["next_best"]:
        sentences.append(
            _(
                "Even the worst scenario with %(best)s (%(lowest)s) is above the best of all others (%(next_best)s).",
                best=name(best["value"]),
                lowest=figure(f"{path}/values/0/worst"),
                next_best=figure(f"{path}/next_best"),
            )
        )
    if compared["matched"] is not None:
        sentences.append(
            _(
                "With all else equal, it changes F1 by at most %(matched)s.",
                matched=figure(f"{path}/matched"),
            )
        )
    return sentences


def calibration(figures: dict[str, Any], _: localization.Gettext, number: Callable[[str], str]) -> Markup:
    """Say whether the winner's calibration error is more than chance; `number` formats the figure at a path."""
    values = {name: number(f"winner/ece_by_chance/{name}") for name in ("mean", "low", "high")}
    if figures["scenarios"][0]["ece"] > figures["winner"]["ece_by_chance"]["high"]:
        return _(
            "That is more than chance: a perfectly calibrated model would have %(mean)s on average (95 %% of the time "
            "%(low)s to %(high)s).",
            **values,
        )
    return _(
        "A perfectly calibrated model would have %(mean)s on average (95 %% of the time %(low)s to %(high)s).",
        **values,
    )


def near_duplicates(audit: dict[str, Any], source: Source) -> list[Markup]:
    """Say how keeping near-duplicates in one fold changes F1; `audit` is the figures' audit."""
    _, figure, folds = source.gettext, source.figure, audit["folds"]
    if not audit["near_duplicates"]["pairs"]:
        return [_("The audit found no near-duplicates, so there are none to keep in one fold.")]
    if not folds:
        return [
            _(
                "F1 with near-duplicates kept together cannot be computed: some fold would then test no photo of a "
                "class."
            )
        ]
    names = ("grouped_mean", "plain_mean", "difference", "standard_error")
    return [
        _(
            "With near-duplicates kept in one fold, the mean F1 over %(draws)s splits is %(grouped_mean)s instead of "
            "%(plain_mean)s: a mean difference of %(difference)s, with a standard error of %(standard_error)s.",
            draws=len(folds["draws"]),
            **{name: figure(f"audit/folds/{name}", "4") for name in names},
        ),
        split_explains(folds, _, source.figure("audit/folds/p", "p")),
    ]


def split_explains(folds: dict[str, Any], _: localization.Gettext, p: str) -> Markup:
    """Say whether the effect of near-duplicates is more than that of the choice of the split."""
    if folds["p"] < max_t.SIGNIFICANCE:
        return _("That is more than the choice of the split explains (paired t test, p: %(p)s).", p=p)
    return _("That is no more than the choice of the split explains (paired t test, p: %(p)s).", p=p)


def leakage(results: dict[str, Any], source: Source) -> list[Markup]:
    """Say what the leakage check shows; `results` are its figures."""
    _, path, compared = source.gettext, "leakage_check/compared", results["compared"]
    values = {"gain": source.figure(f"{path}/honest_and_carried/mean_difference")}
    if compared["honest_and_carried"]["mean_difference"] <= 0:
        return [
            _("Carrying the model from fold to fold gains nothing here: F1 changes by %(gain)s on average.", **values)
        ]
    if "carried_and_thesis" not in compared:
        return [
            _(
                "Carrying the model from fold to fold adds %(gain)s to F1 on average, all of it from photos that it "
                "was trained on.",
                **values,
            )
        ]
    distance = {name: compared[f"{name}_and_thesis"]["mean_absolute_difference"] for name in ("carried", "honest")}
    values |= {name: source.figure(f"{path}/{name}_and_thesis/mean_absolute_difference") for name in distance}
    if distance["carried"] >= distance["honest"]:
        return [
            _(
                "Carrying the model from fold to fold adds %(gain)s to F1 on average, but changes the mean absolute "
                "difference from the thesis's table from %(honest)s to %(carried)s: such a leak does not explain the "
                "thesis's figures.",
                **values,
            )
        ]
    return [
        _(
            "Carrying the model from fold to fold, as the thesis's notebooks do, adds %(gain)s to F1 on average, and "
            "changes the mean absolute difference from the thesis's table from %(honest)s to %(carried)s.",
            **values,
        ),
        _(
            "In the first fold, the only one whose photos its model had not been trained on, the thesis has a mean F1 "
            "of %(thesis_first)s, and a new model has %(honest_first)s here. In the last fold the thesis has "
            "%(thesis_last)s, the carried model %(carried_last)s, and a new model %(honest_last)s.",
            **{
                f"{table}_{name}": source.figure(f"leakage_check/mean_of_folds/{table}/{index}")
                for table, values in results["mean_of_folds"].items()
                for name, index in (("first", 0), ("last", len(values) - 1))
            },
        ),
    ]


def finetuning(options: Mapping[str, Any], _: localization.Gettext) -> Markup:
    """Say how backbones were fine-tuned.

    Args:
        options: field of settings.Finetuning -> value.
    """
    return _(
        "unfrozen: %(unfreeze)s; BatchNorm: %(batchnorm)s; epochs of the head alone: %(warmup_epochs)s; schedule: "
        "%(schedule)s; label smoothing: %(label_smoothing)s; classes balanced by: %(balance)s; gradients clipped "
        "at norm: %(clip_norm)s; models averaged: %(ensemble)s",
        **options,
    )
