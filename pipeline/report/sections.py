"""The sections of the page: each a function here, which gives what its template of the same name shows.

A section that has nothing to show gives None and is left out. A further one is a function in `SECTIONS` and a template.
"""

import pathlib
from collections.abc import Callable

from components.base import artifacts
from components.data import augment
from pipeline import run_folder
from pipeline.report import comparisons, confusion, finding_sections, plots, sentences, thumbnails
from pipeline.report.source import Contents, Source

WINNER_INCHES, OTHER_INCHES = 5.6, 3.4  # of the confusion matrices
VIEWED_PHOTOS = 3  # in their augmented views
VIEWS_SHOWN = 5


def scenarios(source: Source) -> Contents:
    return {"title": source.gettext("The scenarios")} if source.figures["scenarios"] else None


def winner(source: Source) -> Contents:
    if not source.figures["winner"]:
        return None
    return {"title": source.gettext("The winner, class by class"), "picture": _matrix(source, 0, WINNER_INCHES)}


def settings(source: Source) -> Contents:
    """Backbones, optimizers and dropouts compared, those of the search alone."""
    _, searched = source.gettext, source.config.scenario_count
    compared = [row for row in source.figures["scenarios"] if row["scenario"] <= searched]
    if not compared:
        return None
    words = dict(zip(comparisons.SETTINGS, (_("By backbone"), _("By optimizer"), _("By dropout")), strict=True))
    return {
        "title": _("Backbones, optimizers, dropouts"),
        "parts": [
            {
                "setting": setting,
                "title": words[setting],
                "sentences": sentences.comparison(setting, found, _, source.figure),
                "plot": plots.groups([one["value"] for one in found["values"]], compared, setting, _("macro F1")),
            }
            for setting, found in source.figures["comparisons"].items()
        ],
    }


def doubt(source: Source) -> Contents:
    if not source.figures["winner"]:
        return None
    rows = source.figures["scenarios"]
    plot = plots.intervals(rows, [source.backbone(row) for row in rows], source.gettext("macro F1"))
    return {"title": source.gettext("How sure is the order?"), "plot": plot}


def calibration(source: Source) -> Contents:
    _, best = source.gettext, source.figures["winner"]
    if not best:
        return None
    return {
        "title": _("How far its confidence can be trusted"),
        "reliability": plots.reliability(best["reliability"], _("confidence"), _("accuracy")),
        "coverage": plots.coverage(
            best["coverage"], _("confidence asked for"), _("accuracy of the answers"), _("share answered")
        ),
    }


def mistakes(source: Source) -> Contents:
    """The winner's wrong photos by pair of classes, with those that it was surest of."""
    best = source.figures["winner"]
    if not best:
        return None
    pairs = [
        {**pair, "shown": [{**one, **source.shown(one["id"])} for one in pair["worst"]]} for pair in best["mistakes"]
    ]
    gone = sum(one["picture"] is None for pair in pairs for one in pair["shown"])
    return {"title": source.gettext("What it gets wrong"), "pairs": pairs, "gone": gone}


def training(source: Source) -> Contents:
    """Loss and accuracy over the epochs, a line a fold."""
    _ = source.gettext
    histories = {
        row["scenario"]: _histories(source.config.run_dir, row["scenario"]) for row in source.figures["scenarios"]
    }
    histories = {number: found for number, found in histories.items() if found}
    if not histories:
        return None
    number = next(iter(histories))  # the winner, or the best so far
    names = {"loss": _("training loss"), "accuracy": _("training accuracy")}
    return {
        "title": _("Training, fold by fold"),
        "number": number,
        "plot": plots.training(histories[number], _("epoch"), names, _("fold")),
        "small": plots.small_training(dict(sorted(histories.items()))),
    }


def matrices(source: Source) -> Contents:
    rows = source.figures["scenarios"]
    if not rows:
        return None
    pictures = {row["scenario"]: _matrix(source, place, OTHER_INCHES) for place, row in enumerate(rows)}
    return {"title": source.gettext("Every confusion matrix"), "pictures": pictures}


def data(source: Source) -> Contents:
    """Photos of each class, and a few in the views that training sees."""
    if not source.figures["classes"]:
        return None
    by_class = {photo.label: photo for photo in reversed(source.photos.values())}
    config = source.config
    augmentation = augment.Augmentation(config.seed, config.flips)
    drawn_with = (min(config.views, VIEWS_SHOWN), augmentation, config.image_size_px, config.max_pixels)
    rows = [
        {"name": name, "views": thumbnails.views(photo, *drawn_with)}
        for name, photo in sorted(by_class.items())[:VIEWED_PHOTOS]
    ]
    most = max(one["photos"] for one in source.figures["classes"])
    return {"title": source.gettext("The photos"), "viewed": [row for row in rows if row["views"]], "most": most}


def method(source: Source) -> Contents:
    return {"title": source.gettext("How it was made, and how to read it")}


SECTIONS: tuple[Callable[[Source], Contents], ...] = (
    scenarios,
    winner,
    settings,
    doubt,
    calibration,
    mistakes,
    finding_sections.audit,
    finding_sections.leakage_check,
    finding_sections.evaluations,
    training,
    matrices,
    data,
    method,
)


def _matrix(source: Source, place: int, side_inches: float) -> str:
    """The confusion matrix of a scenario as a picture, which also stands beside the page."""
    _, row = source.gettext, source.figures["scenarios"][place]
    title = f"{row['scenario']}: {source.backbone(row)}, {row['optimizer']}, {row['dropout']}"
    names = [one["name"] for one in source.figures["classes"]]
    large = "-large" if side_inches == WINNER_INCHES else ""
    path = source.folder / "confusion" / f"{row['scenario']:02d}{large}.png"
    words = (title, str(_("predicted class")), str(_("actual class")))
    return thumbnails.inline(confusion.write(path, row["confusion_matrix"], names, words, side_inches), "png")


def _histories(run_dir: pathlib.Path, number: int) -> list[dict[str, list[float]]]:
    """Of each fold that has one: measure -> value of each epoch."""
    files = sorted((run_dir / run_folder.trial(number)).glob("fold-*.json"))
    return [artifacts.read_json(file)["history"] for file in files]
