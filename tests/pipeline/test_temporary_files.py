import errno
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import types

import pytest

from components.base.errors import PilahError
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


@pytest.mark.parametrize(
    ("free", "error", "expected"),
    [
        (0, TypeError("Iterating over a symbolic tensor is not allowed"), OSError),
        (10**9, TypeError("a defect"), TypeError),
        (0, PilahError("too few photos"), PilahError),
    ],
    ids=["full disk", "space", "own error"],
)
def test_strange_error_on_a_full_disk_is_reported_as_the_full_disk(tmp_path, monkeypatch, free, error, expected):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=free))
    with pytest.raises(expected) as raised, lock.locked(tmp_path):
        raise error
    if expected is OSError:
        assert raised.value.errno == errno.ENOSPC and raised.value.filename == str(tmp_path / "tmp")


def test_unfinished_files_of_a_killed_command_are_removed_by_the_next_but_none_of_a_zip(tmp_path):
    code = f"""
import os, pathlib, signal
from components.base import artifacts
from pipeline import lock
folder = pathlib.Path({str(tmp_path)!r})
with lock.locked(folder):
    artifacts.write_json(folder / "trials" / "01" / "settings.json", 1)
    with (
        artifacts.atomic_write(folder / "photos.csv"),
        artifacts.atomic_write(folder / "trials" / "01" / "fold-1.csv"),
    ):
        os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    for name in (".part-photos.zip/glass/1.jpg", "photos.zip/.part-of-a-zip.jpg"):
        (tmp_path / "images" / name).parent.mkdir(parents=True)
        (tmp_path / "images" / name).write_bytes(b"photo")
    assert len(list(tmp_path.rglob(".part-*"))) == 4
    with lock.locked(tmp_path):
        pass
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"run.lock", "trials/01/settings.json", "images/photos.zip/.part-of-a-zip.jpg"}
