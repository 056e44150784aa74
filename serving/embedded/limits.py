"""The number of predictions at once, beyond which the server refuses requests instead of queueing them without end."""

import contextlib
import threading
from collections.abc import Iterator

from serving.embedded import status


class ConcurrencyLimit:
    """A limit of `count` predictions at once, the number of threads that the server has for them."""

    def __init__(self, count: int):
        self._count, self._semaphore = count, threading.BoundedSemaphore(count)

    @contextlib.contextmanager
    def acquire(self) -> Iterator[None]:
        """Count a prediction for the duration of the block.

        Raises:
            StatusError: RESOURCE_EXHAUSTED, as from TensorFlow Serving without a free thread: `count` predictions are
                in progress.
        """
        if not self._semaphore.acquire(blocking=False):
            raise status.StatusError(
                status.Code.RESOURCE_EXHAUSTED,
                f"Server Threadpool Exhausted: {self._count} predictions are in progress. Try again later, or start "
                "the server with more --grpc_max_threads.",
            )
        try:
            yield
        finally:
            self._semaphore.release()
