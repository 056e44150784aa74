import io
import pathlib
import shutil

import pytest
import report_reader
import rich.console
import small_run

from components.base import artifacts
from components.base.errors import PilahError
from components.data import photos
from pipeline import config as config_module
from pipeline import run_folder, runner
from pipeline.commands import audit
from pipeline.report import finding_sections, findings, page

NO_LISTS = {"pairs_across": 0, "pairs": [], "doubts": [], "odd": []}


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """A run folder after its audit, and what was printed."""
    run_dir = tmp_path_factory.mktemp("audited")
    small_run.make(run_dir)
    text = io.StringIO()
    console = rich.console.Console(file=text, width=140)
    audit.run(run_dir, console)
    return run_dir, text.getvalue()


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


def test_grouped_folds_are_compared_seed_by_seed(audited):
    folds = counts(audited)["folds"]
    assert [draw["seed"] for draw in folds["draws"]] == [42, 43, 44]
    differences = [draw["grouped"] - draw["plain"] for draw in folds["draws"]]
    assert folds["difference"] == pytest.approx(sum(differences) / 3)
    assert all(0.9 < draw[name] <= 1 for draw in folds["draws"] for name in ("plain", "grouped"))


def test_summary_lists_the_audit_results(audited):
    text = audited[1]
    for line in ("Audit of 39 photos", "1 metal -> glass", "blurred", "kept together"):
        assert line in text, line


def test_report_shows_the_audit_results(audited):
    run_dir = audited[0]
    of_these = photos.fingerprint(run_folder.usable_photos(run_dir))
    found = findings.audit(run_dir, of_these, artifacts.read_json(run_dir / "leaderboard.json"))
    source, jinja = report_reader.with_figures(run_dir, {"winner": {"scenario": 1}, "audit": found})
    shown = report_reader.Reader(page.render(finding_sections.audit, source, jinja)["body"])
    near, table = counts(audited)["near_duplicates"], dict(shown.tables["audit-table"])
    assert int(table["of these, across folds"]) == near["pairs_across_folds"]
    pictures = [found["alt"] for tag, found in shown.tags if tag == "img"]
    assert "wrong.jpg: labelled metal, looks like glass" in pictures
    assert "blurred.jpg: paper, blurred" in pictures
    assert any(words.startswith("twin.jpg: glass, fold") for words in pictures)


def test_fewer_groups_than_folds_skips_the_fold_comparison_and_keeps_the_lists(tmp_path, caplog):
    run_dir = tmp_path / "run"
    small_run.make(run_dir, alike=["paper"])
    text = io.StringIO()
    console = rich.console.Console(file=text, width=140)
    audit.run(run_dir, console)
    assert "as folds (3), and these have fewer: paper 2" in caplog.text  # those alike, and the blurred one
    found = artifacts.read_json(run_dir / "audit" / "audit.json")
    assert found["folds"] is None and found["near_duplicates"]["pairs"] >= small_run.PHOTOS_PER_CLASS - 1
    assert "Macro F1" not in text.getvalue() and "near-duplicates" in text.getvalue()
    source, jinja = report_reader.with_figures(run_dir, {"winner": {"scenario": 1}, "audit": {**found, **NO_LISTS}})
    body = page.render(finding_sections.audit, source, jinja)["body"]
    assert "cannot be computed" in body and "folds-table" not in body


def test_run_without_a_leaderboard_raises(tmp_path):
    with pytest.raises(PilahError, match=r"no run\.json"):
        audit.finished(tmp_path)
    artifacts.write_json(tmp_path / "run.json", config_module.to_json(config_module.of_profile("demo", tmp_path)))
    with pytest.raises(PilahError, match="still to do photos, dataset"):
        audit.finished(tmp_path)


def test_run_with_outdated_features_raises_despite_its_leaderboard(audited, tmp_path):
    run_dir = pathlib.Path(shutil.copytree(audited[0], tmp_path / "run"))
    audit.finished(run_dir)
    runner.path(run_dir, "features").unlink()
    with pytest.raises(PilahError, match=r"still to do features, search, choice\."):
        audit.finished(run_dir)
