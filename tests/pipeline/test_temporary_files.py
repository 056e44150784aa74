import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

from pipeline import lock

CHILD = "import tempfile; print(tempfile.gettempdir())"


def test_temporary_files_of_the_process_and_its_children_are_in_the_locked_folder(tmp_path):
    with lock.locked(tmp_path):
        child = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
        assert tempfile.gettempdir() == child.stdout.strip() == str(tmp_path / "tmp")


def test_folder_of_temporary_files_is_as_before_after_the_block_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(RuntimeError), lock.locked(tmp_path / "run"):
        tempfile.mkdtemp()
        raise RuntimeError
    assert tempfile.gettempdir() == str(tmp_path) == os.environ["TMPDIR"]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.lock"]


def test_temporary_files_of_a_killed_command_are_removed_by_the_next(tmp_path):
    code = f"""
import os, pathlib, signal, tempfile
from pipeline import lock
with lock.locked(pathlib.Path({str(tmp_path)!r})):
    tempfile.mkdtemp()
    tempfile.mkstemp()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert len(list((tmp_path / "tmp").iterdir())) == 2
    with lock.locked(tmp_path):
        assert list(pathlib.Path(tempfile.gettempdir()).iterdir()) == []
