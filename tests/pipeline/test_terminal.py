"""What commands show and log, in separate processes, because file descriptors are redirected."""

import os
import pathlib
import pty
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = """
import pipeline.__main__
import contextlib, ctypes, logging, os, pathlib, subprocess, sys, typer
from pipeline import progress, terminal
run_dir, verbose, debug, code = pathlib.Path(sys.argv[1]), sys.argv[2] == "True", sys.argv[3] == "True", sys.argv[4]
log = logging.getLogger("pilah")
try:
    with terminal.reporting(debug, verbose) as start_log:
        start_log(run_dir)
        print("print of a library")
        with contextlib.suppress(OSError):
            os.write(2, b"line of C++\\n")
        ctypes.CDLL(None).printf(b"buffer of C\\n")
        subprocess.run(["echo", "line of a child"])
        log.info("message"), log.warning("warning")
        terminal.console.print("photos: done")
        exec(code)
except typer.Exit as end:
    sys.exit(end.exit_code)
"""
# as most users have it: with PYTHONUNBUFFERED, C's standard output has no buffer either
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
NOISE = ("print of a library", "line of C++", "buffer of C", "line of a child")


def start(run_dir, code="", verbose=False, debug=False, **options):
    command = [sys.executable, "-c", PROGRAM, run_dir, str(verbose), str(debug), code]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, text=True, check=False, **streams)


def through_shell(run_dir, redirection, code=""):
    """Run the program with the redirection of a shell; return its exit code and its standard error."""
    command = ["bash", "-c", f'"$@" {redirection}', "bash", sys.executable, "-c", PROGRAM]
    command += [run_dir, "False", "False", code]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, text=True, stderr=subprocess.PIPE)
    return done.returncode, done.stderr


def test_output_of_libraries_and_messages_go_to_the_log_and_only_lines_and_warnings_are_shown(tmp_path):
    done = start(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "warning\nphotos: done\n", "")
    logged = (tmp_path / "log.txt").read_text()
    assert all(line in logged for line in (*NOISE, " INFO message", " WARNING warning", "=== 20", ", Pilah "))


def test_second_command_appends_to_the_log(tmp_path):
    start(tmp_path)
    start(tmp_path)
    assert (tmp_path / "log.txt").read_text().count("===") == 2


def test_verbose_shows_everything_and_writes_no_log(tmp_path):
    done = start(tmp_path, "1 / 0", verbose=True)
    assert all(line in done.stdout + done.stderr for line in (*NOISE, "message", "warning", "photos: done"))
    assert "log.txt" not in done.stdout and list(tmp_path.iterdir()) == []


def test_error_is_one_line_that_names_the_log_which_has_the_traceback(tmp_path):
    done = start(tmp_path, "1 / 0")
    assert done.returncode == 1 and done.stderr == ""
    *_, error, log = done.stdout.splitlines()
    assert error.startswith("pilah: ZeroDivisionError: division by zero.")
    assert log == f"The output of the libraries is in {tmp_path / 'log.txt'}."
    assert "Traceback (most recent call last)" in (tmp_path / "log.txt").read_text()


def test_debug_shows_the_traceback(tmp_path):
    done = start(tmp_path, "1 / 0", debug=True)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr and "line of C++" not in done.stderr


def test_interrupt_is_one_line_and_code_130(tmp_path):
    done = start(tmp_path, "raise KeyboardInterrupt")
    assert done.returncode == 130 and done.stderr == ""
    assert "pilah: Interrupted. Run the same command again: finished work is kept." in done.stdout


def test_log_that_cannot_be_opened_is_an_error_which_names_no_log(tmp_path):
    (tmp_path / "log.txt").mkdir()
    done = start(tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith("pilah: A file could not be read or written") and "The output" not in done.stdout


@pytest.mark.parametrize(("code", "exit_code"), [("", 0), ("1 / 0", 1)])
def test_full_disk_of_the_log_changes_neither_exit_code_nor_error(tmp_path, code, exit_code):
    (tmp_path / "log.txt").symlink_to("/dev/full")
    done = start(tmp_path, code)
    assert (done.returncode, done.stderr) == (exit_code, "")
    assert "photos: done" in done.stdout and ("ZeroDivisionError" in done.stdout) == bool(exit_code)


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", "| true; exit ${PIPESTATUS[0]}"])
def test_error_is_shown_on_standard_error_where_standard_output_takes_nothing(tmp_path, redirection):
    exit_code, errors = through_shell(tmp_path, redirection, "import time; time.sleep(0.1); 1 / 0")
    assert exit_code == 1
    logged = (tmp_path / "log.txt").read_text()
    if redirection == ">&-":
        assert errors.startswith("pilah: ZeroDivisionError") and "ZeroDivisionError" in logged
    elif redirection == ">/dev/full":
        assert errors.startswith("pilah: ") and "No space left on device" in errors and "log.txt" in errors
    else:
        assert "BrokenPipeError" in logged


def test_closed_standard_streams_do_not_mix_the_output_into_other_files(tmp_path):
    exit_code, _ = through_shell(tmp_path, "<&- >&- 2>&-", f"open({str(tmp_path / 'artifact')!r}, 'w').write('whole')")
    assert exit_code == 0
    assert (tmp_path / "artifact").read_text() == "whole"
    assert all(line in (tmp_path / "log.txt").read_text() for line in NOISE)


def on_terminal(run_dir, code, verbose=False):
    """Return what the program writes to a pseudo terminal."""
    ours, theirs = pty.openpty()
    done = start(run_dir, code, verbose, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = b""
    try:
        while part := os.read(ours, 65536):
            written += part
    except OSError:  # the program has ended
        pass
    os.close(ours)
    assert done.returncode == 0, written
    return written.decode()


BAR = """
with progress.reporting(terminal.console, "features") as update:
    for number in range(3):
        update(number, 3, "VGG19")
        print("print below the bar")
"""


@pytest.mark.parametrize("verbose", [False, True])
def test_terminal_shows_the_bar_and_libraries_only_if_verbose(tmp_path, verbose):
    text = on_terminal(tmp_path, BAR, verbose)
    assert "features VGG19" in text and "photos: done" in text
    assert all((line in text) == verbose for line in (*NOISE, "print below the bar"))


def test_output_after_the_command_is_shown_again(tmp_path):
    code = "pass\nimport atexit; atexit.register(lambda: (print('end'), os.write(2, b'end')))"
    done = start(tmp_path, code)
    assert done.stdout.endswith("end\n") and done.stderr == "end"
