"""A finished run with all that a report can show, and its page: made once for all tests that read it."""

import pathlib
import shutil

import finished_run
import pytest

from pipeline.report import page


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """To be read, not changed."""
    made = finished_run.write(tmp_path_factory.mktemp("runs") / "tiny")
    finished_run.serve(made)
    finished_run.check(made)
    page.write(made, "en", [])
    return made


@pytest.fixture
def copy(run_dir: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """The run, to be changed."""
    return pathlib.Path(shutil.copytree(run_dir, tmp_path / "tiny"))
