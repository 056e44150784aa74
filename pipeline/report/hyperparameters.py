"""Importance of each hyperparameter of a search beyond the grid: how much better F1 is predicted by knowing its value.

A random forest predicts F1 of held-out trials. The importance of a hyperparameter is by how much the absolute error of
these predictions grows if its values are permuted among the trials (permutation importance, Breiman, Random Forests,
Machine Learning 45, 2001), so it is in units of F1. It says what mattered within the ranges of this search.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.stats
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold

from components.base import statistics
from tuner import scenarios

MIN_TRIALS = 20
MIN_R2 = 0.2  # of held-out trials; searches without any effect rarely reach it by chance
TREES, FOLDS, REPEATS, PERMUTATIONS = 100, 5, 2, 5


def compute(rows: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any] | None:
    """Return the figures of the hyperparameters that take more than one value, or None for a grid search.

    Args:
        rows: trials of the search, each with "f1" and the hyperparameters, numbers or names.

    Returns:
        "names"; "trials"; "r2", share of the variance of F1 of held-out trials that the forest explains, None with
        fewer than MIN_TRIALS trials or if all have the same F1; and "importances", each with its 95 % interval over the
        trials, largest first; empty if r2 is below MIN_R2.
    """
    names = varied(rows)
    if not set(names) & set(scenarios.SEARCHED):
        return None
    results: dict[str, Any] = {"names": names, "trials": len(rows), "r2": None, "importances": []}
    f1 = np.array([row["f1"] for row in rows])
    if len(rows) < MIN_TRIALS or np.ptp(f1) == 0:
        return results
    predicted, increases = _held_out([_columns(rows, name) for name in names], f1, seed)
    results["r2"] = float(r2_score(f1, predicted))
    if results["r2"] >= MIN_R2:
        importances = [_importance(name, values) for name, values in zip(names, increases.T, strict=True)]
        results["importances"] = sorted(importances, key=lambda row: -row["importance"])
    return results


def varied(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the hyperparameters that all rows have, with more than one value."""
    return [
        name
        for name in scenarios.HYPERPARAMETERS
        if all(name in row for row in rows) and len({row[name] for row in rows}) > 1
    ]


def _columns(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """Return the values of a hyperparameter, float64 [trials, n]; n is 1, or the number of different names."""
    values = [row[name] for row in rows]
    if isinstance(values[0], str):
        return np.array([[value == other for other in sorted(set(values))] for value in values], float)
    return np.array(values, float)[:, None]


def _held_out(columns: Sequence[np.ndarray], f1: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Predict F1 of each trial by forests that were not fitted to it.

    Args:
        columns: of each hyperparameter, float64 [trials, n].

    Returns:
        Mean prediction, float64 [trials], and the mean growth of its absolute error if the values of each
        hyperparameter are permuted, float64 [trials, hyperparameters].
    """
    generator, whole = np.random.default_rng(seed), np.hstack(columns)
    edges = np.cumsum([0, *(column.shape[1] for column in columns)])
    predicted, increases = np.zeros(len(f1)), np.zeros((len(f1), len(columns)))
    for repeat in range(REPEATS):
        for fitted, tested in KFold(FOLDS, shuffle=True, random_state=repeat).split(whole):
            forest = RandomForestRegressor(TREES, random_state=repeat).fit(whole[fitted], f1[fitted])
            prediction = forest.predict(whole[tested])
            predicted[tested] += prediction / REPEATS
            for number, (start, end) in enumerate(itertools.pairwise(edges)):
                permuted = np.tile(whole[tested], (PERMUTATIONS, 1))
                orders = [generator.permutation(len(f1))[: len(tested)] for _ in range(PERMUTATIONS)]
                permuted[:, start:end] = whole[np.concatenate(orders), start:end]
                errors = np.abs(forest.predict(permuted).reshape(PERMUTATIONS, -1) - f1[tested])
                increases[tested, number] += (errors.mean(axis=0) - np.abs(prediction - f1[tested])) / REPEATS
    return predicted, increases


def _importance(name: str, increases: np.ndarray) -> dict[str, Any]:
    """Return the mean of the increases, float64 [trials], with its 95 % interval by Student's t."""
    error = scipy.stats.sem(increases) * scipy.stats.t.isf((1 - statistics.LEVEL) / 2, len(increases) - 1)
    mean = float(increases.mean())
    return {"name": name, "importance": mean, "low": mean - float(error), "high": mean + float(error)}
