"""The model card of a pushed model: its use, performance, weaknesses, photos and recipe, saved beside its files."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

from components.base import artifacts, documents
from components.publish import push
from pipeline import config as config_module
from pipeline import run_folder
from pipeline.report import localization, page, sentences

HTML_NAMES = {"en": "model_card.html", "id": "model_card.id.html"}
MARKDOWN_NAMES = {"en": "MODEL_CARD.md", "id": "MODEL_CARD.id.md"}
JSON_NAME = "model_card.json"  # read by the web page


@dataclasses.dataclass(frozen=True)
class Part:
    """A heading with lines below it and, optionally, a table whose first row is its header."""

    title: str
    lines: Sequence[str]
    table: Sequence[Sequence[str]] = ()


def write(run_dir: pathlib.Path) -> pathlib.Path | None:
    """Write the card of the newest served version and return its folder: in each language, and as JSON.

    Return None if nothing is served, or if the served model is not the winner in report/figures.json, because these
    figures describe another model.
    """
    base = run_dir / run_folder.SERVED
    description = push.served(base)
    figures = artifacts.read_json(run_dir / run_folder.FIGURES)
    if not description or not figures["winner"] or not _is_winner(description, figures):
        return None
    audit = figures["audit"] or {}
    if audit.get("photos_and_folds") != description["data"]["photos_and_folds"]:
        audit = {}  # the photos have changed since the model was trained
    folder = base / str(push.versions(base)[-1])
    jinja = page.environment()
    for language in localization.LANGUAGES:
        _ = localization.translator(language)
        title = _("Model card: %(classes)s", classes=", ".join(description["classes"]))
        contents = {"title": title, "parts": parts(figures, description, audit, language), "language": language}
        for name, template in ((HTML_NAMES[language], "card.html"), (MARKDOWN_NAMES[language], "card.md")):
            with artifacts.atomic_write(folder / name) as temporary:
                temporary.write_text(jinja.get_template(template).render(**contents), encoding="utf-8")
    artifacts.write_json(folder / JSON_NAME, to_json(figures, description))
    return folder


def parts(
    figures: dict[str, Any], description: documents.ModelDescription, audit: dict[str, Any], language: str
) -> list[Part]:
    """Return the card's parts; `audit` is the audit in the figures, or empty if the photos were not audited."""
    _ = localization.translator(language)

    def number(value: float | None, style: str = "3") -> str:
        return localization.format_number(value, style, language)

    winner_row = figures["scenarios"][0]
    return [
        Part(_("Intended use"), _use(description, _)),
        Part(_("Performance"), _scores(figures, winner_row, _, number), _class_table(figures, _, number)),
        Part(_("Weaknesses"), _weaknesses(figures, _, number)),
        Part(_("Photos"), _photos(figures, description, audit, _, number)),
        Part(_("How it was trained"), _recipe(description, _, number)),
        Part(_("Not tested"), _untested(_)),
    ]


def to_json(figures: dict[str, Any], description: documents.ModelDescription) -> dict[str, Any]:
    """Return what the web page shows of the card: scores in cross-validation, and how often sure answers were right."""
    row, winner = figures["scenarios"][0], figures["winner"]
    return {
        "synthetic": description["data"]["drawn"],
        "random_weights": _has_random_weights(description),
        "folds": figures["run"]["folds"],
        **{name: row[name] for name in ("photos", "right", "f1", "f1_low", "f1_high")},
        "certainty": winner["certainty"],
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


def _has_random_weights(description: documents.ModelDescription) -> bool:
    return description["weights"].startswith("random")


def _use(description: documents.ModelDescription, _: localization.Gettext) -> list[str]:
    lines: list[str] = [
        _("For a photo of one object, this model suggests one of its classes to a person who checks the suggestion."),
        _(
            "It is not meant to sort without a person, nor for objects outside its classes: it always answers with one "
            "of them."
        ),
    ]
    if description["data"]["drawn"]:
        lines.insert(
            0,
            _("It was trained on synthetic photos, to show that the pipeline works. Do not use it on real photos."),
        )
    if _has_random_weights(description):
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
        *_selection_bias(winner["selection_bias"], _, number),
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


def _selection_bias(bias: dict[str, float] | None, _: localization.Gettext, number: Any) -> list[str]:
    """Say by how much F1 is too high because the model was chosen on the same photos, if that is known."""
    if not bias:
        return []
    return [
        _(
            "Because the model was chosen on the same photos, its F1 is about %(low)s to %(high)s too high on average; "
            "precision, recall and accuracy are too high as well.",
            **{name: number(value) for name, value in bias.items()},
        )
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


def _photos(
    figures: dict[str, Any],
    description: documents.ModelDescription,
    audit: dict[str, Any],
    _: localization.Gettext,
    number: Any,
) -> list[str]:
    run, data = figures["run"], description["data"]
    lines: list[str] = [
        _(
            "%(photos)s photos; fingerprint of photos and folds: %(digest)s.",
            photos=number(data["photos"], ""),
            digest=data["photos_and_folds"],
        ),
        _(
            "Left out: %(copies)s exact copies, %(conflicts)s identical files with different labels, %(rejects)s "
            "unusable files.",
            copies=run["copies"],
            conflicts=run["conflicts"],
            rejects=run["rejects"],
        ),
    ]
    if not audit:
        return [*lines, _("The photos have not been audited for near-duplicates and label issues.")]
    near_duplicates, folds = audit["near_duplicates"], audit["folds"]
    if near_duplicates["pairs"]:
        lines.append(
            _(
                "Pairs of near-duplicates found by the audit: %(pairs)s; of these, across folds: %(across)s.",
                pairs=near_duplicates["pairs"],
                across=near_duplicates["pairs_across_folds"],
            )
        )
    else:
        lines.append(_("The audit found no near-duplicates, so there are none to keep in one fold."))
    if folds:
        lines += [
            _(
                "With near-duplicates kept in one fold, the mean macro F1 of scenario %(scenario)s over %(draws)s "
                "splits, with its backbone frozen, is %(grouped_mean)s instead of %(plain_mean)s: a mean difference of "
                "%(difference)s, with a standard error of %(standard_error)s.",
                scenario=folds["scenario"],
                draws=len(folds["draws"]),
                **{name: number(folds[name], style) for name, style in sentences.FOLDS_STYLES.items()},
            ),
            sentences.grouping_effect(folds, _, number(folds["p"], "p")),
        ]
    return [
        *lines,
        _("Label issues found by the audit: %(photos)s.", photos=audit["label_doubts"]["photos"]),
    ]


def _recipe(description: documents.ModelDescription, _: localization.Gettext, number: Any) -> list[str]:
    """Describe how the version was trained, from its own settings: those of the run may have changed since."""
    settings, scenario = config_module.from_json(description["settings"]), description["scenario"]
    packages = ", ".join(f"{name} {version}" for name, version in description["packages"].items())
    model = {
        **{name: scenario[name] for name in ("backbone", "optimizer", "dropout")},
        "weights": description["weights"],
        "parameters": number(scenario["parameters"], ""),
        "size": settings.image_size_px,
    }
    finetuned = scenario.get("strategy") == "finetune"  # missing in older descriptions
    lines: list[str] = _finetuned(model, settings, _) if finetuned else [_frozen(model, _)]
    if settings.flips == "both":
        lines.append(_("Half of the augmented views were turned upside down."))
    if settings.test_views > 1:
        lines.append(
            _("Scores are averaged over %(views)s views of each photo, also when served.", views=settings.test_views)
        )
    if settings.group_folds:
        lines.append(_("Photos with similar hashes were kept in the same fold."))
    return [
        *lines,
        _(
            "%(epochs)s epochs, batches of %(batch)s, learning rate %(rate)s, weight decay %(decay)s with AdamW, "
            "%(views)s augmented views",
            epochs=settings.epochs,
            batch=settings.batch_size,
            rate=number(settings.rate_of_finetuning if finetuned else settings.learning_rate, ""),
            decay=number(settings.weight_decay, ""),
            views=settings.epochs if finetuned else settings.views,  # one per epoch
        )
        + ".",
        _("Code %(code)s; %(packages)s.", code=description["code"], packages=packages),
    ]


def _frozen(model: dict[str, Any], _: localization.Gettext) -> str:
    return _(
        "%(backbone)s, frozen, weights %(weights)s, at %(size)s x %(size)s pixels; %(optimizer)s, dropout %(dropout)s; "
        "%(parameters)s parameters.",
        **model,
    )


def _finetuned(model: dict[str, Any], settings: config_module.Config, _: localization.Gettext) -> list[str]:
    lines: list[str] = [
        _(
            "%(backbone)s, fine-tuned from weights %(weights)s, at %(size)s x %(size)s pixels; %(optimizer)s, dropout "
            "%(dropout)s; %(parameters)s parameters.",
            **model,
        ),
        sentences.finetuning(dataclasses.asdict(settings.finetuning), _) + ".",
    ]
    if settings.ensemble > 1:
        lines.append(
            _(
                "Each of the %(count)s models has this many parameters; they share the frozen layers.",
                count=settings.ensemble,
            )
        )
    return lines


def _untested(_: localization.Gettext) -> list[str]:
    return [
        _("Photos from elsewhere: other backgrounds, light, cameras, countries and brands than in training."),
        _("Several objects in one photo, parts of objects, and things that belong to none of the classes."),
        _("Adversarial photos."),
        _("Whether people sort better with it than without it."),
    ]
