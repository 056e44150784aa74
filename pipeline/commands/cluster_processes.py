"""The processes of a Dask cluster: a scheduler, and workers with one thread each."""

import asyncio
import concurrent.futures
import contextlib
import itertools
import multiprocessing
import os
import re
import signal
import socket
import time
from collections.abc import Coroutine
from typing import Any

import dask
import distributed
from distributed.scheduler import heartbeat_interval

from components.base import machine
from components.base.errors import PilahError
from pipeline import cluster_tls, cluster_worker

# Each worker gets one task at a time, so that none waits behind another while some worker is idle.
SCHEDULER_SETTINGS = {"distributed.scheduler.worker-saturation": 1.0, "distributed.scheduler.worker-ttl": None}
MISSED_HEARTBEATS = 10  # after which a worker is given up: 5 s with fewer than 10 workers
CHECK_SECONDS = 1.0
KILL_SECONDS = 30
RESTART_SECONDS = 2.0  # before a worker that has ended is started again


def run_scheduler(host: str, port: int, dashboard_port: int) -> None:
    """Run a scheduler that listens on `host`, with a dashboard, until the process is interrupted.

    Raises:
        PilahError: it cannot listen there.
    """
    protocol = "tls" if dask.config.get("distributed.comm.tls.scheduler.cert") else "tcp"

    async def run() -> None:
        async with distributed.Scheduler(
            host=host, port=port, protocol=protocol, dashboard=True, dashboard_address=f"{host}:{dashboard_port}"
        ) as scheduler:
            dashboard = f"http://{host}:{scheduler.services['dashboard'].port}/status"
            print(f"scheduler at {scheduler.address}, dashboard at {dashboard}", flush=True)
            await _until_interrupted(_give_up_silent_workers(scheduler))

    with dask.config.set(SCHEDULER_SETTINGS):
        try:
            asyncio.run(run())
        except RuntimeError as error:  # of Dask, with the cause
            if not isinstance(error.__cause__, OSError):
                raise
            raise PilahError(
                f"The scheduler cannot listen on {host}:{port} ({error.__cause__}). Choose another --host or --port."
            ) from error


async def _give_up_silent_workers(scheduler: distributed.Scheduler) -> None:
    """Give the tasks of workers that send no heartbeat to others, and let their parent processes replace them.

    Dask's own worker-ttl would first wait 30 s for an answer of the parent process.
    """
    kills: set[asyncio.Task[None]] = set()
    while True:
        started = time.monotonic()
        await asyncio.sleep(CHECK_SECONDS)
        if time.monotonic() - started > 2 * CHECK_SECONDS:  # this process was busy, and has not read the heartbeats
            continue
        now = distributed.metrics.time()
        limit_seconds = MISSED_HEARTBEATS * heartbeat_interval(len(scheduler.workers))
        for worker in [*scheduler.workers.values()]:
            if now - worker.last_seen > limit_seconds:
                print(f"no heartbeat from {worker.name}: its tasks go to others", flush=True)
                await scheduler.remove_worker(worker.address, stimulus_id="no-heartbeat")
                if worker.nanny:
                    kills.add(kill := asyncio.create_task(_kill(worker.nanny, scheduler)))
                    kill.add_done_callback(kills.discard)


async def _kill(nanny: str, scheduler: distributed.Scheduler) -> None:
    """Let the parent process at the address `nanny` kill its worker, which it then replaces, if it can be reached."""
    with contextlib.suppress(OSError):
        async with distributed.rpc(nanny, connection_args=scheduler.connection_args) as parent:
            await asyncio.wait_for(parent.kill(reason="no heartbeat"), KILL_SECONDS)


def run_workers(address: str, number: int | None, host: str | None) -> None:
    """Run workers for the scheduler at `address` until the process is interrupted; each that ends is started again.

    Args:
        number: number of workers; None starts one for each GPU, or for each core of a machine without one.
        host: address of this machine for the scheduler and the other workers; None finds it.

    Raises:
        PilahError: `address` is no address of a scheduler, or there is no certificate for it.
    """
    cluster_tls.check(address, "worker")
    # without a host, workers would listen on all networks of this machine
    own_host = host or _own_host(address)
    # in a process of its own, because TensorFlow would take memory as long as the workers run
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        gpus = pool.submit(_count_gpus).result()
    name = f"{socket.gethostname()}-{os.getpid()}"
    starts = itertools.count()  # a worker that is started again needs another name

    def new_nanny(index: int) -> distributed.Nanny:
        return distributed.Nanny(
            address,
            name=f"{name}-{next(starts)}",
            nthreads=1,
            memory_limit=0,  # Dask would count mapped files, and stop workers that have enough memory
            resources={"GPU": 1} if gpus else None,
            env={cluster_worker.GPU_NUMBER: str(index % gpus)} if gpus else None,
            preload=cluster_worker.__name__,
            host=own_host,
            dashboard=False,
        )

    async def run() -> None:
        nannies = [new_nanny(index) for index in range(number or gpus or machine.cores())]

        async def keep(index: int) -> None:
            while True:
                await nannies[index].finished()
                await asyncio.sleep(RESTART_SECONDS)
                nannies[index] = new_nanny(index)
                print(f"{nannies[index].name} replaces a worker that has ended", flush=True)
                with contextlib.suppress(OSError, RuntimeError):  # such as no network: it has ended, and is replaced
                    await nannies[index]

        async def start() -> None:
            await asyncio.gather(*nannies)
            print(f"{len(nannies)} workers for {address}: {', '.join(nanny.name for nanny in nannies)}", flush=True)
            await asyncio.gather(*(keep(index) for index in range(len(nannies))))

        try:
            await _until_interrupted(start())
        finally:
            await asyncio.gather(*(nanny.close(timeout=10) for nanny in nannies))

    try:
        asyncio.run(run())
    except RuntimeError as error:  # of Dask, with the cause
        if not isinstance(error.__cause__, OSError):
            raise
        raise PilahError(f"The workers cannot listen on {own_host} ({error.__cause__}). Correct --host.") from error


def _count_gpus() -> int:
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


def _own_host(address: str) -> str:
    """Return the address of this machine from which it reaches the scheduler at `address`.

    Raises:
        PilahError: `address` is not like tcp://10.0.0.5:8786, or its host is not known.
    """
    parts = re.fullmatch(r"(?:tcp|tls)://\[?([^\[\]]+)\]?:(\d{1,5})", address)
    if not parts or int(parts[2]) > 65535:
        raise PilahError(f"ADDRESS must be that of a scheduler, such as tcp://10.0.0.5:8786 (got {address}).")
    try:
        (family, kind, _, _, target), *_ = socket.getaddrinfo(parts[1], int(parts[2]), type=socket.SOCK_DGRAM)
        with socket.socket(family, kind) as probe:
            probe.connect(target)  # sends nothing with UDP
            own: str = probe.getsockname()[0]
    except OSError as error:
        raise PilahError(f"The host of {address} is not known or not reachable ({error}). Correct ADDRESS.") from error
    return own


async def _until_interrupted(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until the process gets SIGTERM or SIGINT, or `work` fails."""
    interrupted = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, interrupted.set)
    running = [asyncio.ensure_future(task) for task in (work, interrupted.wait())]
    done, pending = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()
