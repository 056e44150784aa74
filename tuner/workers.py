"""Processes that train side by side, one a core: a head is too small for the cores to share."""

import concurrent.futures
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterator

import tensorflow as tf

from components import engines

MAX_WORKERS = 8  # each holds TensorFlow, about 0.6 GB


def count(tasks: int) -> int:
    """How many processes `tasks` should be spread over; 1 means this one, which alone can hold a GPU."""
    if engines.on_gpu():
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, tasks, MAX_WORKERS))


@contextlib.contextmanager
def pool(workers: int) -> Iterator[concurrent.futures.Executor]:
    """An executor of `workers` processes, which end with the block, and with this process however it ends."""
    context = multiprocessing.get_context("spawn")  # TensorFlow does not outlive a fork
    lifeline, ours = context.Pipe(duplex=False)
    executor = concurrent.futures.ProcessPoolExecutor(workers, context, _start, (lifeline,))
    try:
        yield executor
    finally:
        ours.close()
        executor.shutdown(cancel_futures=True)


def _start(lifeline: multiprocessing.connection.Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _end_with(lifeline: multiprocessing.connection.Connection) -> None:
    """End this process as soon as the parent closes its end of the pipe or is no more."""
    multiprocessing.connection.wait([lifeline])
    os._exit(1)
