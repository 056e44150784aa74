"""The short forms of the trials of hostile requests and slow clients, against one model server and one page."""

import itertools
import resource
import socket

import pytest

from chaos import probes, servers, small_model
from chaos.hostile_requests import hostile_http
from chaos.hostile_requests import trial as hostile_requests
from chaos.slow_clients import trial as slow_clients

SEED = 3


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    with servers.model_server(small_model.write(tmp_path_factory.mktemp("model"))) as process:
        yield process


@pytest.fixture(scope="module")
def page(model):
    with servers.page(model.port) as process:
        yield process


@pytest.fixture
def many_files():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def failures(trials):
    return [failure for outcome in trials for failure in outcome.failures]


def test_hostile_requests_to_the_model_server_end_in_a_clear_status(model):
    assert not failures(hostile_requests.trials_of_model_server(model, SEED, 60))


def test_hostile_requests_to_the_page_end_in_a_clear_status(page):
    assert not failures(hostile_requests.trials_of_page(page, SEED, 100))


@pytest.mark.parametrize("kind", [slow_clients.PAGE_KINDS[2], slow_clients.PAGE_KINDS[4]], ids=lambda kind: kind.name)
def test_page_answers_beside_slow_clients(page, many_files, kind):
    assert not slow_clients.trial("page", page.port, kind, probes.upload, 100, 0.5, 100).failures


def test_rest_answers_beside_slow_clients(model, many_files):
    kind = slow_clients.REST_KINDS[2]
    assert not slow_clients.trial("REST", model.rest_port, kind, probes.rest, 200, 0.5, 200).failures


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"",
        b"HTTP/1.1 500 Internal Server Error\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\nTraceback (most recent call last):",
    ],
)
def test_wrong_answer_is_a_failure(answer):
    assert hostile_http.failure("json", b"POST / HTTP/1.1\r\n\r\n", answer)


def test_clear_refusal_is_no_failure():
    assert not hostile_http.failure("json", b"POST / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_answer_to_a_smuggled_request_is_a_failure():
    answer = b"HTTP/1.1 404 Not Found\r\n\r\n"
    assert not hostile_http.failure("smuggled", b"POST / HTTP/1.1\r\n\r\n", answer)
    assert hostile_http.failure("smuggled", b"POST / HTTP/1.1\r\n\r\n", answer * 2)


def test_many_refusals_of_single_requests_are_a_failure(monkeypatch):
    monkeypatch.setattr(hostile_http, "send", lambda *_: b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    assert len(hostile_http.attack(0, hostile_http.REST, SEED, 20)) == 1


@pytest.mark.parametrize("fault", ["refusals", "no connections"])
def test_slow_clients_that_are_not_connected_or_prevent_answers_are_a_failure(monkeypatch, fault):
    monkeypatch.setattr(slow_clients, "CONNECT_SECONDS", 0.5 if fault == "no connections" else 20.0)
    answers = itertools.chain(["503"] * (fault == "refusals"), itertools.repeat("200"))
    with socket.create_server((servers.HOST, 0)) as listener:
        port = listener.getsockname()[1] if fault == "refusals" else servers.free_port()
        result = slow_clients.trial("page", port, slow_clients.PAGE_KINDS[0], lambda _: next(answers), 2, 0.1, 2)
    assert len(result.failures) == 1
