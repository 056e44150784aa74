"""The Dask cluster of --cluster, whose workers compute the tasks of a command."""

import concurrent.futures
import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import rich.console

from components.base.errors import PilahError
from pipeline import cluster_arguments, cluster_check, cluster_tls
from pipeline.config import Config
from pipeline.progress import Progress

if TYPE_CHECKING:
    import distributed

CONNECT_SECONDS = 10
DESCRIBE_SECONDS = 2.0  # between two requests to the scheduler
log = logging.getLogger("pilah")
CONTINUE = "run the same command again: finished work is kept."
LOST = f"The connection to the Dask scheduler was lost. Start it again, and {CONTINUE}"


class ClusterError(PilahError, concurrent.futures.BrokenExecutor):
    """The cluster cannot finish a task."""


class Cluster(concurrent.futures.Executor):
    """Executor whose tasks run on the workers of a cluster, in a process each, if they pass cluster_check.

    A worker that dies, or does not answer for some seconds, loses its tasks to others.

    Attributes:
        workers: number of workers at the start.
        dashboard: address of Dask's dashboard.
    """

    def __init__(self, client: "distributed.Client", driver: cluster_check.Driver):
        self._client, self._driver = client, driver
        self._arguments = cluster_arguments.Sender(driver.probe)
        self._passed: set[str] = set()  # addresses of workers
        self._failed: set[str] = set()
        self._described_at, self._description = -DESCRIBE_SECONDS, ""
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        self.workers, self.dashboard = len(workers), client.dashboard_link
        has_gpus = any(worker["resources"].get("GPU") for worker in workers)
        self._executor = client.get_executor(pure=False, **({"resources": {"GPU": 1}} if has_gpus else {}))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "concurrent.futures.Future[Any]":
        """Submit a task. Its future raises ClusterError if the scheduler is lost, or if the task kills its workers."""
        outer: concurrent.futures.Future[Any] = concurrent.futures.Future()
        sent = [self._arguments.replace(argument) for argument in args]
        inner = self._executor.submit(cluster_check.run_on_checked_worker, self._driver, fn, sent, kwargs)
        inner.add_done_callback(functools.partial(_copy_outcome, outer))
        return outer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._executor.shutdown(wait=wait)

    def check_new_workers(self) -> dict[str, str]:
        """Check the workers that have joined since the last call; return address -> what is wrong and what to do.

        Those that do not answer are checked again by the next call, unless the scheduler has given them up.
        """
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        new = workers.keys() - self._passed - self._failed
        problems = cluster_check.problems(self._client, self._driver, workers, new)
        self._passed |= new - problems.keys()
        return problems

    def describe(self) -> str:
        """Return the number of workers and of their current tasks, as text; check the workers that are new."""
        if time.monotonic() - self._described_at < DESCRIBE_SECONDS or self._client.status != "running":
            return self._description
        try:
            for address, problem in self.check_new_workers().items():
                if not problem.endswith(cluster_check.NO_ANSWER):  # the scheduler gives up those that do not answer
                    log.error("%s It gets no tasks of this run.", problem)
                    self._failed.add(address)
            tasks = self._client.processing()
        except OSError:  # the scheduler is lost, and the futures of the tasks raise ClusterError
            return self._description
        counts = [len(tasks[address]) for address in tasks if address in self._passed]
        if not counts and not self._description.startswith("0 workers"):
            log.warning("The cluster has no worker that can compute this run. It continues when one joins.")
        self._description = f"{len(counts)} workers, {sum(counts)} tasks"
        self._described_at = time.monotonic()
        return self._description


def check(config: Config, console: rich.console.Console) -> None:
    """Check the workers of --cluster before any work, if there is one, and print the address of its dashboard.

    Raises:
        PilahError: the scheduler does not answer or has no worker, or a worker does not compute as this process does.
    """
    if not config.cluster:
        return
    with _connected(config) as cluster:
        try:
            problems = cluster.check_new_workers()
        except OSError as error:
            raise ClusterError(LOST) from error
        for problem in problems.values():
            raise PilahError(problem)
        state = f"cluster {config.cluster}: {cluster.describe()}, dashboard {cluster.dashboard}"
        console.print(state, soft_wrap=True, highlight=False)


@contextlib.contextmanager
def executor(config: Config, progress: Progress) -> Iterator[tuple[Cluster | None, Progress]]:
    """Yield an executor on the cluster of --cluster, and `progress` with its state; without a cluster, no executor.

    Tasks that are not finished are cancelled when the block ends.

    Raises:
        PilahError: the scheduler does not answer, or has no worker.
    """
    if not config.cluster:
        yield None, progress
        return
    with _connected(config) as cluster:

        def with_state(done: int, total: int, what: str = "", note: str = "") -> None:
            progress(done, total, what, note or cluster.describe())

        yield cluster, with_state


@contextlib.contextmanager
def _connected(config: Config) -> Iterator[Cluster]:
    """Yield the cluster of --cluster, with at least one worker.

    Raises:
        PilahError: the scheduler does not answer, or has no worker, or there is no certificate for tls://.
    """
    import distributed  # here, because it takes half a second that runs on one machine do not need

    cluster_tls.check(config.cluster or "", "client")
    try:
        client = distributed.Client(config.cluster, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise PilahError(
            f"--cluster must be the address of a running Dask scheduler (got {config.cluster}: {error}). Start one "
            "with 'python -m pipeline scheduler', or leave --cluster out."
        ) from error
    with client, cluster_check.driver(config) as driver:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)  # killed ones are started again
            cluster = Cluster(client, driver)
        except TimeoutError as error:
            raise PilahError(
                f"--cluster {config.cluster} has no worker. Start some with 'python -m pipeline worker "
                f"{config.cluster}'."
            ) from error
        except OSError as error:
            raise ClusterError(LOST) from error
        yield cluster


def _copy_outcome(outer: "concurrent.futures.Future[Any]", inner: "concurrent.futures.Future[Any]") -> None:
    """Finish `outer` as `inner`, with ClusterError for the errors of Dask itself."""
    import distributed

    if not outer.set_running_or_notify_cancel():
        return
    if inner.cancelled():
        outer.set_exception(ClusterError(LOST))
    elif isinstance(error := inner.exception(), distributed.KilledWorker):
        outer.set_exception(
            ClusterError(
                f"{error.allowed_failures + 1} workers died or did not answer with the same task, such as for lack of "
                f"memory (the last one was {error.last_worker.address}). Start fewer on each machine, and {CONTINUE}"
            )
        )
    elif error:
        outer.set_exception(error)
    else:
        outer.set_result(inner.result())
