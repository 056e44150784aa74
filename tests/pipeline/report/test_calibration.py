"""The section about certainty, and the heat maps, compared with the files of the stage calibration."""

import finished_run
import numpy as np
import pytest
import report_reader

from components.base import artifacts
from components.base.errors import PilahError
from pipeline.report import calibration, page, sections

pytest_plugins = ["report_fixtures"]
CALIBRATION = "calibration/calibration.json"


def percent(share):
    return f"{100 * share:.1f} %"


def certainty(run_dir, results):
    """Return the section of the page if calibration.json had the contents `results`."""
    figures = artifacts.read_json(run_dir / "report" / "figures.json")
    source, jinja = report_reader.with_figures(run_dir, {**figures, "calibration": results})
    return report_reader.Reader(page.render(sections.certainty, source, jinja)["body"])


def test_measured_coverage_stands_beside_the_stated_one(run_dir):
    results = artifacts.read_json(run_dir / CALIBRATION)
    rows = report_reader.rows_of(report_reader.read(run_dir).tables["coverage-table"])
    assert [row["Stated coverage"] for row in rows] == ["90 %", "95 %", "99 %"]
    for row, figures in zip(rows, results["sets"].values(), strict=True):
        assert row["Measured coverage"] == percent(figures["coverage"])
        assert row["95 % confidence interval"] == f"{percent(figures['low'])} \N{EN DASH}{percent(figures['high'])}"
        assert row["Classes in a set, mean"] == f"{figures['mean_size']:.2f}"
        counts = {"1": row["sets with 1 class"]} | {size: row[f"with {size}"] for size in ("2", "3")}
        assert {size: int(count) for size, count in counts.items() if count != "0"} == figures["sizes"]


def test_coverage_of_each_class_is_that_of_the_served_model(run_dir):
    results = artifacts.read_json(run_dir / CALIBRATION)
    rows = report_reader.rows_of(report_reader.read(run_dir).tables["class-coverage-table"])
    assert [row["Class"] for row in rows] == finished_run.CLASSES
    expected = [percent(row["coverage"]) for row in results["sets"]["0.95"]["per_class"]]
    assert [row["Measured coverage"] for row in rows] == expected


@pytest.mark.parametrize(
    ("high", "sentence"),
    [(0.93, "Measurably below the stated coverage: metal."), (0.96, "No class is measurably below the stated")],
)
def test_classes_below_the_stated_coverage_are_named(high, sentence, run_dir):
    results = artifacts.read_json(run_dir / CALIBRATION)
    for row in results["sets"]["0.95"]["per_class"]:
        row["high"] = high if row["class"] == "metal" else 0.99
    assert sentence in certainty(run_dir, results).text


@pytest.mark.parametrize(
    ("temperature", "sentence"),
    [(1.0, "did not lower the log loss of held-out folds: it is 0.410"), (1.3, "temperature 1.300")],
)
def test_temperature_is_explained(temperature, sentence, run_dir):
    results = artifacts.read_json(run_dir / CALIBRATION) | {"temperature": temperature, "log_loss": 0.41}
    assert sentence in certainty(run_dir, results).text


def test_states_of_the_web_page_match_calibration_json(run_dir):
    rows = report_reader.rows_of(report_reader.read(run_dir).tables["certainty-table"])
    levels = artifacts.read_json(run_dir / CALIBRATION)["certainty"]
    assert [(int(row["Answers"]), int(row["Correct answers"])) for row in rows] == [
        (level["answers"], level["right"]) for level in levels
    ]
    assert [row["Certainty"] for row in rows] == ["sure", "not sure", "untypical"]


def test_least_typical_photos_come_first(run_dir):
    rows = artifacts.read_csv(run_dir / "calibration" / "photos.csv")
    shown = calibration.least_typical(run_dir)
    lowest = sorted(float(row["typicality"]) for row in rows)[: len(shown)]
    assert [photo["typicality"] for photo in shown] == lowest and len(shown) == calibration.UNTYPICAL_SHOWN
    by_id = {row["id"]: row for row in rows}
    assert all(float(by_id[photo["id"]]["typicality"]) == photo["typicality"] for photo in shown)
    assert certainty(run_dir, artifacts.read_json(run_dir / CALIBRATION)).text.count("Less typical:") == len(shown)


def test_page_of_other_predictions_or_without_calibration_has_no_such_section(copy):
    results = artifacts.read_json(copy / CALIBRATION)
    artifacts.write_json(copy / CALIBRATION, {**results, "predictions": "0"})
    page.write(copy, "en", [])
    reader = report_reader.read(copy)
    assert "coverage-table" not in reader.tables and "Heat map" not in reader.text
    (copy / CALIBRATION).unlink()
    page.write(copy, "en", [])
    assert "coverage-table" not in report_reader.read(copy).tables


def test_calibration_without_figures_of_its_coverage_is_an_error(copy):
    artifacts.write_json(copy / CALIBRATION, artifacts.read_json(copy / CALIBRATION) | {"coverage": 0.8})
    with pytest.raises(PilahError, match=r"calibration\.json is damaged: its sets have no coverage 0\.8"):
        page.write(copy, "en", [])


def test_each_wrong_answer_has_its_own_heat_map(copy):
    rows = artifacts.read_csv(copy / "calibration" / "photos.csv")
    wrong = [row["id"] for row in rows if row["predicted"] != row["label"]]
    maps = np.load(copy / "calibration" / "heatmaps.npy")
    read_back = calibration.heatmaps(copy)
    assert list(read_back) == wrong and np.array_equal(read_back[wrong[1]], maps[1])
    source, jinja = report_reader.of(copy)
    tags = report_reader.Reader(page.render(sections.mistakes, source, jinja)["body"]).tags
    shown = [attributes["alt"] for tag, attributes in tags if attributes.get("class") == "heatmap"]
    assert len(shown) == sum(len(pair["worst"]) for pair in source.figures["winner"]["mistakes"])
    assert all(alt.startswith("Heat map of ") for alt in shown)


def test_heat_maps_of_other_photos_are_an_error(copy):
    np.save(copy / "calibration" / "heatmaps.npy", np.zeros((1, 3, 3), np.float32))
    with pytest.raises(PilahError, match=r"heatmaps\.npy must have \d+ heat maps, one for each wrong answer"):
        page.write(copy, "en", [])
