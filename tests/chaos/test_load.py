"""The load trial: what locust sends and counts, and what is a failure."""

import http.server
import importlib.util
import os
import pathlib
import threading
import time

import pytest

from chaos import probes, servers
from chaos.load import trial as load

needs_locust = pytest.mark.skipif(importlib.util.find_spec("locust") is None, reason=load.NO_LOCUST)
PROCESS = servers.Process(port=0, pid=os.getpid(), log=pathlib.Path("/dev/null"))
GOOD = [(0.0, "200", 0.1, False), (1.0, "202", 0.1, False), (2.0, "503", 0.1, False)]


@pytest.fixture
def failures_of(monkeypatch):
    """Return failures_of(requests, memory_mib, ask), the failures of a load of four requests that went so."""

    def failures(requests, memory_mib=(100, 100, 100), ask=lambda port: "200"):
        monkeypatch.setattr(load, "run", lambda *_: load.Load(requests, list(memory_mib)))
        monkeypatch.setattr(probes, "GIVE_UP_SECONDS", 0.0)
        target = load.Target("Page", 0, (PROCESS,), ask)
        return load.trial(target, b"", 1, 1.0, load.START_SECONDS + 4).failures

    return failures


def test_answers_and_refusals_with_a_time_are_no_failures(failures_of):
    assert not failures_of(GOOD)


FAULTS = {
    "500": {"requests": [*GOOD, (3.0, "500", 0.1, False)]},
    "no Retry-After": {"requests": [*GOOD, (3.0, "503", 0.1, True)]},
    "memory": {"requests": GOOD, "memory_mib": (100, 100, 200)},
    "no recovery": {"requests": GOOD, "ask": lambda port: "503"},
    "no requests": {"requests": []},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_under_load_is_a_failure(failures_of, fault):
    assert len(failures_of(**FAULTS[fault])) == 1


def test_late_answer_after_the_load_is_a_failure(failures_of, monkeypatch):
    monkeypatch.setattr(probes, "RECOVERY_SECONDS", 0.05)
    (failure,) = failures_of(GOOD, ask=lambda port: time.sleep(0.1) or "200")
    assert failure.startswith("a photo was not answered until") and failure.endswith("(200)")


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers 200 and 503 without Retry-After in turn."""

    count = 0

    def do_POST(self):  # the name that http.server calls
        self.rfile.read(int(self.headers["Content-Length"]))
        Handler.count += 1
        self.send_response(503 if Handler.count % 2 else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@needs_locust
def test_locust_counts_statuses_and_refusals_without_a_time():
    with http.server.ThreadingHTTPServer((servers.HOST, 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        target = load.Target("Rest", server.server_port, (PROCESS,), probes.rest)
        result = load.run(target, load.photo(1), users=2, rate=0, seconds=1)
        server.shutdown()
    assert set(result.statuses()) == {"200", "503"} and result.per_second() > 0
    assert sum(lacks for *_, lacks in result.requests) == result.statuses()["503"]
