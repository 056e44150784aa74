"""What a model card says about training: the photos, what the audit found in them, and the recipe."""

import dataclasses
from typing import Any

from components.base import documents
from pipeline import config as config_module
from pipeline.report import localization, sentences


def photos(
    figures: dict[str, Any],
    description: documents.ModelDescription,
    audit: dict[str, Any],
    _: localization.Gettext,
    number: Any,
) -> list[str]:
    """Describe the photos of the study, those left out, and what the audit found."""
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


def recipe(description: documents.ModelDescription, _: localization.Gettext, number: Any) -> list[str]:
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
    if units := scenario.get("hidden_units"):
        lines.append(_("The hidden layer of its head has %(units)s units.", units=units))
    without_views = finetuned and not settings.ensemble  # covariance heads alone
    if settings.flips == "both" and not without_views:
        lines.append(_("Half of the augmented views were turned upside down."))
    if settings.augmentation == "strong" and not without_views:
        lines.append(_("The augmented views also have other colours, and about a third of them another background."))
    if settings.test_views > 1:
        lines.append(
            _("Scores are averaged over %(views)s views of each photo, also when served.", views=settings.test_views)
        )
    if settings.group_folds:
        lines.append(_("Photos with similar hashes were kept in the same fold."))
    if without_views:  # there are no epochs and no learning rate either
        trained = _("Trained on clean photos only, without augmented views")
    else:
        trained = _(
            "%(epochs)s epochs, batches of %(batch)s, learning rate %(rate)s, weight decay %(decay)s with AdamW, "
            "%(views)s augmented views",
            epochs=scenario.get("epochs", settings.epochs),
            batch=settings.batch_size,
            rate=number(_learning_rate(scenario, settings, finetuned), ""),
            decay=number(settings.weight_decay, ""),
            views=settings.epochs if finetuned else settings.views,
        )
    return [
        *lines,
        trained + ".",
        _("Code %(code)s; %(packages)s.", code=description["code"], packages=packages),
    ]


def _learning_rate(scenario: documents.DescribedScenario, settings: config_module.Config, finetuned: bool) -> float:
    rate = settings.rate_of_finetuning if finetuned else scenario.get("learning_rate", settings.learning_rate)
    assert isinstance(rate, float)
    return rate


def _frozen(model: dict[str, Any], _: localization.Gettext) -> str:
    return _(
        "%(backbone)s, frozen, weights %(weights)s, at %(size)s x %(size)s pixels; %(optimizer)s, dropout %(dropout)s; "
        "%(parameters)s parameters.",
        **model,
    )


def _finetuned(model: dict[str, Any], settings: config_module.Config, _: localization.Gettext) -> list[str]:
    if not settings.ensemble:
        summary = _(
            "%(backbones)s, frozen, at %(size)s x %(size)s pixels, with ridge regressions on covariances of their "
            "activations; the scores are averaged.",
            backbones=", ".join(dict.fromkeys(head.backbone for head in settings.finetuning.covariance_heads)),
            **model,
        )
        return [summary, sentences.finetuning(dataclasses.asdict(settings.finetuning), _) + "."]
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
