"""Checks that the workers of a Dask cluster see the run folder, and compute as the driver does."""

import asyncio
import collections
import contextlib
import dataclasses
import importlib.metadata
import logging
import pathlib
import platform
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.base import artifacts
from components.base.errors import PilahError
from components.models import features, inference
from pipeline import cluster_arguments, provenance, recipe, run_folder
from pipeline.config import Config

if TYPE_CHECKING:
    import distributed

PACKAGES = (*provenance.PACKAGES, "openvino", "mnn", "distributed")
MIN_MEMORY_BYTES = 1.5e9  # for TensorFlow with a backbone
SECONDS = 10  # in which a worker must answer
NO_ANSWER = f"did not answer within {SECONDS} s. Stop it, or start it again."
log = logging.getLogger("pilah")
_code_of_worker = ""
_passed: set[str] = set()  # tokens of the drivers whose check this worker has passed


@dataclasses.dataclass(frozen=True)
class Machine:
    """What the results of a process depend on.

    Attributes:
        code: fingerprint of its code.
        packages: name -> version of Python and of the packages that matter.
        settings: name -> value of the settings that it resolves for the run.
        fault: why it cannot compute the run; "" if it can.
    """

    code: str
    packages: Mapping[str, str]
    settings: Mapping[str, Any]
    fault: str = ""


@dataclasses.dataclass(frozen=True)
class Driver:
    """The process that submits the tasks.

    Attributes:
        probe: file in the run folder that workers must see; they put an answer beside it.
        token: content of that file.
    """

    config: Config
    probe: pathlib.Path
    token: str
    machine: Machine

    def answer(self, worker: str) -> pathlib.Path:
        """Return the path of the answer of the worker with this name."""
        return self.probe.with_name(f"{self.probe.name}-{artifacts.digest(worker)}")


@contextlib.contextmanager
def driver(config: Config) -> Iterator[Driver]:
    """Yield this process as driver, with a probe file in the run folder until the block ends."""
    folder, token = config.run_dir / run_folder.TEMPORARY, secrets.token_hex(8)
    folder.mkdir(exist_ok=True)
    probe = folder / f"probe-{token}"
    probe.write_text(token)
    try:
        yield Driver(config, probe, token, _machine(config))
    finally:
        for file in folder.glob(f"{probe.name}*"):
            file.unlink(missing_ok=True)


def problems(
    client: "distributed.Client", driver: Driver, workers: Mapping[str, Mapping[str, Any]], new: Collection[str]
) -> dict[str, str]:
    """Check workers at the same time; return address -> what is wrong and what to do, for those that fail.

    Args:
        workers: address -> information of all workers, as in client.scheduler_info.
        new: addresses of those to check.
    """
    on_host = collections.Counter(worker["host"] for worker in workers.values())

    async def check_all() -> dict[str, str]:
        checks = {
            address: asyncio.ensure_future(
                _problem_of(client, driver, address, workers[address], on_host[workers[address]["host"]])
            )
            for address in new
        }
        await asyncio.wait(checks.values(), timeout=SECONDS)
        problem_of = {address: check.result() if check.done() else NO_ANSWER for address, check in checks.items()}
        for check in checks.values():
            check.cancel()
        return {
            address: f"The worker {workers[address]['name']} {problem}"
            for address, problem in problem_of.items()
            if problem
        }

    return client.sync(check_all) if new else {}


async def _problem_of(
    client: "distributed.Client", driver: Driver, address: str, worker: Mapping[str, Any], on_host: int
) -> str:
    """Return what is wrong with a worker and what to do; "" if nothing is, or if it has gone.

    Args:
        on_host: number of workers on its machine.
    """
    if worker["nthreads"] != 1:  # Keras has one state for all threads
        return f"has {worker['nthreads']} threads, and must have 1. Start it with 'python -m pipeline worker'."
    name = str(worker["name"])
    try:
        answers = await client.run(find_problem, driver, name, on_host, workers=[address], on_error="return")
    except ValueError:  # it has gone
        return ""
    answer = answers.get(address, "")
    if isinstance(answer, Exception):
        reason = " ".join(str(answer).split())[:200]
        return f"cannot be checked ({type(answer).__name__}: {reason}). Install this version of Pilah there."
    problem: str = answer
    return problem or ("" if driver.answer(name).exists() else _not_seen(driver, "it is another folder there"))


async def find_problem(driver: Driver, worker: str, on_host: int) -> str:
    """Return what is wrong with this process as a worker, and what to do; "" if nothing is."""
    return await asyncio.to_thread(_problem_here, driver, worker, on_host)


def _problem_here(driver: Driver, worker: str, on_host: int = 1) -> str:
    """Compare this process with the driver, and leave an answer beside the probe file."""
    try:
        if driver.probe.read_text() != driver.token:
            return _not_seen(driver, "another probe file is there")
        driver.answer(worker).write_text(driver.token)
    except OSError as error:
        return _not_seen(driver, error.strerror or str(error))
    if not _code_of_worker:
        return "was started without --preload pipeline.cluster_worker. Start it with 'python -m pipeline worker'."
    from distributed.system import MEMORY_LIMIT  # here, because runs on one machine do not need it

    return compare(_machine(driver.config), driver.machine, MEMORY_LIMIT // on_host)


def compare(machine: Machine, expected: Machine, memory_bytes: int) -> str:
    """Return what differs from `expected`, and what to do; "" if results will be the same.

    Args:
        memory_bytes: memory of the worker's machine or container, divided by its workers.
    """
    for name, version in expected.packages.items():
        if machine.packages.get(name) != version:
            return (
                f"has {name} {machine.packages.get(name)}, and this machine {version}. Install the same version there."
            )
    if machine.code != expected.code:
        return "has other code of Pilah. Update it, and start the worker again."
    if machine.fault:
        return f"cannot compute this run: {machine.fault}"
    for name, value in expected.settings.items():
        if machine.settings[name] != value:
            return (
                f"would compute with the {name} {machine.settings[name]}, and this machine with {value}. Use machines "
                "of one kind, or set --engine and --precision."
            )
    if memory_bytes < MIN_MEMORY_BYTES:
        return f"has {memory_bytes / 1e9:.1f} GB of memory, but needs {MIN_MEMORY_BYTES / 1e9:g} GB."
    return ""


def _not_seen(driver: Driver, reason: str) -> str:
    folder = driver.config.run_dir
    return f"does not see {folder} ({reason}). Mount the run folder there under the same path, for writing."


def prepare() -> None:
    """Remember that this process is a worker, and the fingerprint of its code, because the files may change later."""
    global _code_of_worker
    _code_of_worker = provenance.code_fingerprint()


def _machine(config: Config) -> Machine:
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    machine = Machine(
        _code_of_worker or provenance.code_fingerprint(), {"Python": platform.python_version(), **versions}, {}
    )
    try:
        engines = {f"engine of {name}": recipe.engine(config, name) for name in config.backbones}
    except PilahError as error:
        return dataclasses.replace(machine, fault=str(error))
    precision = features.pick_precision(config.precision)
    return dataclasses.replace(
        machine, settings={"precision": precision, **engines, "device": "GPU" if inference.on_gpu() else "CPU"}
    )


def run_on_checked_worker(
    driver: Driver, fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Run a task, or give it back to the scheduler if this worker fails the check.

    The driver checks all workers too, but later than a worker that joins can get its first task.

    Args:
        args: arguments of `fn`, large ones as references, see cluster_arguments.
    """
    import distributed

    if driver.token not in _passed:
        if problem := _problem_here(driver, "task"):
            log.error("This worker %s It gets no tasks of %s.", problem, driver.config.run_dir)
            time.sleep(1)  # so that the task goes to another worker
            raise distributed.Reschedule
        _passed.add(driver.token)
    return fn(*map(cluster_arguments.restore, args), **kwargs)
