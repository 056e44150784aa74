"""Decode photos for the web page, each in a separate child process with limits.

web/decoding.py starts this program once. It loads the decoders and then forks a child for each photo, so that the
overhead is a few milliseconds per photo, and no data of one photo remains in memory for the next. The program ends when
the page closes its socket.
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
TOO_COSTLY = REFUSAL + json.dumps(["too costly", {}]).encode()  # in advance: a child may lack the memory for it
POLITE_SECONDS = 1.0  # after which a child gets a lower priority than photos that take less time
LOWERED_PRIORITY = 10  # a ninth of the CPU time of other processes; 19 would starve large photos on a busy machine


class Child(NamedTuple):
    """A child process that decodes a photo: the socket for its exit code, its start time, and its deadline."""

    status: socket.socket
    started: float
    deadline: float


def serve(control: socket.socket) -> None:
    """Fork a child for each connection that arrives at `control`, until the page closes it."""
    _load_decoders()
    children: dict[int, Child] = {}  # process id -> child
    wake, signalled = socket.socketpair()
    signalled.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(signalled.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to all processes of a service; this one waits for the page
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
    """Load the decoders once, so that the children do not have to."""
    Image.init()
    images.web_jpeg(images.encode_jpeg(Image.new("RGB", (32, 32))))
    # One thread per photo: each thread takes memory, and the lowered priority applies to one thread only.
    pillow_heif.options.DECODE_THREADS = 1
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    gc.collect()
    gc.freeze()  # otherwise a collection in a child would copy the memory that it shares with this process


def _start(control: socket.socket, children: dict[int, Child]) -> bool:
    """Fork a child for the next request; return False if the page has closed `control`.

    A request comes with two sockets: one for the photo and the result, and one for the exit code.
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
            os.closerange(3, connection.fileno())  # otherwise this child would keep sockets of other photos open
            os.closerange(connection.fileno() + 1, 1024)
            _limit(memory_bytes, cpu_seconds)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # otherwise libtiff writes to the page's log
            connection.sendall(_decode(connection, max_pixels))
            code = 0
        finally:
            os._exit(code)
    connection.close()
    now = time.monotonic()
    children[process_id] = Child(status, now, now + seconds)
    return True


def _limit(memory_bytes: int, cpu_seconds: float) -> None:
    """Limit the memory and the CPU time of this process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)  # RLIMIT_CPU counts only whole seconds
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123
        score.write("1000")  # if memory runs out, the kernel kills this process and not the page


def _decode(connection: socket.socket, max_pixels: int) -> bytes:
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
        if now > child.deadline:
            os.kill(process_id, signal.SIGKILL)
        elif now > child.started + POLITE_SECONDS:
            os.setpriority(os.PRIO_PROCESS, process_id, LOWERED_PRIORITY)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
