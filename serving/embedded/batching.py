"""Run requests that arrive together as one batch, like TensorFlow Serving's batching session."""

import collections
import concurrent.futures
import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from serving.embedded import status
from serving.protos import server_config_pb2

Arrays = Mapping[str, np.ndarray]


class Program(NamedTuple):
    """What to run: a signature, and the names of the outputs to compute."""

    signature_name: str
    outputs: tuple[str, ...]


class Key(NamedTuple):
    """What the tasks of a batch have in common."""

    program: Program
    inputs: tuple[tuple[str, str, tuple[int, ...]], ...]  # name, dtype and row shape of each input


Run = Callable[[Program, Arrays], Arrays]


@dataclasses.dataclass(frozen=True)
class Parameters:
    """TensorFlow Serving's BatchingParameters, with its defaults."""

    max_batch_size: int = 1000  # rows
    batch_timeout_seconds: float = 0.0  # longest wait of the oldest request in a batch
    max_enqueued_batches: int = 10
    num_batch_threads: int = 2

    @classmethod
    def of(cls, proto: server_config_pb2.BatchingParameters, default_threads: int) -> "Parameters":
        """Convert `proto`; `default_threads` is the default of num_batch_threads, the number of cores."""
        values: dict[str, float] = {"num_batch_threads": default_threads}
        values |= {field.name: value.value for field, value in proto.ListFields()}
        if "batch_timeout_micros" in values:
            values["batch_timeout_seconds"] = values.pop("batch_timeout_micros") / 1e6
        return cls(**values)  # type: ignore[arg-type]  # the numbers in the proto are integers


@dataclasses.dataclass
class _Task:
    inputs: Arrays
    rows: int
    result: concurrent.futures.Future[Arrays]


@dataclasses.dataclass
class _Batch:
    key: Key
    opened: float  # seconds, monotonic
    tasks: list[_Task]
    rows: int = 0


class Batcher:
    """Runs tasks with the same program, dtypes and row shapes as one batch.

    Args:
        run: computes a batch, called from several threads: program, inputs [rows, ...] -> outputs [rows, ...].
    """

    def __init__(self, run: Run, parameters: Parameters):
        self._run, self._parameters = run, parameters
        self._changed = threading.Condition()
        self._queue: collections.deque[_Batch] = collections.deque()  # oldest first
        self._open: dict[Key, _Batch] = {}  # key -> the queued batch that still accepts tasks
        self._closing = False
        self._threads = [
            threading.Thread(target=self._work, name=f"batch-{number}", daemon=True)
            for number in range(parameters.num_batch_threads)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, program: Program, inputs: Arrays, timeout_seconds: float | None = None) -> Arrays:
        """Compute the outputs for `inputs`, arrays [rows, ...], in one batch with other waiting requests.

        Raises:
            StatusError: INVALID_ARGUMENT, the inputs differ in rows or have more rows than a batch may have;
                UNAVAILABLE, the queue is full; DEADLINE_EXCEEDED; or the model's error for these inputs.
        """
        task = _Task(inputs, _rows(inputs), concurrent.futures.Future())
        shapes = tuple((name, array.dtype.str, array.shape[1:]) for name, array in sorted(inputs.items()))
        self._enqueue(Key(program, shapes), task)
        try:
            return task.result.result(timeout_seconds)
        except concurrent.futures.TimeoutError as error:
            task.result.cancel()
            raise status.StatusError(status.Code.DEADLINE_EXCEEDED, "Deadline passed in the batching queue.") from error
        finally:
            del task  # it holds the error, whose traceback holds this frame: the cycle would keep the inputs in memory

    def close(self) -> None:
        """Finish the queued batches and end the threads."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _enqueue(self, key: Key, task: _Task) -> None:
        limit = self._parameters.max_batch_size
        if task.rows > limit:
            raise status.invalid_argument(f"Task size {task.rows} is larger than maximum input batch size {limit}")
        with self._changed:
            batch = self._open.get(key)
            if batch is None or batch.rows + task.rows > limit:
                if len(self._queue) >= self._parameters.max_enqueued_batches:
                    raise status.StatusError(
                        status.Code.UNAVAILABLE,
                        "The batch scheduling queue to which this task was submitted is full; batches enqueued: "
                        f"{len(self._queue)}",
                    )
                batch = self._open[key] = _Batch(key, time.monotonic(), [])
                self._queue.append(batch)
            batch.tasks.append(task)
            batch.rows += task.rows
            self._changed.notify()

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            tasks = [task for task in batch.tasks if task.result.set_running_or_notify_cancel()]
            if tasks:
                self._finish(batch.key.program, tasks)

    def _next(self) -> _Batch | None:
        """Wait for the oldest batch that is full or due and return it; None when closed and empty."""
        with self._changed:
            while True:
                now, timeout = time.monotonic(), self._parameters.batch_timeout_seconds
                for batch in self._queue:
                    is_full = batch.rows >= self._parameters.max_batch_size or self._open.get(batch.key) is not batch
                    if is_full or self._closing or now - batch.opened >= timeout:
                        self._queue.remove(batch)
                        if self._open.get(batch.key) is batch:
                            del self._open[batch.key]
                        return batch
                if self._closing:
                    return None
                self._changed.wait(self._queue[0].opened + timeout - now if self._queue else None)

    def _finish(self, program: Program, tasks: list[_Task]) -> None:
        """Run the tasks as one batch, set their results, and empty the list.

        An error's traceback holds this list: with the tasks in it, which hold the error, their inputs would stay in
        memory until the garbage collector runs.
        """
        try:
            parts = self._run_together(program, tasks)
        except Exception as error:
            if len(tasks) == 1:
                tasks.pop().result.set_exception(error)
            while tasks:  # run each task alone, so that only the faulty one fails
                self._finish(program, [tasks.pop(0)])
            return
        for part in parts:
            tasks.pop(0).result.set_result(part)

    def _run_together(self, program: Program, tasks: list[_Task]) -> list[Arrays]:
        inputs = {name: np.concatenate([task.inputs[name] for task in tasks]) for name in tasks[0].inputs}
        rows = sum(task.rows for task in tasks)
        outputs = self._run(program, inputs)
        for array in outputs.values():
            if array.ndim == 0:
                raise status.StatusError(
                    status.Code.FAILED_PRECONDITION, "Batched output tensor has 0 dimensions, so it cannot be split."
                )
            if array.shape[0] != rows:
                raise status.StatusError(
                    status.Code.FAILED_PRECONDITION,
                    "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the "
                    f"input tensors: {array.shape[0]} against {rows}",
                )
        ends = np.cumsum([task.rows for task in tasks])[:-1]
        split = {name: np.split(array, ends) for name, array in outputs.items()}
        return [{name: pieces[index] for name, pieces in split.items()} for index in range(len(tasks))]


def _rows(inputs: Arrays) -> int:
    """Return the number of rows that all inputs share.

    Raises:
        StatusError: INVALID_ARGUMENT, there are no inputs, or they differ in rows.
    """
    if not inputs:
        raise status.invalid_argument("Batching Run() must have at least one input tensor.")
    if any(array.ndim == 0 for array in inputs.values()):
        raise status.invalid_argument("Batching Run() input tensors must have at least one dimension.")
    sizes = {array.shape[0] for array in inputs.values()}
    if len(sizes) != 1:
        raise status.invalid_argument("Batching Run() input tensors must have equal 0th-dimension size.")
    return sizes.pop()
