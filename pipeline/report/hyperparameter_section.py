"""Section of the hyperparameters of a search beyond the grid: a plot of the trials, and what mattered."""

from typing import Any

from markupsafe import Markup

from pipeline.report import hyperparameters as figures_module
from pipeline.report import plots
from pipeline.report.source import Contents, Source


def hyperparameters(source: Source) -> Contents:
    """Plot the trials, and show by how much F1 is better predicted by knowing each hyperparameter."""
    _, results = source.gettext, source.figures["hyperparameters"]
    if not results:
        return None
    labels = {
        "backbone": _("Backbone"),
        "optimizer": _("Optimizer"),
        "dropout": _("Dropout"),
        "learning_rate": _("Learning rate"),
        "hidden_units": _("Hidden units"),
        "epochs": _("Epochs"),
    }
    trials = [row for row in source.figures["scenarios"] if row["scenario"] <= source.config.scenario_count]
    return {
        "title": _("Hyperparameters"),
        "plot": plots.parallel_coordinates(trials, {name: labels[name] for name in results["names"]}, _("macro F1")),
        "labels": labels,
        "sentence": importance(results, source),
    }


def importance(results: dict[str, Any], source: Source) -> Markup:
    """Say what the importances are, or why there are none; `results` are the figures of the hyperparameters."""
    _, trials = source.gettext, source.figure("hyperparameters/trials", "")
    if results["trials"] < figures_module.MIN_TRIALS:
        return _(
            "No importance is claimed: %(trials)s trials are too few, it takes at least %(minimum)s.",
            trials=trials,
            minimum=figures_module.MIN_TRIALS,
        )
    if results["r2"] is None:
        return _("No importance is claimed: all trials have the same F1.")
    r2 = source.figure("hyperparameters/r2", "2")
    if not results["importances"]:
        return _(
            "No importance is claimed: a random forest fitted to the %(trials)s trials does not predict F1 of trials "
            "that it was not fitted to (R² %(r2)s, below %(minimum)s).",
            trials=trials,
            r2=r2,
            minimum=figures_module.MIN_R2,
        )
    return _(
        "A random forest predicts F1 of trials that it was not fitted to (R² %(r2)s). The importance of a "
        "hyperparameter is by how much the absolute error of these predictions grows if its values are permuted among "
        "the trials. It holds for the ranges of this search alone. The intervals cover other trials, but not other "
        "photos.",
        r2=r2,
    )
