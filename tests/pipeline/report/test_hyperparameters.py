"""Importance of hyperparameters in made-up trials whose F1 depends on two of them, and its section of the report."""

from typing import Any

import numpy as np
import pytest
import report_reader

from components.base import artifacts
from pipeline.report import hyperparameter_section, hyperparameters, page, plots

pytest_plugins = ["report_fixtures"]
MATTERS = {"backbone", "learning_rate"}


@pytest.fixture(autouse=True)
def small_forests(monkeypatch):
    monkeypatch.setattr(hyperparameters, "TREES", 20)
    monkeypatch.setattr(hyperparameters, "PERMUTATIONS", 2)


def trials(count, effect=1.0, seed=1):
    """Return trials, best first: the best learning rate is 3e-4, and VGG19 costs 0.05."""
    generator = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = [
        {
            "backbone": str(generator.choice(["ResNet50", "VGG19", "DenseNet121"])),
            "optimizer": str(generator.choice(["Adam", "Nadam"])),
            "dropout": float(generator.uniform(0, 0.6)),
            "learning_rate": float(10 ** generator.uniform(-5, -2)),
            "hidden_units": int(generator.choice([64, 128, 256])),
            "epochs": 10,
            "strategy": "features",
        }
        for _ in range(count)
    ]
    for row in rows:
        loss = 0.05 * (row["backbone"] == "VGG19") + 0.03 * (np.log10(row["learning_rate"]) + 3.5) ** 2
        row["f1"] = float(0.85 - effect * loss + generator.normal(0, 0.01))
    return sorted(rows, key=lambda row: -row["f1"])


def test_hyperparameters_that_matter_come_first_in_units_of_f1():
    results = hyperparameters.compute(trials(60), seed=1)
    assert results["names"] == ["backbone", "optimizer", "dropout", "learning_rate", "hidden_units"]
    assert (results["trials"], results["r2"] > 0.5) == (60, True)
    by_name = {row["name"]: row for row in results["importances"]}
    assert {row["name"] for row in results["importances"][:2]} == MATTERS
    assert all(by_name[name]["low"] > 0 and 0.005 < by_name[name]["importance"] < 0.05 for name in MATTERS)
    for name in set(results["names"]) - MATTERS:
        assert abs(by_name[name]["importance"]) < 0.003 and by_name[name]["low"] < 0.001


def test_importance_is_the_same_for_the_same_seed():
    rows = trials(25)
    assert hyperparameters.compute(rows, seed=3) == hyperparameters.compute(rows, seed=3)


def test_no_importance_is_claimed_where_f1_cannot_be_predicted():
    results = hyperparameters.compute(trials(40, effect=0.0), seed=1)
    assert results["r2"] < hyperparameters.MIN_R2 and results["importances"] == []


@pytest.mark.parametrize("rows", [trials(19), [row | {"f1": 0.5} for row in trials(30)]], ids=["few", "equal F1"])
def test_no_importance_is_claimed_of_few_trials_or_equal_scores(rows):
    results = hyperparameters.compute(rows, seed=1)
    assert (results["trials"], results["r2"], results["importances"]) == (len(rows), None, [])


def test_grid_search_has_no_such_figures():
    grid = [row | {"learning_rate": 1e-4, "hidden_units": 256} for row in trials(30)]
    assert hyperparameters.compute(grid, seed=1) is None
    without = [{name: row[name] for name in ("backbone", "optimizer", "dropout", "f1")} for row in grid]
    assert hyperparameters.compute(without, seed=1) is None
    assert hyperparameters.compute([], seed=1) is None


def section_of(run_dir, rows):
    """Return the section of these trials, which are all of the search, in the report of the small run."""
    figures = artifacts.read_json(run_dir / "report" / "figures.json")
    figures["scenarios"] = [row | {"scenario": number % 4 + 1} for number, row in enumerate(rows)]
    figures["hyperparameters"] = hyperparameters.compute(figures["scenarios"], seed=1)
    source, jinja = report_reader.with_figures(run_dir, figures)
    return page.render(hyperparameter_section.hyperparameters, source, jinja)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (trials(19), "No importance is claimed: 19 trials are too few, it takes at least 20."),
        ([row | {"f1": 0.5} for row in trials(30)], "No importance is claimed: all trials have the same F1."),
        (trials(40, effect=0.0), "a random forest fitted to the 40 trials does not predict F1"),
    ],
    ids=["few", "equal F1", "noise"],
)
def test_section_says_why_no_importance_is_claimed(run_dir, rows, sentence):
    reader = report_reader.Reader(section_of(run_dir, rows)["body"])
    assert sentence in reader.text and "importance-table" not in reader.tables


def test_section_has_the_importances_and_one_line_per_trial(run_dir):
    rows = trials(30)
    body = section_of(run_dir, rows)["body"]
    table = report_reader.Reader(body).tables["importance-table"]
    assert {row[0] for row in table[1:3]} == {"Backbone", "Learning rate"} and len(table) == 6
    assert "A random forest predicts F1" in report_reader.Reader(body).text


def test_grid_search_has_no_such_section(run_dir):
    source, jinja = report_reader.of(run_dir)
    assert page.render(hyperparameter_section.hyperparameters, source, jinja) is None


def test_plot_has_a_line_per_trial_and_emphasizes_the_first():
    rows = trials(12)
    svg = plots.parallel_coordinates(rows, {"backbone": "Backbone", "learning_rate": "Learning rate"}, "macro F1")
    lines = [part for part in svg.split("<path")[1:] if "stroke-width: 1.2" in part or "stroke-width: 2.5" in part]
    assert len(lines) == 12 and ["currentColor" in line for line in lines] == [False] * 11 + [True]
    for text in ("Backbone", "Learning rate", "macro F1", *{row["backbone"] for row in rows}):
        assert f">{text}<" in svg
    assert "var(--blue)" not in svg and "nan" not in svg


def test_axis_of_the_learning_rate_is_logarithmic():
    _, axes = plots._figure(4, 3)
    assert plots._axis(axes, 0, [1e-5, 1e-3, 1e-4], log=True).tolist() == pytest.approx([0, 1, 0.5])
    assert plots._axis(axes, 1, [0.5, 0.5], log=False).tolist() == [0, 0]
