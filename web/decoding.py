"""Decode uploads in child processes with limits, so that no file can take the page's memory or all of its time."""

import atexit
import contextlib
import json
import logging
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading

from components.data import decoding_process
from web import pictures

log = logging.getLogger("web")
ROOT = pathlib.Path(__file__).parents[1]
AT_ONCE = 4  # photos decoded at once; docker-compose.yml has the memory for them
WAITING = 28  # photos that may wait for that; a thread each, of those in gunicorn_config.py
PATIENCE_SECONDS = 20.0  # that one of them waits
MEMORY_BYTES = 600_000_000  # of a child
CPU_SECONDS = 4.5  # of a child, so that an upload costs 5 at most
SECONDS = 20.0  # of a child, on a machine that has other things to do
HANG_SECONDS = 10.0  # that the decoding process may take beyond that, to start and to end a child
END_SECONDS = 2.0  # that it may take to end
# How a child ends beyond its limits: of CPU time; or of time or, by the kernel, of memory.
LIMIT_SIGNALS = {-signal.SIGPROF, -signal.SIGKILL}


class Decoder:
    """Makes the JPEG to store of an upload, in a child process; a bounded number of threads may wait for that."""

    def __init__(self, max_pixels: int):
        self._max_pixels = max_pixels
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        self._places = threading.BoundedSemaphore(AT_ONCE + WAITING)

    def plain(self, upload: bytes) -> bytes:
        """Return what `pictures.plain` returns.

        Raises:
            BadPictureError: the upload is refused, also as it takes too much time or memory, or as too many wait.
        """
        if not self._places.acquire(blocking=False):
            raise pictures.BadPictureError(503, "busy")
        try:
            if not self._slots.acquire(timeout=PATIENCE_SECONDS):
                raise pictures.BadPictureError(503, "busy")
            try:
                return _picture(*_run(upload, self._max_pixels))
            except OSError as error:
                log.error("The decoding process did not answer (%s); the upload is refused for now.", error)
                raise pictures.BadPictureError(503, "busy") from error
            finally:
                self._slots.release()
        finally:
            self._places.release()


def _picture(answer: bytes, code: int) -> bytes:
    """Return the JPEG of an answer, or raise the refusal that it or the exit code stands for."""
    kind, content = answer[:1], answer[1:]
    if code == 0 and kind == decoding_process.JPEG:
        return content
    if code == 0 and kind == decoding_process.REFUSAL:
        reason, values = json.loads(content)
        raise pictures.refusal(reason, values)
    if code in LIMIT_SIGNALS:
        raise pictures.refusal("too costly", {})
    log.error("The decoder of an upload ended with exit code %s; the upload is refused as damaged.", code)
    raise pictures.refusal("truncated", {})


class _Process:
    """The process that forks the children; it ends with the page, as `control` is then closed."""

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair()
        self.page_id = os.getpid()
        with theirs:
            command = [sys.executable, "-m", "components.data.decoding_process", str(theirs.fileno())]
            descriptors = (theirs.fileno(),)
            # An empty environment: decoders of hostile files need not know the page's secrets.
            self._process = subprocess.Popen(command, cwd=ROOT, env={}, stdin=subprocess.DEVNULL, pass_fds=descriptors)

    def close(self) -> None:
        self.control.close()
        if self.page_id == os.getpid():
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:  # it hangs
                self._process.kill()
                self._process.wait()


_lock = threading.Lock()
_process: _Process | None = None


def _run(upload: bytes, max_pixels: int) -> tuple[bytes, int]:
    """Return the answer and the exit code of a child that decodes `upload`."""
    request = decoding_process.REQUEST.pack(max_pixels, MEMORY_BYTES, CPU_SECONDS, SECONDS)
    with contextlib.ExitStack() as sockets:
        pairs = [socket.socketpair() for _ in range(2)]
        (photo, _), (status, _) = [tuple(map(sockets.enter_context, pair)) for pair in pairs]
        theirs = [their for _, their in pairs]
        process = _send(request, [their.fileno() for their in theirs])
        for their in theirs:
            their.close()
        for ours in (photo, status):
            ours.settimeout(SECONDS + HANG_SECONDS)
        answer = bytearray()
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a child that ended before it read all
                photo.sendall(upload)
                photo.shutdown(socket.SHUT_WR)
                while part := photo.recv(1 << 20):
                    answer += part
            code = status.recv(decoding_process.STATUS.size)
        except TimeoutError:
            _end(process)
            raise
    if not code:
        raise ConnectionError("it has ended; the next upload starts another")
    return bytes(answer), decoding_process.STATUS.unpack(code)[0]


def _send(request: bytes, descriptors: list[int]) -> _Process:
    """Send a request to the decoding process, started where there is none of this process, and return that process."""
    global _process
    with _lock:
        if _process is None or _process.page_id != os.getpid():
            _process = _Process()
        try:
            socket.send_fds(_process.control, [request], descriptors)
        except OSError:
            log.error("The decoding process has ended; starting another.")
            _process.close()
            _process = _Process()
            socket.send_fds(_process.control, [request], descriptors)
        return _process


def _end(process: _Process) -> None:
    """End a decoding process that hangs, unless another thread did: the next upload starts another."""
    global _process
    with _lock:
        if _process is process:
            process.close()
            _process = None


@atexit.register
def close() -> None:
    """End the decoding process."""
    global _process
    with _lock:
        if _process:
            _process.close()
        _process = None
