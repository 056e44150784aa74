"""Compare the values of backbone, optimizer and dropout over the scenarios: best, mean and spread of macro F1."""

import itertools
from typing import Any

import numpy as np

SETTINGS = ("backbone", "optimizer", "dropout")


def compute(scenarios: list[dict[str, Any]]) -> dict[str, Any]:
    """Return setting -> its values, best mean first, and the gaps between them; empty without scenarios."""
    return {setting: _compare(setting, scenarios) for setting in SETTINGS} if scenarios else {}


def _compare(setting: str, scenarios: list[dict[str, Any]]) -> dict[str, Any]:
    values = list(dict.fromkeys(row[setting] for row in scenarios))
    groups = [_group(value, [row for row in scenarios if row[setting] == value]) for value in values]
    groups.sort(key=lambda group: -group["mean"])
    first, last = groups[0], groups[-1]
    return {
        "values": groups,
        "gap": first["mean"] - last["mean"],
        "matched": _widest_matched_gap(setting, scenarios),
        # mean half-width of the scenarios' intervals, to compare gaps with
        "doubt": float(np.mean([(row["f1_high"] - row["f1_low"]) / 2 for row in scenarios])),
        "next_best": max((group["best"] for group in groups[1:]), default=None),
    }


def _group(value: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
    f1 = [row["f1"] for row in rows]
    return {
        "value": value,
        "scenarios": len(rows),
        "best": max(f1),
        "mean": float(np.mean(f1)),
        "worst": min(f1),
        "spread": max(f1) - min(f1),
    }


def _widest_matched_gap(setting: str, scenarios: list[dict[str, Any]]) -> float | None:
    """Return the widest gap between two scenarios that differ in `setting` alone, or None where no two do."""
    others = [name for name in SETTINGS if name != setting]
    ordered = sorted(scenarios, key=lambda row: [row[name] for name in others])
    matched = [list(rows) for _, rows in itertools.groupby(ordered, lambda row: [row[name] for name in others])]
    gaps = [max(row["f1"] for row in rows) - min(row["f1"] for row in rows) for rows in matched if len(rows) > 1]
    return max(gaps, default=None)
