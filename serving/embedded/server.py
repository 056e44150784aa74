"""The embedded server: load the models, listen, and drain on SIGTERM."""

import concurrent.futures
import logging
import os
import pathlib
import signal
import time

from serving.embedded import batching, config_file, flags, grpc_server, predict, rest_server, versions

SIGNAL_POLL_SECONDS = 0.2
GRACE_SECONDS = 30.0  # for current calls to finish
log = logging.getLogger("serving")


class Server:
    """The embedded server.

    Attributes:
        port, rest_api_port: ports after `start`; rest_api_port is 0 without REST.
    """

    def __init__(self, options: flags.Flags):
        self._options = options
        parameters = options.batching and batching.Parameters.of(options.batching, os.cpu_count() or 1)

        def load(name: str, version: int, path: pathlib.Path) -> predict.Servable:
            return predict.Servable(name, version, path, parameters)

        self.models = versions.Models(load, options.allow_version_labels_for_unavailable_models)
        self._grpc = grpc_server.GrpcServer(self.models, options)
        self._rest: rest_server.RestServer | None = None
        self.port = self.rest_api_port = 0

    def start(self) -> None:
        """Load the models, then listen.

        Raises:
            StatusError: a model has no version that can be loaded.
            OSError, RuntimeError: a port is in use.
        """
        options = self._options
        self.models.configure(options.models)
        self.port = self._grpc.start(options.port)
        log.info("gRPC at %s:%d", options.host, self.port)
        if options.rest_api_port:
            self._rest = rest_server.RestServer(
                self.models,
                host=options.host,
                port=options.rest_api_port,
                metrics_path=options.metrics_path,
                threads=options.grpc_max_threads,
            )
            self.rest_api_port = self._rest.start()
            log.info("REST at %s:%d", options.host, self.rest_api_port)
        if options.file_system_poll_wait_seconds > 0:
            self.models.poll(options.file_system_poll_wait_seconds)
        if options.model_config_file and options.model_config_file_poll_wait_seconds > 0:
            seconds = options.model_config_file_poll_wait_seconds
            config_file.poll(options.model_config_file, seconds, self.models, options.models)

    def stop(self) -> None:
        """Refuse new calls, let current ones finish, and unload the models."""
        servers = [server for server in (self._rest, self._grpc) if server]
        with concurrent.futures.ThreadPoolExecutor(len(servers)) as pool:  # in parallel: both refuse new calls at once
            for _ in pool.map(lambda server: server.drain(GRACE_SECONDS), servers):
                pass
        self.models.close(GRACE_SECONDS)


def run_until_terminated(options: flags.Flags) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    signals: list[int] = []  # not an Event: the second signal's handler would wait for the lock of the first one's
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: signals.append(received))
    server = Server(options)
    server.start()
    while not signals:  # polls, because a signal that another thread receives does not wake this one
        time.sleep(SIGNAL_POLL_SECONDS)
    log.info("Draining: current calls have %d s to finish", GRACE_SECONDS)
    server.stop()
    for number in (signal.SIGTERM, signal.SIGINT):  # otherwise a signal during the exit kills Python
        signal.signal(number, signal.SIG_IGN)
    log.info("Stopped")
