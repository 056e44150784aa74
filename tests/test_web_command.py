"""`python -m web`: how it stops the model server and the page."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest
import web_app

from web import __main__ as web_command

# replaces each server: records the signal that it receives
CHILD = """
import os, pathlib, signal, sys, time
path = pathlib.Path(sys.argv[1])

def record(number, _):
    path.with_suffix(".new").write_text(signal.Signals(number).name)
    path.with_suffix(".new").rename(path)
    if "NEVER_ENDS" not in os.environ:
        sys.exit()

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, record)
path.write_text("running")
time.sleep(60)
"""
PARENT = """
import os, signal, subprocess, sys
from web import __main__ as web_command
signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal: in the background,
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # both may be ignored
child, *paths = sys.argv[1:3], *sys.argv[3:5]
web_command._serving = lambda _: [sys.executable, *child, paths[0]]
web_command._web = lambda _: [sys.executable, *child, paths[1]]
if "NO_UPGRADE" in os.environ:  # the database's upgrade takes most of the start
    subprocess.run = lambda command, **_: subprocess.CompletedProcess(command, 0)
sys.argv[1:] = ["--model_base_path", "."]
sys.exit(web_command.main())
"""


@contextlib.contextmanager
def start(folder, **variables):
    """Yield a process of `python -m web` in a new process group, and the files of its two running children."""
    files = [folder / "serving", folder / "web"]
    environment = web_app.environment(PILAH_DATA=str(folder), PILAH_ENV="development", **variables)
    command = [sys.executable, "-c", PARENT, "-c", CHILD, *map(str, files)]
    with subprocess.Popen(command, cwd=web_app.ROOT, env=environment, start_new_session=True) as process:
        try:
            web_app.wait_until(lambda: states(files) == ["running"] * 2, seconds=120)
            yield process, files
        finally:
            process.kill()


def states(files):
    return [file.read_text() if file.exists() else "" for file in files]


def press_ctrl_c(process):
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does


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
def test_both_servers_get_sigterm_however_the_command_ends(tmp_path, end, exit_status):
    with start(tmp_path, NO_UPGRADE="1") as (process, files):
        end(process)
        web_app.wait_until(lambda: states(files) == ["SIGTERM"] * 2)  # not SIGINT
        assert process.wait(30) == exit_status


def test_invalid_setting_prints_one_line_and_exits_with_1(tmp_path):
    command = [sys.executable, "-m", "web", "--model_base_path", str(tmp_path)]
    environment = web_app.environment(PILAH_DATA=str(tmp_path), PILAH_ENV="development", UPLOAD_RATE="often")
    completed = subprocess.run(command, cwd=web_app.ROOT, env=environment, capture_output=True, text=True, check=False)
    (line,) = completed.stderr.splitlines()
    assert completed.returncode == 1 and line.startswith("web: UPLOAD_RATE must be")


def test_second_ctrl_c_does_not_wait_for_the_drain(tmp_path):
    with start(tmp_path, NEVER_ENDS="1") as (process, files):
        press_ctrl_c(process)
        web_app.wait_until(lambda: states(files) == ["SIGTERM"] * 2)
        press_ctrl_c(process)
        assert process.wait(web_command.GRACE_SECONDS / 2) == 0
