import errno
import json
import os
import pathlib
import re
import shutil

import pytest

from components.base import artifacts
from components.base.errors import PilahError
from components.publish import push


@pytest.fixture
def saved_model(tmp_path):
    folder = tmp_path / "export"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"weights")
    return folder


def files_of(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def without_files(description):
    return {name: value for name, value in description.items() if name != "files"}


def test_first_push_is_version_1_with_the_model_and_its_description(saved_model, tmp_path):
    version = push.push(saved_model, tmp_path / "served", {"figures": {"f1": 0.9}}, keep_versions=3)
    assert version == tmp_path / "served" / "1"
    assert (version / "saved_model.pb").read_bytes() == b"graph"
    assert (version / "variables" / "variables.index").read_bytes() == b"weights"
    digests = {str(path.relative_to(saved_model)): artifacts.file_digest(path) for path in files_of(saved_model)}
    assert artifacts.read_json(version / "model.json") == {"version": 1, "figures": {"f1": 0.9}, "files": digests}


def test_versions_count_up_and_only_the_newest_are_kept(saved_model, tmp_path):
    base = tmp_path / "served"
    for _ in range(4):
        push.push(saved_model, base, {}, keep_versions=2)
    assert push.versions(base) == [3, 4]
    assert sorted(path.name for path in base.iterdir()) == ["3", "4"]
    assert push.served(base)["version"] == 4


def test_versions_are_sorted_as_numbers(saved_model, tmp_path):
    base = tmp_path / "served"
    (base / "9").mkdir(parents=True)
    (base / "10").mkdir()
    assert push.push(saved_model, base, {}, keep_versions=9).name == "11"


def test_incomplete_copy_is_not_a_version_and_is_removed(saved_model, tmp_path):
    base = tmp_path / "served"
    (base / "incoming").mkdir(parents=True)
    (base / "incoming" / "half").write_bytes(b"")
    assert push.versions(base) == [] and push.served(base) is None
    version = push.push(saved_model, base, {}, keep_versions=3)
    assert version.name == "1" and not (version / "half").exists()


def copy_partially(source, target):
    pathlib.Path(target).mkdir()
    shutil.copy(source / "saved_model.pb", target)
    raise OSError("disk is full")


def fail_to_write(path, value):
    raise OSError("disk is full")


@pytest.mark.parametrize(
    ("module", "function", "failing"),
    [(shutil, "copytree", copy_partially), (artifacts, "write_json", fail_to_write)],
    ids=["model", "description"],
)
def test_failed_push_keeps_the_served_versions(saved_model, tmp_path, monkeypatch, module, function, failing):
    base = tmp_path / "served"
    push.push(saved_model, base, {"figures": 1}, keep_versions=1)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk is full"):
        patch.setattr(module, function, failing)
        push.push(saved_model, base, {"figures": 2}, keep_versions=1)
    assert push.versions(base) == [1]
    assert json.loads((base / "1" / "model.json").read_text())["figures"] == 1
    assert push.push(saved_model, base, {}, keep_versions=1).name == "2"


def test_version_of_a_killed_push_is_found_again(saved_model, tmp_path):
    base, answers = tmp_path / "served", tmp_path / "answers.json"
    answers.write_text("answers")
    arguments = (saved_model, base, {"figures": {"f1": 0.9}}, [answers])
    assert push.same_version(*arguments) is None
    version = push.push(saved_model, base, {"figures": {"f1": 0.9}}, keep_versions=3, extra_files=[answers])
    (version / "model_card.html").write_text("written later by the report")
    assert push.same_version(*arguments) == version


@pytest.mark.parametrize("changed", ["model", "description", "answers", "lost file"])
def test_version_of_another_push_is_not_taken_for_the_same(saved_model, tmp_path, changed):
    base, answers, description = tmp_path / "served", tmp_path / "answers.json", {"figures": {"f1": 0.9}}
    answers.write_text("answers")
    version = push.push(saved_model, base, description, keep_versions=3, extra_files=[answers])
    if changed == "model":
        (saved_model / "variables" / "variables.index").write_bytes(b"other weights")
    elif changed == "description":
        description = {"figures": {"f1": 0.8}}
    elif changed == "answers":
        answers.write_text("other answers")
    else:
        (version / "saved_model.pb").unlink()
    assert push.same_version(saved_model, base, description, [answers]) is None


def test_rest_of_a_version_that_was_being_removed_is_removed_by_the_next_push(saved_model, tmp_path):
    rest = tmp_path / "served" / "retired-1" / "variables"
    rest.mkdir(parents=True)
    push.push(saved_model, tmp_path / "served", {}, keep_versions=3)
    assert [path.name for path in (tmp_path / "served").iterdir()] == ["1"]


def test_disk_that_is_full_during_the_copy_is_named_with_one_file(saved_model, tmp_path, monkeypatch):
    def fail(source, target, **options):
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))

    monkeypatch.setattr(shutil, "copyfile", fail)
    file = tmp_path / "served" / "incoming" / "saved_model.pb"
    with pytest.raises(OSError, match=f"^{file}: .*No space left on device$"):
        push.push(saved_model, tmp_path / "served", {}, keep_versions=3)


def push_models(saved_model, base, *f1_scores):
    answers = saved_model.parent / "answers.json"
    answers.write_text("{}")
    for f1 in f1_scores:
        push.push(saved_model, base, {"figures": {"f1": f1}}, keep_versions=9, extra_files=[answers])


def test_rollback_copies_the_previous_version_and_deletes_nothing(saved_model, tmp_path):
    base = tmp_path / "served"
    push_models(saved_model, base, 0.8, 0.9)
    version = push.rollback(base)
    assert version == base / "3" and push.versions(base) == [1, 2, 3]
    assert (version / "saved_model.pb").read_bytes() == b"graph"
    assert without_files(push.served(base)) == {"copy_of": 1, "figures": {"f1": 0.8}, "version": 3}


def test_rollback_of_a_rollback_goes_one_version_further_back(saved_model, tmp_path):
    base = tmp_path / "served"
    push_models(saved_model, base, 0.7, 0.8, 0.9)
    push.rollback(base)
    push.rollback(base)
    assert without_files(push.served(base)) == {"copy_of": 1, "figures": {"f1": 0.7}, "version": 5}


def test_push_after_a_rollback_has_a_new_number(saved_model, tmp_path):
    base = tmp_path / "served"
    push_models(saved_model, base, 0.8, 0.9)
    push.rollback(base)
    assert push.push(saved_model, base, {}, keep_versions=9).name == "4"


@pytest.mark.parametrize("count", [0, 1])
def test_rollback_without_an_earlier_version_raises_with_the_versions(saved_model, tmp_path, count):
    base = tmp_path / "served"
    push_models(saved_model, base, *[0.8] * count)
    versions = re.escape(str(list(range(1, count + 1))))
    with pytest.raises(PilahError, match=f"no earlier version to roll back to: .* has versions {versions}"):
        push.rollback(base)
    assert push.versions(base) == list(range(1, count + 1))


def test_version_without_model_json_raises_with_its_path(saved_model, tmp_path):
    version = push.push(saved_model, tmp_path / "served", {}, keep_versions=3)
    (version / "model.json").unlink()
    with pytest.raises(PilahError, match=r"1/model\.json is missing\. Restore it, or delete the folder"):
        push.served(tmp_path / "served")


def test_pipe_in_the_place_of_model_json_is_named_and_not_read(saved_model, tmp_path):
    version = push.push(saved_model, tmp_path / "served", {}, keep_versions=3)
    (version / "model.json").unlink()
    os.mkfifo(version / "model.json")
    with pytest.raises(PilahError, match=r"1/model\.json is not a file\. Restore it"):
        push.served(tmp_path / "served")


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index", "answers.json"])
@pytest.mark.parametrize("change", ["other bytes", "removed", "folder"])
def test_changed_file_of_a_version_is_named_and_not_copied_by_a_rollback(saved_model, tmp_path, name, change):
    base = tmp_path / "served"
    push_models(saved_model, base, 0.8, 0.9)
    push.check_files(base / "1", push.read(base / "1"))
    path = base / "1" / name
    path.unlink()
    if change == "other bytes":
        path.write_bytes(b"grapf")
    elif change == "folder":
        path.mkdir()
    with pytest.raises(
        PilahError, match=rf"1/{re.escape(name)} (has changed since it was pushed|is missing)\. Restore"
    ):
        push.rollback(base)
    assert push.versions(base) == [1, 2]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": "1"}', '{"version": 1, "files": [1]}', "[" * 100_000])
def test_damaged_model_json_is_named(saved_model, tmp_path, text):
    version = push.push(saved_model, tmp_path / "served", {}, keep_versions=3)
    (version / "model.json").write_text(text)
    with pytest.raises(PilahError, match=r"1/model\.json is damaged .*\. Restore it, or delete the folder"):
        push.served(tmp_path / "served")
