"""Processes that train side by side, one a GPU or one a core: a head is too small for the cores to share."""

import concurrent.futures
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from multiprocessing.queues import SimpleQueue

import tensorflow as tf

from components.models import inference
from tuner.scenarios import Scenario
from tuner.study import Study

MAX_WORKERS = 8  # each holds TensorFlow, about 0.6 GB


def processes(study: Study, scenario_list: Sequence[Scenario]) -> int:
    """Return how many processes should train the folds of the scenarios; 1 means this one."""
    heads = scenario_list[0].strategy == "features"
    small = heads or (study.finetuning is not None and study.finetuning.trunk_dir is not None)
    if not small and not inference.on_gpu():  # a whole backbone keeps all cores busy, and needs 3 GB and more
        return 1
    return count(len(scenario_list) * (1 if heads else study.folds))


def count(tasks: int) -> int:
    """Return how many processes `tasks` should be spread over; 1 means this one."""
    if inference.on_gpu():
        return min(inference.gpus(), tasks)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, tasks, MAX_WORKERS))


@contextlib.contextmanager
def pool(workers: int) -> Iterator[concurrent.futures.Executor]:
    """An executor of `workers` processes, which end with the block, and with this process however it ends.

    Where there are GPUs, each process sees one of its own; `workers` must not be more than they are.
    """
    context = multiprocessing.get_context("spawn")  # TensorFlow does not outlive a fork
    lifeline, ours = context.Pipe(duplex=False)
    numbers = context.SimpleQueue()
    for number in range(len(tf.config.list_physical_devices("GPU"))):
        numbers.put(number)
    executor = concurrent.futures.ProcessPoolExecutor(workers, context, _start, (lifeline, numbers))
    try:
        yield executor
    finally:
        ours.close()
        executor.shutdown(cancel_futures=True)


def _start(lifeline: multiprocessing.connection.Connection, gpu_numbers: "SimpleQueue[int]") -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    if see_one_gpu(gpu_numbers):
        tf.config.experimental.enable_op_determinism()  # as in the parent: a search that starts again ends the same
        return
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def see_one_gpu(numbers: "SimpleQueue[int]") -> bool:
    """Leave TensorFlow, which has not begun to compute, the GPU whose number is next; False where there are none."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        tf.config.set_visible_devices(gpus[numbers.get()], "GPU")
    return bool(gpus)


def _end_with(lifeline: multiprocessing.connection.Connection) -> None:
    """End this process as soon as the parent closes its end of the pipe or is no more."""
    multiprocessing.connection.wait([lifeline])
    os._exit(1)
