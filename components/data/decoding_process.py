"""Decode photos for the web page, each in a separate child process with limits.

web/decoding.py starts this program once. It loads the decoders and then forks a child for each photo, so that a photo
costs a few milliseconds more, and nothing of one photo is left in the memory of the next. It ends with the page, as
its socket is then closed.
"""

import contextlib
import gc
import json
import os
import resource
import selectors
import signal
import socket
import struct
import sys
import time
from typing import NamedTuple

import pillow_heif
from PIL import AvifImagePlugin, Image

from components.data import images

REQUEST = struct.Struct("<QQdd")  # max_pixels, and the limits: bytes of memory, seconds of CPU time, seconds
STATUS = struct.Struct("<i")  # exit code of the child, negative where a signal ended it
JPEG, REFUSAL = b"J", b"R"  # first byte of an answer; after it the JPEG, or reason and values in JSON
TOO_COSTLY = REFUSAL + json.dumps(["too costly", {}]).encode()  # made now: a child may lack the memory
POLITE_SECONDS = 1.0  # after which a child leaves the CPU to photos that take less
LOWERED_PRIORITY = 10  # a ninth of the CPU time of others; with 19 a busy machine would starve a large photo


class Child(NamedTuple):
    """A child that decodes a photo: where the page reads its exit code, when it started, and when it is killed."""

    status: socket.socket
    started: float
    ends: float


def serve(control: socket.socket) -> None:
    """Fork a child for each connection that arrives at `control`, until the page closes it."""
    _load_decoders()
    children: dict[int, Child] = {}  # process id -> child
    wake, signalled = socket.socketpair()
    signalled.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(signalled.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to all processes of a service, while the page ends gracefully
        signal.signal(number, signal.SIG_IGN)
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(wake, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select(0.2 if children else None)}
            if wake in ready:
                wake.recv(4096)
            _report_ended(children)
            if control in ready and not _start(control, children):
                break
            _enforce_time(children)
    for process_id in children:
        os.kill(process_id, signal.SIGKILL)


def _load_decoders() -> None:
    """Load all that a child needs, so that it does not have to."""
    Image.init()
    images.web_jpeg(images.encode_jpeg(Image.new("RGB", (32, 32))))
    # One thread a photo: each takes memory, and the lowered priority applies to one thread.
    pillow_heif.options.DECODE_THREADS = 1
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    gc.collect()
    gc.freeze()  # else a collection in a child copies memory that it shares with this process


def _start(control: socket.socket, children: dict[int, Child]) -> bool:
    """Fork a child for the next request; return False if the page has closed `control`.

    A request comes with two sockets: one for the photo and the answer, and one for the exit code.
    """
    message, descriptors, _, _ = socket.recv_fds(control, REQUEST.size, 2)
    if not message:
        return False
    max_pixels, memory_bytes, cpu_seconds, seconds = REQUEST.unpack(message)
    connection, status = (socket.socket(fileno=descriptor) for descriptor in descriptors)
    process_id = os.fork()
    if process_id == 0:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            os.closerange(3, connection.fileno())  # sockets of other photos would stay open as long as this child
            os.closerange(connection.fileno() + 1, 1024)
            _limit(memory_bytes, cpu_seconds)
            connection.sendall(_answer(connection, max_pixels))
            code = 0
        finally:
            os._exit(code)
    connection.close()
    now = time.monotonic()
    children[process_id] = Child(status, now, now + seconds)
    return True


def _limit(memory_bytes: int, cpu_seconds: float) -> None:
    """Limit this process: the kernel refuses it more memory, and ends it after its CPU time."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)  # RLIMIT_CPU counts whole seconds alone
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123
        score.write("1000")  # where memory is short after all, the kernel ends this process and not the page


def _answer(connection: socket.socket, max_pixels: int) -> bytes:
    try:
        parts = []
        while part := connection.recv(1 << 20):
            parts.append(part)
        photo = b"".join(parts)
        parts.clear()
        return JPEG + images.web_jpeg(photo, max_pixels)
    except images.UnusablePhotoError as error:
        return REFUSAL + json.dumps([error.reason, error.values]).encode()
    except MemoryError:
        return TOO_COSTLY


def _report_ended(children: dict[int, Child]) -> None:
    """Send the exit code of each child that has ended."""
    while children:
        process_id, code = os.waitpid(-1, os.WNOHANG)
        if not process_id:
            return
        with children.pop(process_id).status as status, contextlib.suppress(OSError):  # the page may have given up
            status.send(STATUS.pack(os.waitstatus_to_exitcode(code)))


def _enforce_time(children: dict[int, Child]) -> None:
    now = time.monotonic()
    for process_id, child in children.items():
        if now > child.ends:
            os.kill(process_id, signal.SIGKILL)
        elif now > child.started + POLITE_SECONDS:
            os.setpriority(os.PRIO_PROCESS, process_id, LOWERED_PRIORITY)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
