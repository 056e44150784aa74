"""Load, listen, and on SIGTERM end what was begun."""

import concurrent.futures
import logging
import os
import pathlib
import signal
import time

from serving.embedded import batching, grpc_server, predict, rest_server, versions
from serving.embedded.flags import Flags

LOOK_SECONDS = 0.2  # between looks for a signal
GRACE_SECONDS = 30.0  # that calls under way have to end
log = logging.getLogger("serving")


class Server:
    """The embedded server; ports are 0 where it may choose.

    Raises, in `start`:
        StatusError: a model has no version that can be loaded.
        OSError, RuntimeError: a port is taken.
    """

    def __init__(self, flags: Flags):
        self._flags = flags
        parameters = flags.batching and batching.Parameters.of(flags.batching, os.cpu_count() or 1)

        def load(name: str, version: int, path: pathlib.Path) -> predict.Servable:
            return predict.Servable(name, version, path, parameters)

        self.models = versions.Models(load)
        self._grpc = grpc_server.GrpcServer(self.models, flags.host, flags.grpc_max_threads)
        self._rest: rest_server.RestServer | None = None
        self.port = self.rest_api_port = 0

    def start(self) -> None:
        """Load the models, then listen: whoever connects finds them there."""
        self.models.configure(self._flags.models)
        self.port = self._grpc.start(self._flags.port)
        log.info("gRPC at %s:%d", self._flags.host, self.port)
        if self._flags.rest_api_port:
            self._rest = rest_server.RestServer(
                self.models,
                self._flags.host,
                self._flags.rest_api_port,
                self._flags.metrics_path,
                self._flags.grpc_max_threads,
            )
            self.rest_api_port = self._rest.start()
            log.info("REST at %s:%d", self._flags.host, self.rest_api_port)
        if self._flags.file_system_poll_wait_seconds > 0:
            self.models.poll(self._flags.file_system_poll_wait_seconds)

    def stop(self) -> None:
        """Take no more calls, end those under way, unload."""
        faces = [face for face in (self._rest, self._grpc) if face]
        with concurrent.futures.ThreadPoolExecutor(len(faces)) as pool:  # at once: neither takes new calls meanwhile
            for _ in pool.map(lambda face: face.drain(GRACE_SECONDS), faces):
                pass
        self.models.close(GRACE_SECONDS)


def run_until_terminated(flags: Flags) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    ended_by: list[int] = []  # no Event: a second signal's handler would wait for the lock that the first one's holds
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: ended_by.append(received))
    server = Server(flags)
    server.start()
    while not ended_by:  # looked at, not waited for: a signal that another thread receives wakes nobody
        time.sleep(LOOK_SECONDS)
    log.info("Draining: calls under way have %d s", GRACE_SECONDS)
    server.stop()
    for number in (signal.SIGTERM, signal.SIGINT):  # Python forgets handlers as it exits, and would die of another one
        signal.signal(number, signal.SIG_IGN)
    log.info("Stopped")
