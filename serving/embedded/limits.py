"""The number of predictions at once, beyond which the server refuses requests instead of queueing them without end."""

import contextlib
import threading
from collections.abc import Iterator

from serving.embedded import status


class Places:
    """As many places for predictions as the server has threads for them."""

    def __init__(self, count: int):
        self._count, self._free = count, threading.BoundedSemaphore(count)

    @contextlib.contextmanager
    def take(self) -> Iterator[None]:
        """Take a place for the block.

        Raises:
            StatusError: RESOURCE_EXHAUSTED, as from TensorFlow Serving without a free thread: all places are taken.
        """
        if not self._free.acquire(blocking=False):
            raise status.StatusError(
                status.Code.RESOURCE_EXHAUSTED,
                f"Server Threadpool Exhausted: {self._count} predictions are in progress. Try again later, or start "
                "the server with more --grpc_max_threads.",
            )
        try:
            yield
        finally:
            self._free.release()
