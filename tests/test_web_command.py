"""`python -m web` and what it starts: how they end."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest
import web_app

from web import __main__ as together

# in place of the servers: each writes down the signal that it gets
CHILD = """
import os, pathlib, signal, sys, time
path = pathlib.Path(sys.argv[1])

def note(number, _):
    path.with_suffix(".new").write_text(signal.Signals(number).name)
    path.with_suffix(".new").rename(path)
    if "NEVER_ENDS" not in os.environ:
        sys.exit()

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, note)
path.write_text("runs")
time.sleep(60)
"""
PARENT = """
import os, signal, subprocess, sys
from web import __main__ as together
signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal, wherever the tests run:
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # in the background both may be ignored
child, *paths = sys.argv[1:3], *sys.argv[3:5]
together._serving = lambda _: [sys.executable, *child, paths[0]]
together._web = lambda _: [sys.executable, *child, paths[1]]
if "NO_UPGRADE" in os.environ:  # of the database, which takes most of the time of a start
    subprocess.run = lambda command, **_: subprocess.CompletedProcess(command, 0)
sys.argv[1:] = ["--model_base_path", "."]
sys.exit(together.main())
"""


@contextlib.contextmanager
def start(folder, **names):
    """A process of `python -m web` in a group of its own, and the files of its two children, which run."""
    files = [folder / "serving", folder / "web"]
    given = web_app.environment(PILAH_DATA=str(folder), PILAH_ENV="development", **names)
    command = [sys.executable, "-c", PARENT, "-c", CHILD, *map(str, files)]
    with subprocess.Popen(command, cwd=web_app.ROOT, env=given, start_new_session=True) as process:
        try:
            web_app.wait_until(lambda: said(files) == ["runs"] * 2, seconds=120)
            yield process, files
        finally:
            process.kill()


def said(files):
    return [file.read_text() if file.exists() else "" for file in files]


def press_ctrl_c(process):
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it


@pytest.mark.parametrize(
    ("end", "exit_status"),
    [
        (press_ctrl_c, 0),
        (lambda process: process.terminate(), 0),
        (lambda process: process.send_signal(signal.SIGHUP), 0),
        (lambda process: process.kill(), -signal.SIGKILL),
    ],
    ids=["Ctrl-C", "terminated", "terminal closed", "killed"],
)
def test_both_servers_are_asked_to_drain_however_it_ends(tmp_path, end, exit_status):
    with start(tmp_path, NO_UPGRADE="1") as (process, files):
        end(process)
        web_app.wait_until(lambda: said(files) == ["SIGTERM"] * 2)  # gunicorn takes SIGINT for "at once"
        assert process.wait(30) == exit_status


def test_setting_that_is_wrong_is_one_line_without_a_traceback(tmp_path):
    command = [sys.executable, "-m", "web", "--model_base_path", str(tmp_path)]
    environment = web_app.environment(PILAH_DATA=str(tmp_path), PILAH_ENV="development", UPLOAD_RATE="often")
    done = subprocess.run(command, cwd=web_app.ROOT, env=environment, capture_output=True, text=True, check=False)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and line.startswith("web: UPLOAD_RATE must be")


def test_second_ctrl_c_waits_for_no_drain(tmp_path):
    with start(tmp_path, NEVER_ENDS="1") as (process, files):
        press_ctrl_c(process)
        web_app.wait_until(lambda: said(files) == ["SIGTERM"] * 2)
        press_ctrl_c(process)
        assert process.wait(together.GRACE_SECONDS / 2) == 0
