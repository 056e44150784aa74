"""The profile `cluster`: a scheduler and two workers, which compute the job's run."""

import json
import os
import re

import compose_clients
import compose_engine
import compose_project
import pytest

ADDRESS = "tcp://scheduler:8786"
SERVICES = ("scheduler", "worker")
RUN = "runs/cluster"
ASK = f"""
import json, distributed
with distributed.Client("{ADDRESS}", timeout=30) as client:
    print(json.dumps(client.run(lambda dask_worker: dask_worker.state.executed_count)))
"""


def executed(project):
    """Return address of each worker -> number of tasks that it has done."""
    return json.loads(project.compose("exec", "-T", "scheduler", "python", "-c", ASK))


def containers(project):
    return project.compose("ps", "--quiet", *SERVICES).split()


@pytest.fixture(scope="module")
def cluster(project):
    """Start the scheduler and two workers."""
    runs = project.folder / "runs"
    runs.mkdir(exist_ok=True)
    os.chown(runs, compose_project.OWNER, compose_project.OWNER)
    project.compose("--profile", "cluster", "up", "--detach", "--scale", "worker=2", "worker")
    project.wait(lambda: len(executed(project)) == 2, "two workers are at the scheduler")
    yield project
    project.compose("--profile", "cluster", "rm", "--stop", "--force", *SERVICES)


def test_both_workers_compute_the_run_of_the_job(cluster, say):
    output = cluster.job("run", *compose_project.RUN_OPTIONS.split(), "--cluster", ADDRESS, run_dir=RUN, seconds=1200)
    assert "Winner: scenario 1" in output
    counts = executed(cluster)
    say(f"tasks done by each worker: {counts}")
    assert len(counts) == 2 and min(counts.values()) >= 1
    files = [path for path in (cluster.folder / RUN).rglob("*") if path.is_file()]
    assert files and {path.stat().st_uid for path in files} == {compose_project.OWNER}


@pytest.mark.parametrize("service", SERVICES)
def test_container_has_no_capability_and_a_read_only_root(cluster, service):
    first = dict(re.findall(r"(?m)^(\w+):\s+(.*)$", cluster.compose("exec", "-T", service, "cat", "/proc/1/status")))
    assert first["NoNewPrivs"] == "1" and first["Seccomp"] == "2" and int(first["CapBnd"], 16) == 0
    with pytest.raises(RuntimeError, match="Read-only file system"):
        cluster.compose("exec", "-T", "--user", "root", service, "touch", "/etc/x")


def test_no_process_runs_as_another_user_than_the_owner_of_the_runs(cluster):
    lines = [line for name in containers(cluster) for line in _processes(name)]
    assert len(containers(cluster)) == 3 and {line.split()[1] for line in lines} == {str(compose_project.OWNER)}


def _processes(container):
    return compose_engine.docker("top", container, "-eo", "pid,uid,args").splitlines()[1:]  # docker needs pid


def test_scheduler_is_in_the_network_of_the_job_and_not_in_that_of_the_page(cluster):
    networks = compose_engine.docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", *containers(cluster))
    assert {name for line in networks.splitlines() for name in json.loads(line)} == {f"{compose_project.NAME}_cluster"}


def test_only_the_dashboard_is_published_on_this_machine(cluster):
    published = [compose_engine.docker("port", name).split() for name in containers(cluster)]
    assert sorted(published) == [[], [], ["8787/tcp", "->", "127.0.0.1:8787"]]
    assert "Dask Diagnostic UI" in compose_clients.get("http://127.0.0.1:8787/status").text
