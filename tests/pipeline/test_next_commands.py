import pathlib
import shlex
import sys

import pytest

from pipeline import next_commands
from pipeline.config import Config

PHOTOS = (pathlib.Path("photos.zip"),)


@pytest.fixture
def python(tmp_path, monkeypatch):
    """Set the working directory and an interpreter in it; return its relative path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PILAH_STARTED_BY", raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    return ".venv/bin/python"


def commands(lines):
    return [line.partition(":")[2].strip() for line in lines]


def test_run_of_make_on_synthetic_photos_ends_with_commands_of_make(tmp_path, python, monkeypatch):
    monkeypatch.setenv("PILAH_STARTED_BY", "make")
    lines = next_commands.after_push(Config(tmp_path / "runs" / "demo"))
    expected = ["runs/demo/report/index.html", "make serve RUN=runs/demo", "make run IMAGES=photos.zip"]
    assert commands(lines) == expected


@pytest.mark.parametrize(
    ("changes", "last"),
    [
        ({}, "run --run-dir runs/mine --images /photos/photos.zip"),
        ({"images": PHOTOS}, "audit --run-dir runs/demo"),
        ({"images": PHOTOS, "strategy": "finetune"}, "evaluate --run-dir runs/demo --images /photos/other-photos"),
    ],
)
def test_job_of_compose_ends_with_commands_of_compose(tmp_path, python, monkeypatch, changes, last):
    monkeypatch.setenv("PILAH_STARTED_BY", "compose")
    config = Config(tmp_path / "runs" / "demo", **changes)
    expected = ["RUN=runs/demo docker compose up", f"docker compose run --rm pipeline {last}"]
    assert commands(next_commands.after_push(config))[1:] == expected
    report = "docker compose run --rm pipeline report --run-dir runs/demo"
    assert commands([next_commands.after_failed_push(config)]) == [report]


@pytest.mark.parametrize(
    ("strategy", "last"),
    [
        ("features", "audit --run-dir runs/mine"),
        ("finetune", "evaluate --run-dir runs/mine --images other-photos"),
    ],
)
def test_run_of_photos_without_make_ends_with_commands_of_python(tmp_path, python, strategy, last):
    config = Config(tmp_path / "runs" / "mine", images=PHOTOS, strategy=strategy)
    serve = f"{python} -m web --model_base_path runs/mine/served/pilah"
    assert commands(next_commands.after_push(config))[1:] == [serve, f"{python} -m pipeline {last}"]


@pytest.mark.parametrize("started_by", ["", "make", "compose"])
def test_folder_outside_the_working_directory_is_quoted_in_full(tmp_path, python, monkeypatch, started_by):
    monkeypatch.setenv("PILAH_STARTED_BY", started_by)
    run_dir = tmp_path.parent / "other photos" / "it's"
    lines = next_commands.after_push(Config(run_dir, images=PHOTOS))
    for command in commands(lines)[1:]:
        assert any(str(run_dir) in word for word in shlex.split(command)), command


def test_command_after_a_failed_push_writes_the_report(tmp_path, python):
    line = next_commands.after_failed_push(Config(tmp_path / "runs" / "x"))
    assert commands([line]) == [f"{python} -m pipeline report --run-dir runs/x"]
