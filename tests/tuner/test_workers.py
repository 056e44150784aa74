"""The number of training processes, and the GPUs and threads of each."""

import multiprocessing
import os
import queue
import signal

import pytest
import tensorflow as tf

from components.models import inference
from tuner import worker_start, workers


@pytest.mark.parametrize(("gpus", "tasks", "expected"), [(1, 45, 1), (2, 45, 2), (4, 3, 3)])
def test_each_gpu_has_a_process(monkeypatch, gpus, tasks, expected):
    monkeypatch.setattr(inference, "gpus", lambda: gpus)
    assert workers.count(tasks) == expected


def test_each_core_has_a_process_without_gpus(monkeypatch):
    monkeypatch.setattr(inference, "gpus", lambda: 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    assert [workers.count(tasks) for tasks in (1, 5, 45)] == [1, 5, 6]


def test_each_process_sees_another_gpu(monkeypatch):
    visible, numbers = [], multiprocessing.get_context("spawn").SimpleQueue()
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["first", "second"])
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: visible.append((devices, kind)))
    for number in (0, 1):
        numbers.put(number)
    assert worker_start.see_one_gpu(numbers) and worker_start.see_one_gpu(numbers)
    assert visible == [("first", "GPU"), ("second", "GPU")]


def test_process_ends_with_its_parent(monkeypatch):
    exit_codes = queue.SimpleQueue()
    monkeypatch.setattr(os, "_exit", exit_codes.put)
    monkeypatch.setattr(signal, "signal", lambda number, action: None)
    monkeypatch.setattr(worker_start, "see_one_gpu", lambda numbers: True)
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: None)
    lifeline, parent_end = multiprocessing.Pipe(duplex=False)
    worker_start.start(lifeline, None)
    with pytest.raises(queue.Empty):
        exit_codes.get(timeout=0.1)
    parent_end.close()  # as the operating system does when the parent ends
    assert exit_codes.get(timeout=30) == 1


def test_processes_without_gpus_use_one_thread_each():
    with workers.pool(1) as executor:  # a single process, because each one imports TensorFlow, which is slow
        assert executor.submit(_threads).result() == 1


def _threads():
    return tf.config.threading.get_intra_op_parallelism_threads()
