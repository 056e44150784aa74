"""The start of a training process, without TensorFlow: importing it takes seconds, in which the parent may end."""

import multiprocessing.connection
import os
import signal
import threading
from multiprocessing.queues import SimpleQueue


def start(lifeline: multiprocessing.connection.Connection, gpu_numbers: "SimpleQueue[int]") -> None:
    """Let this process end when its parent closes the other end of `lifeline` or ends, then set up TensorFlow."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    from tuner import workers

    workers.set_up(gpu_numbers)


def _end_with_parent(lifeline: multiprocessing.connection.Connection) -> None:
    multiprocessing.connection.wait([lifeline])
    os._exit(1)
