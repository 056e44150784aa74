"""A scheduler and a worker with TLS, by the commands of docs/cluster.md, and the addresses on which they listen."""

import http.client
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import sys

import documented_commands
import psutil
import pytest
import web_app

from components.base.errors import PilahError
from pipeline import cluster_tls

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs" / "cluster.md"
COMMANDS = [*documented_commands.commands_in(PAGE.read_text(), PAGE.name)]
VARIABLES = max((command.setup for command in COMMANDS), key=len)
CLIENT = """
import sys, distributed
with distributed.Client(sys.argv[1], timeout=3) as client:
    print(client.submit(pow, 2, 5).result())
"""
pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")


def certificates(folder):
    """Make a certificate authority and a certificate in `folder`/tls, as the page says."""
    folder.mkdir()
    for command in COMMANDS:
        if not command.reason:
            subprocess.run(["sh", "-c", command.source], cwd=folder, check=True, capture_output=True)


def environment(folder):
    """Return the environment with the variables of the page."""
    variables = re.findall(r"export (\w+)=(\S+)", VARIABLES.replace("$PWD", str(folder)))
    return {**os.environ, **dict(variables), "TMPDIR": str(folder)}


def program(folder, name, *arguments, **options):
    with (folder / f"{name}.log").open("wb") as log:
        command = [sys.executable, "-m", "pipeline", name, *arguments]
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, **options)


def wait_for(pattern, folder, name, process):
    """Return the match of `pattern` in the output of a program."""
    log = folder / f"{name}.log"
    web_app.wait_until(lambda: re.search(pattern, log.read_text()) or process.poll() is not None, seconds=180)
    assert process.poll() is None, log.read_text()
    return re.search(pattern, log.read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the certificates of the cluster, beside one with those of another authority."""
    folder = tmp_path_factory.mktemp("cluster")
    for name in ("own", "other"):
        certificates(folder / name)
    return folder / "own"


@pytest.fixture(scope="module")
def cluster(folder):
    """Yield the address of a scheduler with one worker, and their processes."""
    processes = []
    try:
        ports = ["--port", "0", "--dashboard-port", "0"]
        processes.append(program(folder, "scheduler", *ports, env=environment(folder)))
        address = wait_for(r"scheduler at (\S+),", folder, "scheduler", processes[0])[1]
        processes.append(program(folder, "worker", address, "--workers", "1", env=environment(folder)))
        wait_for("1 workers for", folder, "worker", processes[1])
        yield address, processes
    finally:
        for process in processes[::-1]:
            process.terminate()
            process.wait(60)


def ask(address, environment):
    command = [sys.executable, "-c", CLIENT, address]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def test_client_with_a_certificate_gets_its_result(folder, cluster):
    address, _ = cluster
    done = ask(address, environment(folder))
    assert address.startswith("tls://") and done.stdout == "32\n", done.stderr


def hear(address, context):
    """Return what the scheduler sends first to a client with `context`."""
    host, port = address.removeprefix("tls://").split(":")
    with (
        socket.create_connection((host, int(port)), timeout=10) as connection,
        context.wrap_socket(connection) as secured,
    ):
        return secured.recv(1)


@pytest.mark.parametrize(
    ("certificate", "alert"),
    [("own", None), ("", "CERTIFICATE_REQUIRED"), ("other", "DECRYPT_ERROR")],
    ids=["own", "none", "other-authority"],
)
def test_scheduler_hears_only_clients_with_a_certificate_of_its_authority(folder, cluster, certificate, alert):
    context = ssl.create_default_context(cafile=folder / "tls" / "ca.pem")
    context.check_hostname = False
    if certificate:
        own = folder.with_name(certificate) / "tls"
        context.load_cert_chain(own / "host.pem", own / "host.key")
    if alert:
        with pytest.raises(ssl.SSLError, match=alert):
            hear(cluster[0], context)
    else:
        assert hear(cluster[0], context)


def test_client_that_does_not_trust_the_authority_of_the_scheduler_refuses_it(folder, cluster):
    done = ask(cluster[0], environment(folder.with_name("other")))
    assert done.returncode == 1 and not done.stdout and "CERTIFICATE_VERIFY_FAILED" in done.stderr


def test_client_without_tls_is_disconnected(cluster):
    done = ask(cluster[0].replace("tls", "tcp"), dict(os.environ))
    assert done.returncode == 1 and not done.stdout and "Connection reset by peer" in done.stderr


@pytest.mark.parametrize("role", ["client", "worker"])
def test_missing_certificate_is_named_with_its_variable(role):
    with pytest.raises(PilahError, match=f"tls://host:1 needs a certificate. .*TLS__{role.upper()}__CERT"):
        cluster_tls.check("tls://host:1", role)
    cluster_tls.check("tcp://host:1", role)


def test_dashboard_is_shown_at_the_address_that_the_scheduler_prints(folder, cluster):
    (address,) = re.findall(r"dashboard at http://(\S+)/status", (folder / "scheduler.log").read_text())
    connection = http.client.HTTPConnection(address, timeout=10)  # which asks no proxy
    connection.request("GET", "/status")
    assert b"Dask Diagnostic UI" in connection.getresponse().read()
    connection.close()


def test_scheduler_and_worker_listen_on_loopback_alone(cluster):
    _, processes = cluster
    for process in processes:
        tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        listening = [c.laddr.ip for each in tree for c in each.net_connections() if c.status == psutil.CONN_LISTEN]
        assert set(listening) == {"127.0.0.1"}, listening
