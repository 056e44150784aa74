"""Requests that arrive together run together, as TensorFlow Serving's batching session lets them."""

import collections
import concurrent.futures
import dataclasses
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np

from serving.embedded import status
from serving.protos import server_config_pb2

Arrays = Mapping[str, np.ndarray]
Program = tuple[str, tuple[str, ...]]  # a signature and the outputs wanted of it
Run = Callable[[Program, Arrays], Arrays]
Key = tuple[Program, tuple[tuple[str, str, tuple[int, ...]], ...]]  # and each input's name, dtype and shape of a row


@dataclasses.dataclass(frozen=True)
class Parameters:
    """As TensorFlow Serving's BatchingParameters; its defaults for what is not given."""

    max_batch_size: int = 1000  # rows
    batch_timeout_seconds: float = 0.0  # that the oldest request of a batch waits for others
    max_enqueued_batches: int = 10
    num_batch_threads: int = 2

    @classmethod
    def of(cls, proto: server_config_pb2.BatchingParameters, default_threads: int) -> "Parameters":
        """`proto` with defaults filled in; `default_threads` as many as the machine has cores."""
        values: dict[str, float] = {"num_batch_threads": default_threads}
        values |= {field.name: value.value for field, value in proto.ListFields()}
        if "batch_timeout_micros" in values:
            values["batch_timeout_seconds"] = values.pop("batch_timeout_micros") / 1e6
        return cls(**values)  # type: ignore[arg-type]  # the proto's numbers are integers


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
    """Runs tasks of the same program, dtypes and shapes (but for the first axis) as one.

    Args:
        run: what computes a batch, from several threads at once: program, inputs [rows, ...] -> outputs [rows, ...].
    """

    def __init__(self, run: Run, parameters: Parameters):
        self._run, self._parameters = run, parameters
        self._changed = threading.Condition()
        self._queue: collections.deque[_Batch] = collections.deque()  # oldest first
        self._open: dict[Key, _Batch] = {}  # key -> the batch in the queue that takes further tasks
        self._closing = False
        self._threads = [
            threading.Thread(target=self._work, name=f"batch-{number}", daemon=True)
            for number in range(parameters.num_batch_threads)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, program: Program, inputs: Arrays, timeout_seconds: float | None = None) -> Arrays:
        """The outputs for `inputs`, arrays that share their first axis, computed with whatever else is waiting.

        Raises:
            StatusError: INVALID_ARGUMENT, the inputs share no first axis or are more rows than a batch may have;
                UNAVAILABLE, the queue is full; DEADLINE_EXCEEDED; or what the model answered to these inputs.
        """
        task = _Task(inputs, _rows(inputs), concurrent.futures.Future())
        shapes = tuple((name, array.dtype.str, array.shape[1:]) for name, array in sorted(inputs.items()))
        self._enqueue((program, shapes), task)
        try:
            return task.result.result(timeout_seconds)
        except concurrent.futures.TimeoutError as error:
            task.result.cancel()
            raise status.StatusError(status.Code.DEADLINE_EXCEEDED, "Deadline passed in the batching queue.") from error

    def close(self) -> None:
        """Finish what is queued and end the threads."""
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
                self._answer(batch.key[0], tasks)

    def _next(self) -> _Batch | None:
        """The oldest batch that is due, waiting for one; None once closing and empty."""
        with self._changed:
            while True:
                now, timeout = time.monotonic(), self._parameters.batch_timeout_seconds
                for batch in self._queue:
                    full = batch.rows >= self._parameters.max_batch_size or self._open.get(batch.key) is not batch
                    if full or self._closing or now - batch.opened >= timeout:
                        self._queue.remove(batch)
                        if self._open.get(batch.key) is batch:
                            del self._open[batch.key]
                        return batch
                if self._closing:
                    return None
                self._changed.wait(self._queue[0].opened + timeout - now if self._queue else None)

    def _answer(self, program: Program, tasks: list[_Task]) -> None:
        try:
            parts = self._run_together(program, tasks)
        except Exception as error:
            if len(tasks) == 1:
                tasks[0].result.set_exception(error)
                return
            for task in tasks:  # one of them is at fault: each by itself, so that the others are answered
                self._answer(program, [task])
            return
        for task, part in zip(tasks, parts, strict=True):
            task.result.set_result(part)

    def _run_together(self, program: Program, tasks: list[_Task]) -> list[Arrays]:
        together = {name: np.concatenate([task.inputs[name] for task in tasks]) for name in tasks[0].inputs}
        rows = sum(task.rows for task in tasks)
        outputs = self._run(program, together)
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
    if not inputs:
        raise status.invalid_argument("Batching Run() must have at least one input tensor.")
    if any(array.ndim == 0 for array in inputs.values()):
        raise status.invalid_argument("Batching Run() input tensors must have at least one dimension.")
    sizes = {array.shape[0] for array in inputs.values()}
    if len(sizes) != 1:
        raise status.invalid_argument("Batching Run() input tensors must have equal 0th-dimension size.")
    return sizes.pop()
