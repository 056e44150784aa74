"""Fixtures of a finished run with all that a report can show, and its report."""

import pathlib
import shutil

import finished_run
import pytest

from pipeline.report import page


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return the run folder, shared by all tests: do not change it."""
    folder = finished_run.write(tmp_path_factory.mktemp("runs") / "tiny")
    finished_run.serve(folder)
    finished_run.check(folder)
    page.write(folder, "en", [])
    return folder


@pytest.fixture
def copy(run_dir: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a copy of the run folder that a test may change."""
    return pathlib.Path(shutil.copytree(run_dir, tmp_path / "tiny"))
