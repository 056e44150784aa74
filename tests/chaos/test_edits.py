"""A short form of the failure trial of damaged run files: `status` and `report` on a run of invented results."""

import random
import shutil
import signal
import time

import finished_run
import pytest
import typer.testing

from chaos.edits import file_edits, run_to_damage
from chaos.edits import trial as edits
from components.base import artifacts
from components.publish import push
from pipeline.cli import app
from pipeline.commands import status

EDITS = 20


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = finished_run.write(tmp_path_factory.mktemp("finished") / "run")
    finished_run.serve(folder)
    finished_run.check(folder)
    return folder


def test_damaged_file_of_a_run_is_named_in_one_line_or_of_no_consequence(run_dir, tmp_path):
    base, failures = run_to_damage.Base(run_dir, tmp_path, {}), []
    for number in range(EDITS):
        copy = tmp_path / "run"
        trial = edits.damage(base, number, 3, copy)
        command = "report" if number % 10 == 5 else "status"
        result = typer.testing.CliRunner().invoke(app, [command, "--run-dir", str(copy)])
        wrong = edits._unclear(trial, result.output) if result.exit_code else None
        unexpected = result.exception if not isinstance(result.exception, SystemExit) else None
        failures += [(trial, command, reason) for reason in (wrong, unexpected) if reason]
    assert failures == []


@pytest.mark.parametrize(
    "edit", dict.fromkeys([*file_edits.JSON, *file_edits.BYTES, *file_edits.KINDS, *file_edits.TEXT])
)
def test_every_edit_changes_the_file(run_dir, tmp_path, edit):
    path = tmp_path / "leaderboard.json"
    shutil.copy(run_dir / path.name, path)
    before = path.read_bytes()
    edit(random.Random(1), path)
    assert path.is_symlink() or not path.is_file() or path.read_bytes() != before


def test_cell_of_a_csv_file_is_changed(run_dir, tmp_path):
    path = tmp_path / "photos.csv"
    for number in range(20):
        shutil.copy(run_dir / path.name, path)
        before = path.read_text()
        file_edits.other_cell(random.Random(number), path)
        assert path.read_text() != before


def test_errors_that_name_no_file_or_are_unexpected_are_failures():
    trial = edits.Trial(1, "trials/01/predictions.csv", "cut", "report")
    assert edits._unclear(trial, "pilah: /run/trials/01/predictions.csv is damaged. Delete it.\n") is None
    for printed in ("", "pilah: KeyError: 'id'.\n", "pilah: predictions.csv: see --debug\n", "pilah: a\npilah: b\n"):
        assert edits._unclear(trial, printed)


def test_error_that_names_only_the_folder_is_a_failure():
    trial = edits.Trial(1, "model/saved_model.pb", "cut", "evaluate")
    assert edits._unclear(trial, "pilah: The model is damaged.\n")
    assert edits._unclear(trial, "pilah: /run/model/saved_model.pb is damaged.\n") is None


def test_command_that_hangs_is_a_failure(run_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(status, "show", lambda *_: time.sleep(30))
    monkeypatch.setattr(edits, "HANG_SECONDS", 1)
    before = signal.getsignal(signal.SIGALRM)
    base, trial = run_to_damage.Base(run_dir, run_dir, {}), edits.Trial(1, "photos.csv", "pipe", "status")
    try:
        assert edits.failure(base, trial, run_dir, tmp_path / "log") == "it was still running after 1 s"
    finally:
        signal.signal(signal.SIGALRM, before)


def test_rollback_that_pushes_another_copy_than_version_1_is_a_failure(run_dir, tmp_path):
    served = tmp_path / "run" / "served" / "pilah"
    for version in (1, 2):
        shutil.copytree(run_dir / "served" / "pilah" / "1", served / str(version))
        artifacts.write_json(served / str(version) / "model.json", {"version": version})
        (served / str(version) / "saved_model.pb").write_text(f"network {version}")
    files = run_to_damage.served_files(tmp_path / "run", 1)
    base = run_to_damage.Base(run_dir, run_dir, {}, first_version=files)
    trial = edits.Trial(1, "served/pilah/2/saved_model.pb", "cut", "rollback")
    assert "is not version 3 and a copy of version 1" in edits._changed(base, trial, tmp_path / "run")
    push.rollback(served)
    assert edits._changed(base, trial, tmp_path / "run") is None
    (served / "3" / "saved_model.pb").write_text("network 2")
    assert "version 3 has other contents of saved_model.pb" in edits._changed(base, trial, tmp_path / "run")


def test_success_with_other_results_is_a_failure(run_dir):
    base = run_to_damage.Base(run_dir, run_dir, run_to_damage.results_of(run_dir))
    trial = edits.Trial(1, "photos.csv", "cut", "run")
    assert edits._changed(base, trial, run_dir) is None
    other = run_to_damage.Base(run_dir, run_dir, {**base.results, "leaderboard.json": None})
    assert "other results in leaderboard.json" in edits._changed(other, trial, run_dir)
