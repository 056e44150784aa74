"""The processes of a Dask cluster: a scheduler, and workers with one thread each."""

import asyncio
import concurrent.futures
import multiprocessing
import os
import re
import signal
import socket
from collections.abc import Coroutine
from typing import Any

import dask
import distributed

from components.base import machine
from components.base.errors import PilahError
from pipeline import cluster_tls, cluster_worker

SCHEDULER_SETTINGS = {
    # A worker that has not answered for 5 s loses its tasks; Dask waits at least as long, and checks this often.
    "distributed.scheduler.worker-ttl": "2s",
    "distributed.comm.timeouts.connect": "2s",  # for the connection to the parent process of a worker that hangs
    # Each worker gets one task at a time, so that none waits behind another while some worker is idle.
    "distributed.scheduler.worker-saturation": 1.0,
}


def run_scheduler(host: str, port: int, dashboard_port: int) -> None:
    """Run a scheduler that listens on `host`, with a dashboard, until the process is interrupted."""
    protocol = "tls" if dask.config.get("distributed.comm.tls.scheduler.cert") else "tcp"

    async def run() -> None:
        async with distributed.Scheduler(
            host=host, port=port, protocol=protocol, dashboard=True, dashboard_address=f"{host}:{dashboard_port}"
        ) as scheduler:
            dashboard = f"http://{host}:{scheduler.services['dashboard'].port}/status"
            print(f"scheduler at {scheduler.address}, dashboard at {dashboard}", flush=True)
            await _finished_or_interrupted(scheduler.finished())

    with dask.config.set(SCHEDULER_SETTINGS):
        try:
            asyncio.run(run())
        except RuntimeError as error:  # of Dask, with the cause
            raise PilahError(
                f"The scheduler cannot listen on {host}:{port} ({error.__cause__}). Choose another --host or --port."
            ) from error


def run_workers(address: str, number: int | None, host: str | None) -> None:
    """Run workers for the scheduler at `address` until the process is interrupted; each that dies is started again.

    Args:
        number: number of workers; None starts one for each GPU, or for each core of a machine without one.
        host: address of this machine for the scheduler and the other workers; None finds it.
    """
    cluster_tls.check(address, "worker")
    # in a process of its own, because TensorFlow would take memory as long as the workers run
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        gpus = pool.submit(_count_gpus).result()
    # without a host, workers would listen on all networks of this machine
    own_host = host or distributed.utils.get_ip(*_host_and_port(address))
    name = f"{socket.gethostname()}-{os.getpid()}"

    async def run() -> None:
        nannies = [
            distributed.Nanny(
                address,
                name=f"{name}-{index}",
                nthreads=1,
                memory_limit=0,  # Dask would count mapped files, and stop workers that have enough memory
                resources={"GPU": 1} if gpus else None,
                env={cluster_worker.GPU_NUMBER: str(index % gpus)} if gpus else None,
                preload=cluster_worker.__name__,
                host=own_host,
                dashboard=False,
            )
            for index in range(number or gpus or machine.cores())
        ]
        await asyncio.gather(*nannies)
        print(f"{len(nannies)} workers for {address}: {', '.join(str(nanny.name) for nanny in nannies)}", flush=True)
        try:
            await _finished_or_interrupted(*(nanny.finished() for nanny in nannies))
        finally:
            await asyncio.gather(*(nanny.close(timeout=2) for nanny in nannies))

    asyncio.run(run())


def _count_gpus() -> int:
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


def _host_and_port(address: str) -> tuple[str, int]:
    """Return the parts of an address such as tcp://10.0.0.5:8786.

    Raises:
        PilahError: it is no such address.
    """
    parts = re.fullmatch(r"(?:tcp|tls)://(.+):(\d{1,5})", address)
    if not parts:
        raise PilahError(f"ADDRESS must be that of a scheduler, such as tcp://10.0.0.5:8786 (got {address}).")
    return parts[1], int(parts[2])


async def _finished_or_interrupted(*ends: Coroutine[Any, Any, Any]) -> None:
    """Wait until all `ends` are done, or the process gets SIGTERM or SIGINT."""
    interrupted = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, interrupted.set)
    tasks = [asyncio.ensure_future(asyncio.gather(*ends)), asyncio.ensure_future(interrupted.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
