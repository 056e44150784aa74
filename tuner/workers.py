"""Processes that train in parallel, one per GPU or per core, because training a head does not use several cores."""

import concurrent.futures
import contextlib
import multiprocessing
from collections.abc import Iterator, Sequence

import tensorflow as tf

from components.base import machine
from components.models import inference
from tuner import worker_start
from tuner.scenarios import Scenario
from tuner.study import Study

MAX_WORKERS = 8  # each needs about 0.6 GB for TensorFlow


def processes(study: Study, scenario_list: Sequence[Scenario]) -> int:
    """Return how many processes should train the folds of the scenarios; 1 means this process."""
    trains_heads = scenario_list[0].strategy == "features"
    is_small = trains_heads or (study.finetuning is not None and study.finetuning.frozen_activations_dir is not None)
    if not is_small and not inference.on_gpu():  # training a whole backbone uses all cores and at least 3 GB
        return 1
    return count(len(scenario_list) * (1 if trains_heads else study.folds))


def count(tasks: int) -> int:
    """Return how many processes should run `tasks`; 1 means this process."""
    if inference.on_gpu():
        return min(inference.gpus(), tasks)
    return max(1, min(machine.cores(), tasks, MAX_WORKERS))


@contextlib.contextmanager
def pool(workers: int) -> Iterator[concurrent.futures.Executor]:
    """Yield an executor of `workers` processes, which end with the block or with this process, even if it is killed.

    If there are GPUs, each process sees a different one; `workers` must not exceed their number.
    """
    context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    lifeline, parent_end = context.Pipe(duplex=False)
    gpu_numbers = context.SimpleQueue()
    for number in range(len(tf.config.list_physical_devices("GPU"))):
        gpu_numbers.put(number)
    executor = concurrent.futures.ProcessPoolExecutor(workers, context, worker_start.start, (lifeline, gpu_numbers))
    try:
        yield executor
    finally:
        parent_end.close()
        executor.shutdown(cancel_futures=True)
