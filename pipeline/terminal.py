"""What a command shows: lines on the console, errors as one line, and the rest in RUN/log.txt."""

import contextlib
import logging
import os
import pathlib
import shutil
import sys
from collections.abc import Callable, Iterator

import rich.console
import typer

from pipeline import error_text, log_file, run_folder

PLAIN_WIDTH = 120  # of lines in a file or a pipe, if the variable COLUMNS does not set it
console = rich.console.Console(
    width=None if sys.stdout and sys.stdout.isatty() else shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns,
    markup=False,
    emoji=False,
)
log = logging.getLogger("pilah")
STYLES = {logging.WARNING: "yellow", logging.ERROR: "bold red"}  # level -> style of its messages


class _ConsoleHandler(logging.Handler):
    """Prints messages on the console, a line each."""

    def emit(self, record: logging.LogRecord) -> None:
        console.print(self.format(record), style=STYLES.get(record.levelno), soft_wrap=True, highlight=False)


@contextlib.contextmanager
def reporting(debug: bool, verbose: bool = False) -> Iterator[Callable[[pathlib.Path], None]]:
    """Show warnings and errors of the block; yield a function that redirects all other output to a run folder's log.

    An error is printed in one line and ends the program with code 1.

    Args:
        debug: whether the traceback of an error is shown too.
        verbose: whether all output is shown; then no log is written.
    """
    logs: list[pathlib.Path] = []
    handler = _ConsoleHandler(logging.INFO if verbose else logging.WARNING)
    log.addHandler(handler)
    log.propagate = False  # libraries add a handler to the root logger
    log.setLevel(logging.DEBUG)
    try:
        with contextlib.ExitStack() as stack:

            def start_log(run_dir: pathlib.Path) -> None:
                if not verbose:
                    stack.enter_context(log_file.redirected(run_dir / run_folder.LOG, console))
                    logs.append(run_dir / run_folder.LOG)

            yield start_log
    except KeyboardInterrupt as error:
        _print_error("Interrupted. Run the same command again: finished work is kept.", [])
        raise typer.Exit(130) from error
    except Exception as error:
        _print_error(error_text.one_line(error), logs)
        if debug:
            raise
        raise typer.Exit(1) from error
    finally:
        log.removeHandler(handler)
        log.propagate = True


def _print_error(text: str, logs: list[pathlib.Path]) -> None:
    """Print an error and where the log is, on standard error if standard output is closed or cannot be written."""
    lines = [f"pilah: {text}", *(f"The output of the libraries is in {path}." for path in logs)]
    try:
        if sys.stdout is None:
            raise OSError("standard output is closed")
        for line, style in zip(lines, ("bold red", None), strict=False):
            console.print(line, style=style, soft_wrap=True, highlight=False)
    except (OSError, SystemExit):  # Rich ends the program when a pipe is broken
        with contextlib.suppress(OSError):
            print(*lines, "Standard output is closed or cannot be written.", sep="\n", file=sys.stderr)
        if sys.stdout is not None:  # Python writes what is left of it when it ends, and would fail again
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
