"""Five faults of runs on a cluster of five hosts; `python -m chaos.cluster.trial` has all kinds of faults."""

import random
import socket
import subprocess
import sys

import pytest

from chaos import outcomes
from chaos.cluster import hosts

pytest_plugins = ["forked_commands"]
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)"
LISTEN = "import socket, time; server = socket.create_server(('', 5000)); print('listens', flush=True); time.sleep(60)"


@pytest.fixture(scope="module", autouse=True)
def _need_hosts():
    if reason := hosts.reason_to_skip():
        pytest.skip(f"hosts in network namespaces: {reason}")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    with hosts.network(["server", "client"]) as two:
        log = tmp_path_factory.mktemp("hosts") / "server.txt"
        server = two["server"].start([sys.executable, "-c", LISTEN], log)
        hosts.wait_until(lambda: "listens" in log.read_text(), 60)
        yield two
    server.wait(60)


def is_reached(network):
    command = [sys.executable, "-c", CONNECT, network["server"].address, "5000"]
    with network["client"].entered():
        return not subprocess.run(command, stderr=subprocess.DEVNULL, timeout=60).returncode


def test_host_is_reached_unless_its_link_is_cut(network):
    assert is_reached(network)
    network["server"].cut()
    assert not is_reached(network)
    network["server"].mend()
    assert is_reached(network)


def test_host_has_a_loopback_of_its_own(network):
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", CONNECT, "127.0.0.1", str(server.getsockname()[1])]
        assert not subprocess.run(command, timeout=60).returncode
        with network["client"].entered():
            assert subprocess.run(command, stderr=subprocess.DEVNULL, timeout=60).returncode


def test_slow_link_carries_connections_while_its_delay_allows(network):
    with network["client"].slow(0.1, 1e6):
        assert is_reached(network)
    with network["client"].slow(1.5, 1e6):  # three times that for a connection
        assert not is_reached(network)
    assert is_reached(network)


def test_program_does_not_see_a_hidden_folder(network, tmp_path):
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "file").touch()
    host = network["client"]
    host.start(["ls", tmp_path / "hidden"], tmp_path / "seen.txt").wait(60)
    host.start(["ls", tmp_path / "hidden"], tmp_path / "not-seen.txt", hidden=tmp_path / "hidden").wait(60)
    assert ((tmp_path / "seen.txt").read_text(), (tmp_path / "not-seen.txt").read_text()) == ("file\n", "")


def test_hosts_and_their_processes_end_with_a_failure(tmp_path):
    with pytest.raises(ZeroDivisionError), hosts.network(["host"]) as one:
        process = one["host"].start(["sleep", "60"], tmp_path / "log.txt")
        _ = 1 / 0
    assert process.wait(60) < 0
    assert not (hosts.FOLDER / one["host"].namespace).exists()


def test_faults_of_a_cluster_lose_and_double_nothing(tmp_path, capsys):
    from chaos.cluster import trial  # after the plugin is registered

    rows = trial.run(tmp_path, random.Random(1), short=True)
    trial.show(rows)
    assert outcomes.report([trial.outcome(row) for row in rows]) == 0, capsys.readouterr().out
    assert len(rows) == 1 + 5
