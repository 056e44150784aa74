"""Beam runners whose workers are other processes write the files that the local runner writes."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

import distributed
import photo_files
import pytest

from components.base.errors import PilahError
from components.data import class_folders, listing, records

REPOSITORY = pathlib.Path(__file__).parents[3]
DASK_RUNNER = "--runner=apache_beam.runners.dask.dask_runner.DaskRunner"


def build(folder, photo_list, *beam_args):
    return records.build(
        folder,
        photo_list,
        image_size_px=16,
        max_pixels=10_000,
        max_rejects=1.0,
        folds=2,
        beam_args=beam_args,
        progress=lambda done, total: None,
    )


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def photo_list(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "PHOTOS_PER_SHARD", 2)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # Beam leaves folders there
    root = photo_files.write_classes(tmp_path / "photos", {"glass": 5, "metal": 6})
    (root / "glass" / "glass0.png").write_bytes(b"text")
    return listing.list_photos(class_folders.scan([root]), 2, 1, lambda done, total: None)[0]


@pytest.fixture
def worker_pool():
    """Yield the address of one of Beam's worker pools, which starts a worker process for a job."""
    paths = {"PATH": f"{REPOSITORY / '.venv/bin'}:{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", "--service_port=0"]
    pool = subprocess.Popen(command, env={**os.environ, **paths}, stderr=subprocess.PIPE, text=True)
    try:
        started = next(line for line in pool.stderr if "Started worker pool" in line)
        yield re.search(r"localhost:\d+", started)[0]
    finally:
        pool.terminate()
        pool.communicate(timeout=20)


def processes(log):
    """Return the processes that wrote shards."""
    return {int(process) for process in re.findall(r"process (\d+) on \S+ wrote", log.text)}


def test_external_worker_pool_writes_the_same_files(tmp_path, photo_list, worker_pool, caplog):
    rejects = build(tmp_path / "here", photo_list)
    assert len(rejects) == 1
    caplog.set_level("INFO", "pilah")
    caplog.clear()
    portable = ("--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=EXTERNAL")
    assert build(tmp_path / "pool", photo_list, *portable, f"--environment_config={worker_pool}") == rejects
    assert processes(caplog) and os.getpid() not in processes(caplog)
    assert files_of(tmp_path / "pool") == files_of(tmp_path / "here")


def test_dask_worker_writes_the_same_files(tmp_path, photo_list, caplog):
    rejects = build(tmp_path / "here", photo_list)
    caplog.set_level("INFO", "pilah")
    caplog.clear()
    folder = {"local_directory": str(tmp_path)}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, **folder) as cluster:
        dask = (DASK_RUNNER, f"--dask_client_address={cluster.scheduler_address}", "--dask_partition_size=1")
        assert build(tmp_path / "dask", photo_list, *dask) == rejects
    assert processes(caplog) and os.getpid() not in processes(caplog)
    assert files_of(tmp_path / "dask") == files_of(tmp_path / "here")


def test_job_server_that_does_not_answer_is_one_line(tmp_path, photo_list):
    options = ("--runner=PortableRunner", "--job_endpoint=127.0.0.1:1", "--job_server_timeout=1")
    with pytest.raises(PilahError, match=r"^The Beam runner failed \(FutureTimeoutError\)\. Check the options"):
        build(tmp_path / "dataset", photo_list, *options)


def test_failure_of_a_runner_ends_with_the_cause_below_its_tracebacks(tmp_path, photo_list, monkeypatch):
    def fail(pipeline):
        raise RuntimeError(
            "Pipeline failed: Traceback\n  File x\nModuleNotFoundError: No module named 'components'\n>\n"
        )

    monkeypatch.setattr(records.beam.Pipeline, "run", fail)
    with pytest.raises(PilahError, match=r"^The Beam runner failed \(ModuleNotFoundError: No module named 'comp"):
        build(tmp_path / "dataset", photo_list, "--runner=FnApiRunner")


def test_dataflow_is_refused_before_a_job_starts(tmp_path, photo_list):
    with pytest.raises(PilahError, match="--runner=DataflowRunner cannot write records"):
        build(tmp_path / "dataset", photo_list, "--runner=DataflowRunner")
