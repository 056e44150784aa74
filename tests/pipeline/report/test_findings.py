"""Audit, leakage check and evaluations on the page, compared with their files."""

import finished_run
import pytest
import report_reader

from components.base import artifacts
from pipeline.report import finding_sections, findings, page

pytest_plugins = ["report_fixtures"]
DASH = "\N{EN DASH}"


def findings_of(run_dir):
    """Return the findings as a new figures.json would have them."""
    figures = artifacts.read_json(run_dir / "report" / "figures.json")
    fingerprint = figures["audit"]["photos_and_folds"]
    return findings.compute(run_dir, fingerprint, artifacts.read_json(run_dir / "leaderboard.json"))


def test_counts_and_folds_match_the_audit(run_dir):
    audit, tables = artifacts.read_json(run_dir / "audit" / "audit.json"), report_reader.read(run_dir).tables
    counts = dict(tables["audit-table"])
    near = audit["near_duplicates"]
    assert int(counts["pairs of near-duplicates"]) == near["pairs"] == 3
    assert int(counts["of these, across folds"]) == near["pairs_across_folds"] == 1
    assert int(counts["of these, across classes"]) == near["pairs_across_classes"] == 1
    assert int(counts["identical files with different labels, left out"]) == 6
    assert int(counts["label issues"]) == 2 and int(counts["blurred"]) == 1
    assert tables["folds-table"][1:] == [
        ["52", "0.830", "0.800", "\N{MINUS SIGN}0.0300"],
        ["31", "0.840", "0.820", "\N{MINUS SIGN}0.0200"],
        ["Mean", "0.835", "0.810", "\N{MINUS SIGN}0.0250"],
        ["Standard error of the mean difference", "0.0050"],
    ]
    assert "That is more than the choice of the split explains" in report_reader.read(run_dir).text


def test_photos_to_check_match_the_csv_files(run_dir):
    pictures = [
        attributes["alt"]
        for tag, attributes in report_reader.read(run_dir).tags
        if tag == "img" and ": " in attributes["alt"]
    ]
    assert [alt for alt in pictures if "looks like" in alt] == [
        "7.png: labelled metal, looks like paper & foil",
        "5.png: labelled paper & foil, looks like glass",
    ]
    assert [alt for alt in pictures if ", fold " in alt] == [  # across classes first, 0 and 6 not at all
        "1.png: metal, fold 1",
        "2.png: paper & foil, fold 1",
        "0.png: glass, fold 1",
        "3.png: glass, fold 2",
    ]
    assert "8.png: paper & foil, blurred" in pictures


def test_leaking_table_is_marked_and_shown_beside_the_leaderboard(run_dir):
    reader = report_reader.read(run_dir)
    leaderboard = artifacts.read_json(run_dir / "leaderboard.json")["scenarios"]
    rows = report_reader.rows_of(reader.tables["leakage-table"])
    assert [float(row["F1 with a new model for each fold"]) for row in rows] == pytest.approx(
        [row["f1"] for row in leaderboard], abs=1e-3
    )
    for row, honest in zip(rows, leaderboard, strict=True):
        cell = row["LEAKING: F1 of the carried model"]
        assert cell.startswith("LEAKING")
        assert float(cell.removeprefix("LEAKING")) == pytest.approx(honest["f1"] + 0.05, abs=1e-3)
        low, high = (float(figure) for figure in row["LEAKING: F1 of the carried model by fold"].split("/"))
        assert (low, high) == pytest.approx((honest["f1"], honest["f1"] + 0.1), abs=1e-3)
    assert reader.tables["compared-table"][1:] == [["carried model minus new models", "0.050", "0.050", "1.000"]]
    assert "adds 0.050 to F1 on average" in reader.text and "thesis" not in reader.text
    assert [
        attributes["id"] for tag, attributes in reader.tags if tag == "section" and attributes["id"] == "leakage_check"
    ]


def test_leaking_table_of_a_refined_run_has_only_frozen_scenarios(copy):
    leaderboard = artifacts.read_json(copy / "leaderboard.json")
    frozen = [row["scenario"] for row in leaderboard["scenarios"]]
    refined = {**leaderboard["scenarios"][0], "scenario": len(frozen) + 1, "strategy": "finetune"}
    artifacts.write_json(copy / "leaderboard.json", {**leaderboard, "scenarios": [*leaderboard["scenarios"], refined]})
    artifacts.write_json(copy / "trials" / f"{len(frozen) + 1:02d}" / "settings.json", {"strategy": "finetune"})
    assert [row["scenario"] for row in findings_of(copy)["leakage_check"]["scenarios"]] == frozen


@pytest.mark.parametrize(
    ("carried_difference", "text"), [(0.01, "as the thesis's notebooks do"), (0.09, "does not explain")]
)
def test_leak_explains_the_thesis_only_if_it_brings_f1_closer(run_dir, carried_difference, text):
    figures = artifacts.read_json(run_dir / "report" / "figures.json")
    for row in figures["leakage_check"]["scenarios"]:
        row |= {"thesis_f1": 0.9511, "thesis_fold_f1": [0.86, 0.99]}
    near = {"mean_difference": 0.0, "rank_correlation": None}
    figures["leakage_check"]["compared"] |= {
        "honest_and_thesis": {**near, "mean_absolute_difference": 0.08},
        "carried_and_thesis": {**near, "mean_absolute_difference": carried_difference},
    }
    figures["leakage_check"]["mean_of_folds"]["thesis"] = [0.76, 0.98]
    source, jinja = report_reader.with_figures(run_dir, figures)
    reader = report_reader.Reader(page.render(finding_sections.leakage_check, source, jinja)["body"])
    assert {row["The thesis's F1"] for row in report_reader.rows_of(reader.tables["leakage-table"])} == {"0.951"}
    assert f"from 0.080 to {carried_difference:.3f}" in reader.text and text in reader.text
    assert {row["The thesis's F1 by fold"] for row in report_reader.rows_of(reader.tables["leakage-table"])} == {
        "0.86 /0.99"
    }
    assert ("the thesis reports a mean F1 of 0.760" in reader.text) == (carried_difference < 0.08)


def test_evaluation_is_shown_class_by_class(run_dir):
    reader = report_reader.read(run_dir)
    rows = {row["Class"]: row for row in report_reader.rows_of(reader.tables["evaluation-1"])}
    assert set(rows) == {"glass", "metal"}
    assert (rows["glass"]["Photos"], rows["glass"]["Recall"]) == ("3", "0.667")
    source, jinja = report_reader.of(run_dir)
    (_, *matrix) = report_reader.Reader(page.render(finding_sections.evaluations, source, jinja)["body"]).tables[None]
    assert [row[1:] for row in matrix] == [["2", "0", "1"], ["1", "1", "0"], ["0", "0", "0"]]
    assert "on 5 photos from elsewhere" in reader.text and "left-out.csv: 3" in reader.text
    assert "not in the means: paper & foil" in reader.text and "/somewhere" not in reader.text


def test_evaluation_is_compared_with_cross_validation(run_dir):
    tables = report_reader.read(run_dir).tables
    results = artifacts.read_json(run_dir / "evaluations" / "kitchen.json")
    rows = {row[0]: row[1:] for row in tables["compared-1"]}
    low, high = results["accuracy_interval"]
    assert rows["Accuracy"][:2] == ["60.0 %", f"{100 * low:.1f} % {DASH}{100 * high:.1f} %"]
    assert rows["Macro F1"][1] == DASH  # paper & foil has no photos
    assert (rows["Coverage of the sets"][0], rows["Coverage of the sets"][2]) == ("80.0 %", "100.0 %")
    assert (rows["Untypical photos"][0], rows["Untypical photos"][2]) == ("20.0 %", "0.0 %")
    assert rows["Classes in a set, mean"] == ["1.40", DASH, "1.00", DASH]
    header, glass, metal = tables["compared-classes-1"]
    assert header[7:] == ["Untypical photos", "95 % confidence interval", "Untypical photos, cross-validation"]
    assert [
        glass[column] for column in (0, 1, 3, 4, 6, 7, 9)
    ] == "glass|66.7 %|100.0 %|66.7 %|100.0 %|33.3 %|0.0 %".split("|")
    assert metal[0] == "metal"


@pytest.mark.parametrize(
    ("high", "sentence"), [(0.94, "promise too much"), (0.96, "is not measurably below the stated 95.0 %")]
)
def test_coverage_elsewhere_is_compared_with_the_stated_one(high, sentence, run_dir):
    figures = artifacts.read_json(run_dir / "report" / "figures.json")
    figures["evaluations"][0]["compared"]["coverage"]["high"] = high
    source, jinja = report_reader.with_figures(run_dir, figures)
    assert sentence in report_reader.Reader(page.render(finding_sections.evaluations, source, jinja)["body"]).text


def test_evaluation_of_an_earlier_version_is_still_shown(copy):
    path = copy / "evaluations" / "kitchen.json"
    artifacts.write_json(path, finished_run.as_earlier(artifacts.read_json(path)))
    page.write(copy, "en", [])
    reader = report_reader.read(copy)
    f1 = artifacts.read_json(copy / "leaderboard.json")["winner"]["f1"]
    assert [row[0] for row in reader.tables["compared-1"][1:]] == ["Macro F1", "Accuracy"]
    assert reader.tables["compared-1"][1][2:] == [DASH, f"{f1:.3f}", DASH]
    assert "compared-classes-1" not in reader.tables and "ECE by chance" not in reader.text
    assert "evaluation-1" in reader.tables


def test_findings_of_other_photos_or_settings_are_left_out(copy):
    for path, changes in (
        (copy / "audit" / "audit.json", {"photos_and_folds": "0"}),
        (copy / "trials" / "02" / "settings.json", {"epochs": 99}),
        (copy / "evaluations" / "kitchen.json", {"version": 2}),
    ):
        artifacts.write_json(path, {**artifacts.read_json(path), **changes})
    assert findings_of(copy) == {"audit": None, "leakage_check": None, "evaluations": [], "evaluations_of_others": 1}


@pytest.mark.parametrize(
    ("path", "changes"),
    [("trials/01/settings.json", {"epochs": 99}), ("leaderboard.json", {"winner": {"scenario": 2}})],
    ids=["settings", "winner"],
)
def test_audit_of_another_winner_or_other_settings_is_left_out(path, changes, copy):
    artifacts.write_json(copy / path, {**artifacts.read_json(copy / path), **changes})
    assert findings_of(copy)["audit"] is None


def test_audit_of_an_earlier_version_is_left_out(copy):
    path = copy / "audit" / "audit.json"
    audit = artifacts.read_json(path)
    del audit["settings"]["fold_draws"]
    audit["folds"] = {"scenario": 1, "draws": [], "plain_mean": 0.8, "plain_spread": 0.01, "difference": 0.0}
    artifacts.write_json(path, audit)
    assert findings_of(copy)["audit"] is None


@pytest.mark.parametrize(
    ("missing", "command"),
    [("audit", "audit"), ("leakage_check", "leakage-check"), ("evaluations", "evaluate --images OTHER")],
)
def test_check_that_was_not_made_is_listed_once_with_its_command(missing, command, run_dir):
    figures = artifacts.read_json(run_dir / "report" / "figures.json")
    source, jinja = report_reader.with_figures(run_dir, {**figures, missing: None})
    body = page.render(finding_sections.further_checks, source, jinja)["body"]
    assert body.count("<code>") == 1
    assert f"<code>python -m pipeline {command} --run-dir RUN</code>" in body
    assert page.render(getattr(finding_sections, missing), source, jinja) is None


def test_evaluations_of_another_model_are_counted(run_dir):
    figures = artifacts.read_json(run_dir / "report" / "figures.json")
    source, jinja = report_reader.with_figures(run_dir, {**figures, "evaluations": [], "evaluations_of_others": 2})
    assert "are not shown: <data" in page.render(finding_sections.evaluations, source, jinja)["body"]


def test_further_checks_are_left_out_once_all_have_run(run_dir):
    source, jinja = report_reader.of(run_dir)
    assert page.render(finding_sections.further_checks, source, jinja) is None
