"""Runs on a Dask cluster of this machine: a scheduler and two workers, each a process."""

import contextlib
import dataclasses
import os
import pathlib
import re
import socket
import subprocess
import sys
import time
from typing import ClassVar

import distributed
import numpy as np
import pytest
import rich.console

from components.base import artifacts
from components.base.errors import PilahError
from components.models import assembly
from pipeline import cluster, cluster_check, lock, run_folder, runner
from pipeline import config as config_module
from pipeline.commands import audit, leakage_check
from pipeline.stages import choice, dataset, features, model, photos, refine, search

START_SECONDS = 180
ROOT = pathlib.Path(__file__).parents[2]


@contextlib.contextmanager
def program(log, *arguments):
    """Run a command of the pipeline with its output in the file `log`."""
    with log.open("wb") as stream:
        command = [sys.executable, "-m", "pipeline", *arguments]
        environment = {**os.environ, "TMPDIR": str(log.parent)}  # Dask leaves a folder there
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=stream, stderr=stream)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def wait_for(pattern, log, process):
    """Return the match of `pattern` in the output of a program, once it is there."""
    deadline = time.monotonic() + START_SECONDS
    while not (match := re.search(pattern, log.read_text())):
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    return match


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def scheduler(folder):
    """Return the address of a scheduler."""
    log = folder / "scheduler.log"
    with program(log, "scheduler", "--port", free_port(), "--dashboard-port", "0") as process:
        yield wait_for(r"scheduler at (tcp://127\.0\.0\.1:\d+), dashboard at http://127", log, process)[1]


@pytest.fixture(scope="module")
def address(folder, scheduler):
    """Return the address of a scheduler with two workers."""
    log = folder / "worker.log"
    with program(log, "worker", scheduler, "--workers", "2") as process:
        wait_for("2 workers for tcp://", log, process)
        yield scheduler


def ignore(done, total, what="", note=""):
    """Take the place of a function that shows progress."""


def config_of(run_dir, **changes):
    return dataclasses.replace(
        config_module.of_profile("demo", run_dir),
        random_weights=True,
        backbones=("VGG19",),
        optimizers=("Adam",),
        dropouts=(0.0, 0.5),
        image_size_px=32,
        photos_per_class=4,
        views=1,
        folds=2,
        epochs=2,
        **changes,
    )


def check(config):
    """Check the cluster of a run, and return what is printed."""
    console = rich.console.Console(width=200)
    with console.capture() as captured:
        cluster.check(config, console)
    return captured.get()


def test_address_without_a_scheduler_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    with pytest.raises(PilahError, match=r"--cluster must be the address of a running Dask scheduler \(got tcp://127"):
        check(config_of(tmp_path, cluster="tcp://127.0.0.1:1"))


def test_scheduler_without_workers_is_named_with_the_command_that_starts_some(tmp_path, scheduler, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    with pytest.raises(PilahError, match=r"has no worker\. Start some with 'python -m pipeline worker tcp://127"):
        check(config_of(tmp_path, cluster=scheduler))


def test_workers_and_dashboard_are_printed_before_the_run(tmp_path, address):
    line = r"cluster tcp://127\.0\.0\.1:\d+: 2 workers, 0 tasks, dashboard http://127\.0\.0\.1:\d+/status\n"
    assert re.fullmatch(line, check(config_of(tmp_path, cluster=address)))


def files(run_dir):
    """Return name -> content of the results of a run, without times."""
    paths = [*run_dir.glob("features/**/*.npy"), *run_dir.glob("trials/*/*.csv")]
    leaderboard = artifacts.read_json(run_dir / run_folder.LEADERBOARD)
    for scenario in leaderboard["scenarios"]:
        del scenario["seconds"]
    return {str(path.relative_to(run_dir)): path.read_bytes() for path in paths} | {"leaderboard": leaderboard}


def run(run_dir, address):
    """Run the stages up to the refit, and return the configuration."""
    config = config_of(run_dir, cluster=address, refine=1)
    with lock.locked(run_dir):  # which also keeps the temporary files of processes there
        for stage in (photos, dataset, features, search, refine, choice, model):
            runner.run(stage.STAGE, config, rich.console.Console(quiet=True))
    return config


@pytest.fixture(scope="module")
def runs(folder, address):
    """Return the configurations of a run on this machine and of the same run on the cluster."""
    return run(folder / "here", None), run(folder / "cluster", address)


def test_cluster_writes_the_same_files_as_this_machine(runs):
    here, on_cluster = (files(config.run_dir) for config in runs)
    assert on_cluster == here and len(here) == 12
    names = [{str(path.relative_to(config.run_dir)) for path in config.run_dir.rglob("*")} for config in runs]
    assert names[0] == names[1]


def test_refitted_model_is_the_same(runs):
    here, on_cluster = (assembly.load(config.run_dir / run_folder.KERAS_MODEL).get_weights() for config in runs)
    for weights, expected in zip(on_cluster, here, strict=True):
        np.testing.assert_array_equal(weights, expected)


def test_both_workers_have_computed(runs, address):
    def executed(dask_worker):
        return dask_worker.state.executed_count

    with distributed.Client(address, set_as_default=False) as client:
        counts = client.run(executed)
    assert len(counts) == 2 and min(counts.values()) > 0


def test_audits_on_the_cluster_find_the_same(runs):
    for config in runs:
        audit.write(dataclasses.replace(config, refine=0), ignore)
        leakage_check.write(dataclasses.replace(config, refine=0), ignore)
    for name in (run_folder.AUDIT_SUMMARY, run_folder.LEAKAGE_CHECK):
        here, on_cluster = (artifacts.read_json(config.run_dir / name) for config in runs)
        for row in (*here.get("scenarios", ()), *on_cluster.get("scenarios", ())):
            if isinstance(row, dict):
                del row["seconds"]
        assert on_cluster == here


CODE = cluster_check.Machine("1", {"Python": "3.11", "keras": "3.15"}, {"precision": "float32", "use of a GPU": False})


@pytest.mark.parametrize(
    ("changes", "memory_bytes", "message"),
    [
        ({"code": "0"}, 4e9, "has other code of Pilah. Update it"),
        ({"packages": {"Python": "3.12"}}, 4e9, "has Python 3.12, and this machine 3.11. Install the same"),
        ({"fault": "MNN does not work."}, 4e9, "cannot compute this run: MNN does not work."),
        ({"settings": {**CODE.settings, "precision": "bfloat16"}}, 4e9, "would compute with the precision bfloat16"),
        ({}, 1e9, "has 1.0 GB of memory, but needs 1.5 GB."),
        ({}, 4e9, "^$"),
    ],
    ids=["code", "packages", "engine", "precision", "memory", "none"],
)
def test_difference_of_a_worker_is_named_with_the_fix(changes, memory_bytes, message):
    assert re.search(message, cluster_check.compare(dataclasses.replace(CODE, **changes), CODE, memory_bytes))


class ClientOfGpuWorkers:
    """Takes the place of a Dask client, because this needs a GPU."""

    dashboard_link = "http://127.0.0.1:8787"
    arguments: ClassVar[dict[str, object]] = {}

    def scheduler_info(self, n_workers):
        return {"workers": {"tcp://a:1": {"resources": {"GPU": 1}}, "tcp://b:1": {"resources": {}}}}

    def get_executor(self, **arguments):
        self.arguments.update(arguments)


def test_tasks_need_a_gpu_if_a_worker_has_one(tmp_path):
    client = ClientOfGpuWorkers()
    cluster.Cluster(client, cluster_check.Driver(config_of(tmp_path), tmp_path / "probe", "token", CODE))
    assert client.arguments["resources"] == {"GPU": 1}


def test_worker_with_other_code_ends_the_run(tmp_path, address, monkeypatch):
    monkeypatch.setattr(cluster_check.provenance, "code_fingerprint", lambda: "of this machine")
    with pytest.raises(PilahError, match=r"The worker \S+ has other code of Pilah\. Update it"):
        check(config_of(tmp_path, cluster=address))


def test_worker_that_does_not_see_the_run_folder_ends_the_run(tmp_path, address, monkeypatch):
    driver = cluster_check.Driver(config_of(tmp_path), pathlib.Path("/missing/probe"), "token", CODE)
    monkeypatch.setattr(cluster_check, "driver", lambda config: contextlib.nullcontext(driver))
    with pytest.raises(PilahError, match=r"does not see .* \(No such file or directory\)\. Mount the run folder there"):
        check(config_of(tmp_path, cluster=address))
