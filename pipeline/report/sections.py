"""The sections of the page: each function returns the variables of the template of the same name.

A section with nothing to show returns None and is left out. To add one, add a function to `SECTIONS` and a template.
"""

import pathlib
from collections.abc import Callable

from components.base import artifacts, documents
from components.data import augmentation as augmentation_module
from pipeline import run_folder
from pipeline.report import comparisons, finding_sections, hyperparameter_section, plots, sentences, thumbnails
from pipeline.report.source import Contents, Source
from tuner import trial_folder

PAIRS_SHOWN_FIRST = 6  # pairs of confused classes; the others are folded
AUGMENTED_PHOTOS = 3  # shown with their augmented views
VIEWS_PER_PHOTO = 5


def scenarios(source: Source) -> Contents:
    if not source.figures["scenarios"]:
        return None
    return {"title": source.gettext("The scenarios"), "groups": source.groups}


def winner(source: Source) -> Contents:
    best = source.figures["winner"]
    if not best:
        return None
    return {
        "title": source.gettext("The winner, class by class"),
        "selection": sentences.selection(best, source.gettext, source.figure),
    }


def settings(source: Source) -> Contents:
    """Compare backbones, optimizers and dropout rates over the scenarios of a grid search, without refined ones."""
    _ = source.gettext
    search_rows = [row for row in source.figures["scenarios"] if row["scenario"] <= source.config.scenario_count]
    if not source.figures["comparisons"]:
        return None
    titles = dict(zip(comparisons.SETTINGS, (_("By backbone"), _("By optimizer"), _("By dropout")), strict=True))
    labels = dict(zip(comparisons.SETTINGS, (_("Backbone"), _("Optimizer"), _("Dropout")), strict=True))
    return {
        "title": _("Backbones, optimizers, dropouts"),
        "parts": [
            {
                "setting": setting,
                "title": titles[setting],
                "label": labels[setting],
                "sentences": sentences.comparison(setting, comparison, _, source.figure),
                "plot": plots.groups(
                    [group["value"] for group in comparison["values"]], search_rows, setting, _("macro F1")
                ),
            }
            for setting, comparison in source.figures["comparisons"].items()
        ],
    }


def significance(source: Source) -> Contents:
    if not source.figures["winner"]:
        return None
    rows = [source.figures["scenarios"][group.indices[0]] for group in source.groups]
    plot = plots.intervals(rows, [source.backbone(row) for row in rows], source.gettext("macro F1"))
    return {"title": source.gettext("Is the winner really better?"), "plot": plot, "groups": source.groups}


def calibration(source: Source) -> Contents:
    _, best = source.gettext, source.figures["winner"]
    if not best:
        return None
    return {
        "title": _("Can you trust its confidence?"),
        "sentences": [
            sentences.confidence_gap(best["confidence_gap"], _, source.figure),
            sentences.calibration(source.figures, _, source.figure),
        ],
        "reliability": plots.reliability(best["reliability"], _("confidence"), _("accuracy"), _("photos")),
        "coverage": plots.coverage(
            best["coverage"], _("minimum confidence"), _("accuracy of the answers"), _("share answered")
        ),
    }


def certainty(source: Source) -> Contents:
    """Show how often prediction sets hold the actual class, what is untypical, and the states of the web page."""
    _, results = source.gettext, source.figures["calibration"]
    if not results:
        return None
    return {
        "title": _("How sure is each answer?"),
        "applied": str(results["coverage"]),
        "sizes": sorted({size for figures in results["sets"].values() for size in figures["sizes"]}, key=int),
        "sentences": [
            sentences.coverage_by_class(results, _),
            sentences.temperature(results, _, source.figure),
        ],
        "level_names": {"sure": _("sure"), "unsure": _("not sure"), "untypical": _("untypical")},
        "untypical": [{**photo, **source.thumbnail(photo["id"])} for photo in source.figures["least_typical"]],
    }


def mistakes(source: Source) -> Contents:
    """Show the pairs of classes that the winner confuses, with the wrong answers of highest confidence."""
    best = source.figures["winner"]
    if not best:
        return None
    pairs = [
        {**pair, "gallery": [{**photo, **source.with_heatmap(photo["id"])} for photo in pair["worst"]]}
        for pair in best["mistakes"]
    ]
    missing = sum(photo["picture"] is None for pair in pairs for photo in pair["gallery"])
    return {
        "title": source.gettext("What it gets wrong"),
        "pairs": pairs,
        "missing": missing,
        "shown_first": PAIRS_SHOWN_FIRST,
        "with_heatmaps": bool(source.heatmaps),
    }


def training(source: Source) -> Contents:
    """Plot loss and accuracy by epoch, one line per fold."""
    _ = source.gettext
    histories = {
        row["scenario"]: _histories(source.config.run_dir, row["scenario"]) for row in source.figures["scenarios"]
    }
    histories = {number: folds for number, folds in histories.items() if folds}
    if not histories:
        return None
    number = next(iter(histories))  # the winner, or the best so far
    labels = {"loss": _("training loss"), "accuracy": _("training accuracy")}
    return {
        "title": _("Training, fold by fold"),
        "number": number,
        "plot": plots.training(histories[number], _("epoch"), labels, _("fold")),
        "small": plots.small_training(dict(sorted(histories.items()))),
    }


def matrices(source: Source) -> Contents:
    if not source.figures["scenarios"]:
        return None
    return {"title": source.gettext("All confusion matrices"), "groups": source.groups}


def data(source: Source) -> Contents:
    """Count the photos of each class, and show a few with the augmented views used in training."""
    if not source.figures["classes"]:
        return None
    by_class = {photo.label: photo for photo in reversed(source.photos.values())}
    config = source.config
    augmentation = augmentation_module.Augmentation(config.seed, config.flips, config.augmentation)
    view_options = (min(config.views, VIEWS_PER_PHOTO), augmentation, config.image_size_px, config.max_pixels)
    rows = [
        {"name": name, "views": thumbnails.views(photo, *view_options)}
        for name, photo in sorted(by_class.items())[:AUGMENTED_PHOTOS]
    ]
    return {
        "title": source.gettext("The photos"),
        "augmented": [row for row in rows if row["views"]],
        "max_photos": max(row["photos"] for row in source.figures["classes"]),
    }


def method(source: Source) -> Contents:
    options = source.figures["run"]["finetuning"]
    finetuning = sentences.finetuning(options, source.gettext) if options else None
    return {"title": source.gettext("Method"), "finetuning": finetuning}


SECTIONS: tuple[Callable[[Source], Contents], ...] = (
    scenarios,
    winner,
    settings,
    hyperparameter_section.hyperparameters,
    significance,
    calibration,
    certainty,
    mistakes,
    finding_sections.audit,
    finding_sections.leakage_check,
    finding_sections.evaluations,
    finding_sections.further_checks,
    training,
    matrices,
    data,
    method,
)


def _histories(run_dir: pathlib.Path, number: int) -> list[dict[str, list[float]]]:
    """Return metric -> values by epoch of each finished fold."""
    folder = run_dir / run_folder.trial(number)
    files = [trial_folder.fold_history(folder, fold) for fold in trial_folder.finished_folds(folder)]
    return [artifacts.read_json(file, documents.FoldHistory)["history"] for file in files]
