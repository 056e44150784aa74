"""The load trial: what locust sends and counts, and what is a failure."""

import http.server
import importlib.util
import os
import pathlib
import threading

import pytest

from chaos import probes, servers
from chaos.load import trial as load

needs_locust = pytest.mark.skipif(importlib.util.find_spec("locust") is None, reason=load.NO_LOCUST)
PROCESS = servers.Process(port=0, pid=os.getpid(), log=pathlib.Path("/dev/null"))
GOOD = [(0.0, "200", 0.1, False), (1.0, "202", 0.1, False), (2.0, "503", 0.1, False)]


@pytest.fixture
def failures_of(monkeypatch):
    """Return failures_of(requests, ...), the failures of a load of three planned requests that went so."""

    def failures(requests, memory_mib=(100, 100, 100), last_status="200", recovery_seconds=0.1, factor=1):
        result = load.Load(requests, list(memory_mib), last_status, recovery_seconds)
        monkeypatch.setattr(load, "run", lambda *_: result)
        target = load.Target("Page", 0, (PROCESS,), lambda port: "200")
        return load.trial(target, b"", factor, 0.1 / factor, load.START_SECONDS + 30).failures

    return failures


@pytest.mark.parametrize("factor", [1, 2])
def test_answers_and_refusals_with_a_time_are_no_failures(failures_of, factor):
    assert not failures_of(GOOD, factor=factor)


FAULTS = {
    "500": {"requests": [*GOOD, (3.0, "500", 0.1, False)]},
    "no Retry-After": {"requests": [*GOOD, (3.0, "503", 0.1, True)]},
    "memory": {"requests": GOOD, "memory_mib": (100, 100, 200)},
    "no recovery": {"requests": GOOD, "last_status": "503"},
    "late recovery": {"requests": GOOD, "recovery_seconds": probes.RECOVERY_SECONDS + 1},
    "late answer": {"requests": [*GOOD, (3.0, "200", load.MAX_P99_SECONDS * 2, False)]},
    "few requests": {"requests": GOOD[:2]},
    "no refusals at twice the capacity": {"requests": GOOD[:2] * 2, "factor": 2},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_under_load_is_a_failure(failures_of, fault):
    assert len(failures_of(**FAULTS[fault])) == 1


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
        result = load.run(target, load.photo(1), users=2, rate=0, seconds=3)
        server.shutdown()
    assert result.last_status == "200"
    assert set(result.statuses()) == {"200", "503"} and result.per_second() > 0
    assert sum(lacks for *_, lacks in result.requests) == result.statuses()["503"]
