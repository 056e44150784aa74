"""Decode uploads in child processes with limits, so that no file can use up the page's memory or CPU time."""

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
AT_ONCE = 4  # photos decoded at once; docker-compose.yml reserves memory for them
MAX_QUEUED = 28  # photos that may wait for a decoder, each in one of the threads of server.py
QUEUE_SECONDS = 20.0  # time for which a photo may wait
MEMORY_BYTES = 600_000_000  # limit of a child
CPU_SECONDS = 4.5  # limit of a child, so that an upload costs at most 5
WALL_SECONDS = 20.0  # limit of a child on a busy machine
HANG_SECONDS = 10.0  # extra time of the decoding process to start and to end a child
END_SECONDS = 2.0  # time of the decoding process to end
# Signals that end a child beyond its limits: SIGPROF for CPU time, SIGKILL for wall time or, from the kernel, memory.
LIMIT_SIGNALS = {-signal.SIGPROF, -signal.SIGKILL}


class Decoder:
    """Converts uploads to the JPEG to store, in child processes; a bounded number of threads may wait for one."""

    def __init__(self, max_pixels: int):
        self._max_pixels = max_pixels
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        self._places = threading.BoundedSemaphore(AT_ONCE + MAX_QUEUED)

    def plain(self, upload: bytes) -> bytes:
        """Return what `pictures.plain` returns.

        Raises:
            BadPictureError: the upload is refused, takes too much time or memory, or too many uploads wait.
        """
        if not self._places.acquire(blocking=False):
            raise pictures.BadPictureError(503, "busy")
        try:
            if not self._slots.acquire(timeout=QUEUE_SECONDS):
                raise pictures.BadPictureError(503, "busy")
            try:
                return _picture(*_run(upload, self._max_pixels))
            except OSError as error:
                log.error("The decoding process did not respond (%s); the upload is refused for now.", error)
                raise pictures.BadPictureError(503, "busy") from error
            finally:
                self._slots.release()
        finally:
            self._places.release()


def _picture(output: bytes, exit_code: int) -> bytes:
    """Return the JPEG in a child's output, or raise the refusal that its output or exit code means."""
    kind, content = output[:1], output[1:]
    if exit_code == 0 and kind == decoding_process.JPEG:
        return content
    if exit_code == 0 and kind == decoding_process.REFUSAL:
        reason, values = json.loads(content)
        raise pictures.refusal(reason, values)
    if exit_code in LIMIT_SIGNALS:
        raise pictures.refusal("too costly", {})
    log.error("The decoder of an upload ended with exit code %s; the upload is refused as damaged.", exit_code)
    raise pictures.refusal("truncated", {})


class _Process:
    """The process that forks the children; it ends with the page, which closes `control`."""

    def __init__(self) -> None:
        self.control, remote = socket.socketpair()
        self.page_id = os.getpid()
        with remote:
            command = [sys.executable, "-m", "components.data.decoding_process", str(remote.fileno())]
            descriptors = (remote.fileno(),)
            # The environment is empty, because a decoder of hostile files must not have the page's secrets.
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
    """Return the output and the exit code of a child that decodes `upload`."""
    request = decoding_process.REQUEST.pack(max_pixels, MEMORY_BYTES, CPU_SECONDS, WALL_SECONDS)
    with contextlib.ExitStack() as sockets:
        pairs = [socket.socketpair() for _ in range(2)]
        (photo, _), (status, _) = [tuple(map(sockets.enter_context, pair)) for pair in pairs]
        remotes = [remote for _, remote in pairs]
        process = _send(request, [remote.fileno() for remote in remotes])
        for remote in remotes:
            remote.close()
        for local in (photo, status):
            local.settimeout(WALL_SECONDS + HANG_SECONDS)
        output = bytearray()
        try:
            with contextlib.suppress(
                BrokenPipeError, ConnectionResetError
            ):  # the child ended before it read everything
                photo.sendall(upload)
                photo.shutdown(socket.SHUT_WR)
                while part := photo.recv(1 << 20):
                    output += part
            exit_status = status.recv(decoding_process.STATUS.size)
        except TimeoutError:
            _end(process)
            raise
    if not exit_status:
        raise ConnectionError("it has ended; the next upload starts another")
    return bytes(output), decoding_process.STATUS.unpack(exit_status)[0]


def _send(request: bytes, descriptors: list[int]) -> _Process:
    """Send a request to the decoding process, start it if this process has none, and return it."""
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
    """End a decoding process that hangs, unless another thread did; the next upload starts a new one."""
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
