import dataclasses
import html
import io
import pathlib
import shutil

import numpy as np
import pytest
import report_reader
import rich.console
import small_run

from components.base import artifacts
from components.base.errors import PilahError
from components.data import grouped_folds, near_duplicates, photos
from pipeline import config as config_module
from pipeline import recipe, run_folder, runner
from pipeline.commands import audit
from pipeline.report import finding_sections, findings, page
from pipeline.stages import report
from tuner import resplit

NO_LISTS = {"pairs_across": 0, "pairs": [], "doubts": [], "odd": []}


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """The folder of a finished run after its audit, and what was printed."""
    run_dir = tmp_path_factory.mktemp("audited")
    small_run.make(run_dir)
    card = small_run.finish(run_dir) / "MODEL_CARD.md"
    assert "pipeline audit" in report_reader.read(run_dir).text and "have not been audited" in card.read_text()
    return run_dir, run_audit(run_dir)


@pytest.fixture
def copy(audited, tmp_path):
    """A copy of the run folder that a test may change."""
    return pathlib.Path(shutil.copytree(audited[0], tmp_path / "run"))


def run_audit(run_dir):
    """Audit the run and return what was printed, its lines joined."""
    text = io.StringIO()
    audit.run(run_dir, rich.console.Console(file=text, width=140))
    return " ".join(text.getvalue().split())


def read_card(run_dir):
    return (run_dir / "served" / "pilah" / "1" / "MODEL_CARD.md").read_text()


def rows(audited, name):
    return artifacts.read_csv(audited[0] / "audit" / f"{name}.csv")


def counts(audited):
    return artifacts.read_json(audited[0] / "audit" / "audit.json")


def test_photo_saved_twice_is_a_near_duplicate_across_folds(audited):
    (pair,) = [row for row in rows(audited, "near_duplicates") if int(row["hamming_bits"]) <= 4]
    assert {name.rsplit("photos/")[1] for name in (pair["first_path"], pair["second_path"])} == {
        "glass/0.png",
        small_run.TWIN,
    }
    assert pair["first_fold"] != pair["second_fold"]
    fold_of = {row["id"]: row["fold"] for row in artifacts.read_csv(audited[0] / "photos.csv")}
    assert (pair["first_fold"], pair["second_fold"]) == (fold_of[pair["first_id"]], fold_of[pair["second_id"]])
    assert pair["found_by"] in ("hash", "both")


def test_counts_equal_the_rows(audited):
    near, table = counts(audited)["near_duplicates"], rows(audited, "near_duplicates")
    across = [row for row in table if row["first_fold"] != row["second_fold"]]
    assert near["pairs"] == len(table) > 0
    assert near["pairs_across_folds"] == len(across)
    assert near["groups_across_folds"] == len({row["group"] for row in across})
    assert near["pairs_across_classes"] == sum(row["first_label"] != row["second_label"] for row in table)
    assert near["photos_in_groups"] == len({row[end] for row in table for end in ("first_id", "second_id")})
    assert near["groups"] == max(int(row["group"]) for row in table)


def test_photo_in_the_wrong_folder_is_the_only_label_issue(audited):
    (doubt,) = rows(audited, "label_doubts")
    assert doubt["path"].endswith(small_run.WRONG)
    listed = artifacts.read_csv(audited[0] / "photos.csv")
    assert (doubt["id"], doubt["fold"]) in [(row["id"], row["fold"]) for row in listed]
    assert (doubt["label"], doubt["suggested"]) == ("metal", "glass")
    assert float(doubt["p_label"]) < 0.1 < 0.9 < float(doubt["p_suggested"])


def test_only_the_blurred_photo_has_a_quality_issue(audited):
    odd = {row["path"].rsplit("photos/")[1]: row["kind"] for row in rows(audited, "odd_photos")}
    assert odd == {small_run.BLURRED: "blurred"}
    assert counts(audited)["odd_photos"]["blurred"] == 1


def test_effect_of_near_duplicates_is_the_mean_of_paired_draws_with_its_standard_error(audited):
    folds = counts(audited)["folds"]
    differences = [draw["grouped"] - draw["plain"] for draw in folds["draws"]]
    assert len({draw["seed"] for draw in folds["draws"]}) == 10
    assert folds["difference"] == pytest.approx(np.mean(differences))
    assert folds["standard_error"] == pytest.approx(np.std(differences, ddof=1) / 10**0.5)
    assert 0 < folds["p"] <= 1
    assert all(0.9 < draw[name] <= 1 for draw in folds["draws"] for name in ("plain", "grouped"))


@pytest.mark.parametrize(("shift", "verdict", "p"), [(0.007, "no more than", "0.065"), (0.05, "more than", "< 0.001")])
def test_difference_is_compared_with_the_choice_of_the_split(copy, monkeypatch, shift, verdict, p):
    """A t test of 10 draws needs 2.26 standard errors: 2.1 are not enough."""
    noise = np.tile([-0.01, 0.01], 5)
    draws = [{"seed": 1, "plain": 0.8, "grouped": 0.8 + d, "difference": d} for d in (noise + shift).tolist()]
    monkeypatch.setattr(resplit, "plain_and_grouped", lambda *args, **settings: draws)
    printed, shown, card = run_audit(copy), report_reader.read(copy).text, read_card(copy)
    assert f"Difference {shift:+.4f}, standard error 0.0033" in printed
    expected = f"That is {verdict} the choice of the split explains (paired t test, p: {p})"
    for text in (shown, html.unescape(card)):
        assert expected.replace(" ", "") in text.replace(" ", "")  # the page has tags around numbers
    assert f": {verdict} the choice of the split explains (paired t test" in printed


def test_draws_have_neither_the_seed_of_the_run_nor_those_of_the_next_run(audited, monkeypatch):
    config, seed_sets = audit.finished(audited[0]), []

    def note(*args, seeds, draws, **settings):
        seed_sets.append(set(seeds))
        assert draws == 10
        raise grouped_folds.UngroupableError("noted")

    monkeypatch.setattr(resplit, "plain_and_grouped", note)
    for seed in (42, 43, 42):
        changed = dataclasses.replace(config, seed=seed)
        assert audit.compare_folds(changed, recipe.study(config), np.arange(39), lambda *args, **settings: None) is None
    first, second, again = seed_sets
    assert first == again and len(first) == 50 and not first & second and not (first | second) & {42, 43}


def test_audit_without_near_duplicates_trains_nothing(copy, monkeypatch):
    no_duplicates = near_duplicates.NearDuplicates(
        np.zeros((0, 2), np.int64), np.zeros(0, np.int64), np.zeros(0), 0.9, np.arange(39)
    )
    monkeypatch.setattr(audit, "find_near_duplicates", lambda config, study, progress: no_duplicates)
    monkeypatch.setattr(resplit, "plain_and_grouped", lambda *args, **settings: pytest.fail("heads are trained"))
    printed = run_audit(copy)
    assert artifacts.read_json(copy / "audit" / "audit.json")["folds"] is None
    assert "There are no near-duplicates" in printed
    assert "The audit found no near-duplicates" in report_reader.read(copy).text
    assert "The audit found no near-duplicates" in read_card(copy)


def test_summary_lists_the_audit_results(audited):
    text = audited[1]
    for line in ("Audit of 39 photos", "1 metal -> glass", "blurred", "kept together", "standard error"):
        assert line in text, line


def test_page_and_card_name_the_counts_without_another_command(audited):
    run_dir, printed = audited
    page, card, near = report_reader.read(run_dir), read_card(run_dir), counts(audited)["near_duplicates"]
    assert int(dict(page.tables["audit-table"])["pairs of near-duplicates"]) == near["pairs"]
    assert artifacts.read_json(run_dir / "report" / "figures.json")["audit"]["near_duplicates"] == near
    assert f"found by the audit: {near['pairs']}; of these, across folds: {near['pairs_across_folds']}." in card
    assert "pipeline audit" not in page.text and "Stages still to do" not in page.text
    assert "have not been audited" not in card
    assert f"report: {run_dir / 'report' / 'index.html'}" in printed


def test_next_run_after_the_audit_has_nothing_to_do(audited):
    config, text = config_module.read(audited[0]), io.StringIO()
    assert runner.left(config) == []
    runner.run(report.STAGE, config, rich.console.Console(file=text))
    assert text.getvalue() == "report: unchanged, skipped\n"


def test_report_shows_the_audit_results(audited):
    run_dir = audited[0]
    of_these = photos.fingerprint(run_folder.usable_photos(run_dir))
    results = findings.audit(run_dir, of_these, artifacts.read_json(run_dir / "leaderboard.json"))
    source, jinja = report_reader.with_figures(run_dir, {"winner": {"scenario": 1}, "audit": results})
    shown = report_reader.Reader(page.render(finding_sections.audit, source, jinja)["body"])
    near, table = counts(audited)["near_duplicates"], dict(shown.tables["audit-table"])
    assert int(table["of these, across folds"]) == near["pairs_across_folds"]
    pictures = [attributes["alt"] for tag, attributes in shown.tags if tag == "img"]
    assert "wrong.jpg: labelled metal, looks like glass" in pictures
    assert "blurred.jpg: paper, blurred" in pictures
    assert any(words.startswith("twin.jpg: glass, fold") for words in pictures)


def test_fewer_groups_than_folds_skips_the_fold_comparison_and_keeps_the_lists(tmp_path, caplog):
    run_dir = tmp_path / "run"
    small_run.make(run_dir, alike=["paper"])
    printed = run_audit(run_dir)
    assert (
        "no test photos of paper in fold" in caplog.text
    )  # two groups: the photos that differ in one pixel, and the blurred one
    summary = artifacts.read_json(run_dir / "audit" / "audit.json")
    assert summary["folds"] is None and summary["near_duplicates"]["pairs"] >= small_run.PHOTOS_PER_CLASS - 1
    assert "macro F1" not in printed and "near-duplicates" in printed
    assert not (run_dir / "report").exists() and "report:" not in printed, "the run is not finished"
    source, jinja = report_reader.with_figures(run_dir, {"winner": {"scenario": 1}, "audit": {**summary, **NO_LISTS}})
    body = page.render(finding_sections.audit, source, jinja)["body"]
    assert "cannot be computed" in body and "folds-table" not in body


def test_run_without_a_leaderboard_raises(tmp_path):
    with pytest.raises(PilahError, match=r"no run\.json"):
        audit.finished(tmp_path)
    artifacts.write_json(tmp_path / "run.json", config_module.to_json(config_module.of_profile("demo", tmp_path)))
    with pytest.raises(PilahError, match="lacks the stages photos, dataset"):
        audit.finished(tmp_path)


def test_run_with_outdated_features_raises_despite_its_leaderboard(copy):
    audit.finished(copy)
    runner.path(copy, "features").unlink()
    with pytest.raises(PilahError, match=r"lacks the stages features, search, choice\."):
        audit.finished(copy)
