"""Scores of a model on photos from elsewhere beside its scores in cross-validation. Imports nothing heavy."""

from collections.abc import Mapping
from typing import Any

UNKNOWN = (None, None, None)

Measured = tuple[float | None, float | None, float | None]  # a value with the ends of its 95 % interval


def compare(results: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """Return score -> its values in an evaluation and in cross-validation, see `_side_by_side`.

    The scores are "f1", "accuracy", "coverage" (of the prediction sets), "mean_size" (of the sets), "flagged" (the
    share of untypical photos), "ece" and "ece_by_chance". Those that the evaluation lacks are left out: earlier
    versions have only the first two.

    Args:
        results: the contents of an evaluation's JSON file.
    """
    here = _measured(results)
    own = _measured(results.get("cross_validated") or {"f1": results["cross_validated_f1"]})
    return {name: _side_by_side(here[name], own[name]) for name in here if here[name][0] is not None}


def compare_classes(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return "class", "recall", "coverage" and "flagged" of each class with photos, each as in `_side_by_side`."""
    here, own = _measured_classes(results), _measured_classes(results.get("cross_validated") or {})
    return [
        {"class": name}
        | {score: _side_by_side(values[score], own.get(name, {}).get(score, UNKNOWN)) for score in values}
        for name, values in here.items()
    ]


def _side_by_side(here: Measured, own: Measured) -> dict[str, float | None]:
    """Return "here", "low" and "high" of an evaluation, and "own", "own_low" and "own_high" of the cross-validation.

    They are None where they are not known.
    """
    return dict(zip(("here", "low", "high", "own", "own_low", "own_high"), (*here, *own), strict=True))


def _measured(results: Mapping[str, Any]) -> dict[str, Measured]:
    """Return score -> its value and interval, of the contents of an evaluation's JSON file."""
    return {
        "f1": (results.get("f1"), *_interval(results.get("f1_interval"))),
        "accuracy": (results.get("accuracy"), *_interval(results.get("accuracy_interval"))),
        "coverage": _of(results.get("sets"), "coverage"),
        "mean_size": ((results.get("sets") or {}).get("mean_size"), None, None),
        "flagged": _of(results.get("flagged"), "share"),
        "ece": (results.get("ece"), None, None),
        "ece_by_chance": _of(results.get("ece_by_chance"), "mean"),
    }


def _measured_classes(results: Mapping[str, Any]) -> dict[str, dict[str, Measured]]:
    """Return class -> score -> its value and interval."""
    sets = {row["class"]: row for row in (results.get("sets") or {}).get("per_class", ())}
    return {
        row["class"]: {
            "recall": (row["recall"], *_interval(row.get("recall_interval"))),
            "coverage": _of(sets.get(row["class"]), "coverage"),
            "flagged": _of(row.get("flagged"), "share"),
        }
        for row in results.get("per_class", ())
    }


def _interval(ends: list[float] | None) -> tuple[float | None, float | None]:
    return (ends[0], ends[-1]) if ends else (None, None)


def _of(figures: Mapping[str, float] | None, name: str) -> Measured:
    """Return the value `name` of `figures` with its "low" and "high"."""
    return (figures[name], figures["low"], figures["high"]) if figures else UNKNOWN
