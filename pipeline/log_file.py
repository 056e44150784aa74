"""RUN/log.txt, which gets everything that libraries, C++ code and worker processes write while a command runs."""

import contextlib
import ctypes
import datetime
import io
import logging
import os
import pathlib
import shlex
import sys
from collections.abc import Iterator
from typing import IO

import rich.console

from components.base import version

log = logging.getLogger("pilah")
FORMAT = "%(asctime)s %(levelname)s %(message)s"


@contextlib.contextmanager
def redirected(path: pathlib.Path, console: rich.console.Console) -> Iterator[None]:
    """Append the output of this process, its children and the logger "pilah" to `path`; only `console` is shown.

    The file descriptors 1 and 2 are redirected, because C++ code and child processes do not use sys.stdout. A failed
    write to the log, as on a full disk, is ignored. The exception that ends the block is logged with its traceback.

    Raises:
        OSError: `path` cannot be opened.
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    with contextlib.ExitStack() as restored:
        restored.enter_context(_shown(console))
        for name, descriptor in (("stdout", 1), ("stderr", 2)):
            restored.enter_context(_descriptor_redirected(descriptor, file))
            restored.enter_context(_stream_replaced(name, descriptor))
        os.close(file)
        restored.enter_context(_logged())
        try:
            yield
        except BaseException as error:
            log.debug("ended by %s", type(error).__name__, exc_info=True)
            raise


@contextlib.contextmanager
def _shown(console: rich.console.Console) -> Iterator[None]:
    """Let `console` write to the present standard output, whatever its file descriptor is redirected to."""
    if not _is_open_at(sys.stdout, 1):  # None or replaced: the console does not use the file descriptor
        yield
        return
    sys.stdout.flush()
    copy = open(os.dup(1), "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors)  # noqa: SIM115, PTH123
    console.file = copy
    try:
        yield
    finally:
        console.file = None  # type: ignore[assignment]  # sys.stdout again
        with contextlib.suppress(OSError):  # of a closed pipe or a full disk, which the console has raised before
            copy.close()


@contextlib.contextmanager
def _descriptor_redirected(descriptor: int, file: int) -> Iterator[None]:
    original = os.dup(descriptor)
    os.dup2(file, descriptor)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)  # what C code has printed and not written yet
        os.dup2(original, descriptor)
        os.close(original)


@contextlib.contextmanager
def _stream_replaced(name: str, descriptor: int) -> Iterator[None]:
    """Replace the stream `name` of sys, if it writes to `descriptor`, by one that ignores failed writes."""
    original = getattr(sys, name)
    if original is not None and not _is_open_at(original, descriptor):
        yield
        return
    setattr(sys, name, _text_stream(descriptor))
    try:
        yield
    finally:
        getattr(sys, name).flush()
        setattr(sys, name, original)


@contextlib.contextmanager
def _logged() -> Iterator[None]:
    """Write a header line and the messages of the logger "pilah" to the redirected file descriptor 2."""
    stream = _text_stream(2)
    now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
    command = shlex.join(["python", "-m", "pipeline", *sys.argv[1:]])
    print(f"\n=== {now}, Pilah {version.VERSION}: {command}", file=stream)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(FORMAT))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def _is_open_at(stream: IO[str] | None, descriptor: int) -> bool:
    """Return whether `stream` writes to the file descriptor `descriptor`."""
    try:
        return stream is not None and stream.fileno() == descriptor
    except (OSError, ValueError, AttributeError):  # a stream in memory, or a closed one
        return False


def _text_stream(descriptor: int) -> io.TextIOWrapper:
    writer = io.BufferedWriter(_IgnoringFailures(descriptor))  # type: ignore[type-var]
    return io.TextIOWrapper(writer, encoding="utf-8", errors="backslashreplace", line_buffering=True)


class _IgnoringFailures(io.RawIOBase):
    """A stream to a file descriptor that drops what cannot be written, so that the log never fails the run."""

    def __init__(self, descriptor: int):
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: "memoryview[int]") -> int:  # type: ignore[override]
        with contextlib.suppress(OSError):
            os.write(self._descriptor, data)
        return len(data)
