"""Sentences of the report and the card whose wording depends on the figures."""

from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

from pipeline.report import localization, max_t
from pipeline.report.source import Source

# figures of the comparison of folds; the difference is often below 0.01
FOLDS_STYLES = {"grouped_mean": "3", "plain_mean": "3", "difference": "4", "standard_error": "4"}


def comparison(
    setting: str, results: dict[str, Any], _: localization.Gettext, figure: Callable[..., Markup]
) -> list[Markup]:
    """Say how the values of `setting` compare; `results` are its figures."""
    best, *others = results["values"]
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
    values = {name: figure(f"{path}/{name}") for name in ("gap", "gap_low", "gap_high")}
    values["p"] = figure(f"{path}/p", "p")
    if results["told_apart"]:
        sentences.append(
            _(
                "The difference of %(gap)s is measurable (95 %% confidence interval %(gap_low)s to %(gap_high)s; "
                "adjusted p: %(p)s).",
                **values,
            )
        )
    else:
        sentences.append(
            _(
                "The difference of %(gap)s could be chance (95 %% confidence interval %(gap_low)s to %(gap_high)s; "
                "adjusted p: %(p)s).",
                **values,
            )
        )
    if best["worst"] > results["next_best"]:
        sentences.append(
            _(
                "Even the worst scenario with %(best)s (%(lowest)s) is above the best scenario without it "
                "(%(next_best)s).",
                best=name(best["value"]),
                lowest=figure(f"{path}/values/0/worst"),
                next_best=figure(f"{path}/next_best"),
            )
        )
    if results["matched"] is not None:
        sentences.append(
            _(
                "With all else equal, it changes F1 by at most %(matched)s.",
                matched=figure(f"{path}/matched"),
            )
        )
    return sentences


def selection(winner: Mapping[str, Any], _: localization.Gettext, number: Callable[[str, str], str]) -> list[Markup]:
    """State the winner's F1 corrected for its selection, if the leaderboard has it; `winner` are its figures."""
    if "f1_corrected" not in winner:
        return []
    if winner["f1_corrected"] is None:
        return [_("No two scenarios give different answers, so nothing was selected and F1 needs no correction.")]
    return [
        _(
            "As the best of %(scenarios)s scenarios on the same photos, it has scores that are too high on average. "
            "Corrected for this selection, F1 is %(f1)s (95 %% confidence interval %(low)s to %(high)s, BBC-CV).",
            scenarios=winner["compared"] + 1,
            f1=number("winner/f1_corrected", "3"),
            low=number("winner/f1_corrected_low", "3"),
            high=number("winner/f1_corrected_high", "3"),
        )
    ]


def confidence_gap(results: Mapping[str, float], _: localization.Gettext, number: Callable[[str, str], str]) -> Markup:
    """Say whether the winner is overconfident; `results` are its figures, `number` formats the figure at a path."""
    points = number("winner/confidence_gap/size", "points")
    if results["size"] <= results["by_chance"]:
        return _("The difference of %(points)s points is no more than chance.", points=points)
    if results["gap"] > 0:
        return _("It is overconfident by %(points)s points.", points=points)
    return _("It is underconfident by %(points)s points.", points=points)


def calibration(figures: dict[str, Any], _: localization.Gettext, number: Callable[[str, str], str]) -> Markup:
    """Say whether the winner's calibration error is more than chance; `number` formats the figure at a path."""
    values = {name: number(f"winner/ece_by_chance/{name}", "points") for name in ("mean", "low", "high")}
    values["ece"] = number("scenarios/0/ece", "points")
    if figures["scenarios"][0]["ece"] > figures["winner"]["ece_by_chance"]["high"]:
        return _(
            "The expected calibration error (ECE) of %(ece)s points is more than chance: a perfectly calibrated model "
            "would have %(mean)s points on average (95 %% of the time %(low)s to %(high)s).",
            **values,
        )
    return _(
        "The expected calibration error (ECE) of %(ece)s points is no more than chance: a perfectly calibrated model "
        "would have %(mean)s points on average (95 %% of the time %(low)s to %(high)s).",
        **values,
    )


def coverage_by_class(results: Mapping[str, Any], _: localization.Gettext) -> Markup:
    """Name the classes that prediction sets hold less often than stated; `results` are the calibration's figures."""
    stated = results["coverage"]
    below = [row["class"] for row in results["sets"][str(stated)]["per_class"] if row["high"] < stated]
    if below:
        return _("Measurably below the stated coverage: %(classes)s.", classes=", ".join(below))
    return _("No class is measurably below the stated coverage.")


def temperature(results: Mapping[str, Any], _: localization.Gettext, number: Callable[[str, str], str]) -> Markup:
    """Say whether scaling by a temperature improves the probabilities; `number` formats the figure at a path."""
    values = {name: number(f"calibration/{name}", "3") for name in ("temperature", "log_loss", "log_loss_scaled")}
    if results["temperature"] == 1:
        return _(
            "The probabilities are used as they are (temperature 1), because scaling them by a temperature did not "
            "lower the log loss of held-out folds: it is %(log_loss)s without scaling and %(log_loss_scaled)s with it.",
            **values,
        )
    return _(
        "The probabilities are scaled by the temperature %(temperature)s before the sets are made, which lowers the "
        "log loss of held-out folds from %(log_loss)s to %(log_loss_scaled)s.",
        **values,
    )


def near_duplicates(audit: dict[str, Any], source: Source) -> list[Markup]:
    """Say by how much F1 changes when near-duplicates are kept in one fold; `audit` is the audit in the figures."""
    _, figure, folds = source.gettext, source.figure, audit["folds"]
    if not audit["near_duplicates"]["pairs"]:
        return [_("The audit found no near-duplicates, so there are none to keep in one fold.")]
    if not folds:
        return [
            _(
                "F1 with near-duplicates kept together cannot be computed: at least one fold would have no photo of "
                "some class."
            )
        ]
    return [
        _(
            "With near-duplicates kept in one fold, the mean F1 over %(draws)s splits is %(grouped_mean)s instead of "
            "%(plain_mean)s: a mean difference of %(difference)s, with a standard error of %(standard_error)s.",
            draws=len(folds["draws"]),
            **{name: figure(f"audit/folds/{name}", style) for name, style in FOLDS_STYLES.items()},
        ),
        grouping_effect(folds, _, source.figure("audit/folds/p", "p")),
    ]


def grouping_effect(folds: dict[str, Any], _: localization.Gettext, p: str) -> Markup:
    """Say whether keeping near-duplicates together changes F1 by more than the choice of the split does."""
    if folds["p"] < max_t.SIGNIFICANCE:
        return _("That is more than the choice of the split explains (paired t test, p: %(p)s).", p=p)
    return _("That is no more than the choice of the split explains (paired t test, p: %(p)s).", p=p)


def leakage(results: dict[str, Any], source: Source) -> list[Markup]:
    """Say by how much leakage raises F1, and whether that explains the thesis's; `results` are the check's figures."""
    _, path, compared = source.gettext, "leakage_check/compared", results["compared"]
    values = {"gain": source.figure(f"{path}/honest_and_carried/mean_difference")}
    if compared["honest_and_carried"]["mean_difference"] <= 0:
        return [
            _("Carrying the model from fold to fold gains nothing here: F1 changes by %(gain)s on average.", **values)
        ]
    if "carried_and_thesis" not in compared:
        return [
            _(
                "Carrying the model from fold to fold adds %(gain)s to F1 on average, because it is tested on photos "
                "that it was trained on.",
                **values,
            )
        ]
    differences = {name: compared[f"{name}_and_thesis"]["mean_absolute_difference"] for name in ("carried", "honest")}
    values |= {name: source.figure(f"{path}/{name}_and_thesis/mean_absolute_difference") for name in differences}
    if differences["carried"] >= differences["honest"]:
        return [
            _(
                "Carrying the model from fold to fold adds %(gain)s to F1 on average, but the mean absolute difference "
                "to the thesis's F1 does not shrink: it changes from %(honest)s to %(carried)s. Such a leak does not "
                "explain the thesis's figures.",
                **values,
            )
        ]
    return [
        _(
            "Carrying the model from fold to fold, as the thesis's notebooks do, adds %(gain)s to F1 on average. The "
            "mean absolute difference to the thesis's F1 changes from %(honest)s to %(carried)s.",
            **values,
        ),
        _(
            "In the first fold, the only one whose photos the carried model was not trained on, the thesis reports a "
            "mean F1 of %(thesis_first)s; a new model has %(honest_first)s here. In the last fold the thesis reports "
            "%(thesis_last)s; the carried model has %(carried_last)s here, and a new model %(honest_last)s.",
            **{
                f"{table}_{name}": source.figure(f"leakage_check/mean_of_folds/{table}/{index}")
                for table, values in results["mean_of_folds"].items()
                for name, index in (("first", 0), ("last", len(values) - 1))
            },
        ),
    ]


def finetuning(options: Mapping[str, Any], _: localization.Gettext) -> Markup:
    """Say how backbones were fine-tuned, and which have covariance heads.

    Args:
        options: field of settings.Finetuning -> value; those of earlier versions lack some fields.
    """
    heads = covariance_heads(options)
    if not options["ensemble"]:
        return _("covariance heads on frozen layers: %(layers)s", layers=heads)
    sentence: Markup = _(
        "unfrozen layers: %(unfreeze)s; BatchNorm: %(batchnorm)s; warm-up epochs of the head alone: "
        "%(warmup_epochs)s; schedule: %(schedule)s; label smoothing: %(label_smoothing)s; class "
        "balancing: %(balance)s; gradient clipping norm: %(clip_norm)s; models averaged: %(ensemble)s",
        **options,
    )
    if heads:
        sentence += _("; averaged with covariance heads on frozen layers: %(layers)s", layers=heads)
    return sentence


def covariance_heads(options: Mapping[str, Any]) -> str:
    """Return the layers that covariance heads read, such as "VGG19 below top, VGG19 below top2"."""
    parts = {"top": options.get("covariance_top", ()), "top2": options.get("covariance_top2", ())}
    return ", ".join(f"{name} below {part}" for part, names in parts.items() for name in names)
