import os
import subprocess
import sys

import pytest

from components.base.errors import PilahError
from pipeline import lock


def test_second_holder_is_refused_with_the_process_id_of_the_first(tmp_path):
    with (
        lock.locked(tmp_path),
        pytest.raises(PilahError, match=f"in use by process {os.getpid()}"),
        lock.locked(tmp_path),
    ):
        pass


def test_folder_is_free_again_after_the_block(tmp_path):
    with lock.locked(tmp_path):
        pass
    with lock.locked(tmp_path):
        pass


def test_killed_holder_leaves_the_folder_free(tmp_path):
    code = f"""
import os, pathlib, signal
from pipeline import lock
with lock.locked(pathlib.Path({str(tmp_path)!r})):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    with lock.locked(tmp_path):
        pass
