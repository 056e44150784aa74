"""Run a function in a fork of this process, which has imported what it needs, and see how it ends."""

import os
import pathlib
import signal
import sys
import time
import traceback
from collections.abc import Callable


def run(function: Callable[[], object], log: pathlib.Path, seconds: float) -> int | None:
    """Return the exit code of a fork that calls `function`, minus a signal; None if it had to be killed.

    Args:
        function: returns an exit code, or raises SystemExit.
        log: file that gets the output of the fork, replaced.
        seconds: time after which the fork is killed.
    """
    child = os.fork()
    if child == 0:
        _call(function, log)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _call(function: Callable[[], object], log: pathlib.Path) -> None:
    """Call the function and end this process."""
    code: object = 1
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for number, target in enumerate((os.open(os.devnull, os.O_RDONLY), output, output)):
            os.dup2(target, number)
        code = function()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code if isinstance(code, int) else 1 if code else 0)
