import concurrent.futures
import gc
import threading
import time
import weakref

import numpy as np
import pytest

from serving.embedded import batching, status
from serving.protos import server_config_pb2

PROGRAM = ("serving_default", ("doubled",))
NEVER_SECONDS = 3600.0  # longer than any test: a batch that runs is full, or the batcher is closed
GIVE_UP_SECONDS = 10.0  # so that a defect fails a test instead of blocking it
CALLERS = 12


class Double:
    """A program that doubles "x" and records each batch; it refuses negative numbers, and waits for `gate`."""

    def __init__(self):
        self.batches = []  # the values of each batch
        self.programs = []
        self.begun = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, program, inputs):
        self.batches.append(np.ravel(inputs["x"]).tolist())
        self.programs.append(program)
        self.begun.release()
        assert self.gate.wait(GIVE_UP_SECONDS)
        refused = [value for value in self.batches[-1] if value < 0]
        if refused:
            raise status.invalid_argument(f"negative: {refused[0]}")
        return {"doubled": inputs["x"] * 2}


@pytest.fixture
def double():
    return Double()


@pytest.fixture
def callers():
    with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool:
        yield pool


@pytest.fixture
def make(double, callers):  # depends on `callers`, so that batchers are closed before its threads are joined
    """Yield make(run=double, **parameters), whose batchers have one thread and run only full batches by default."""
    batchers = []

    def make_batcher(run=double, **parameters):
        values = {"max_batch_size": 4, "batch_timeout_seconds": NEVER_SECONDS, "num_batch_threads": 1, **parameters}
        batchers.append(batching.Batcher(run, batching.Parameters(**values)))
        return batchers[-1]

    yield make_batcher
    double.gate.set()
    for batcher in batchers:
        batcher.close()


def ask(batcher, *values, program=PROGRAM, dtype=np.float32, timeout_seconds=GIVE_UP_SECONDS):
    """Return the outputs for `values`, one row each."""
    return batcher.run(program, {"x": np.array(values, dtype)}, timeout_seconds)["doubled"].tolist()


def waiting_requests(batcher):
    return sum(len(batch.tasks) for batch in batcher._queue)


def wait_until(condition):
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while not condition():
        assert time.monotonic() < give_up, "the condition was not met in time"
        time.sleep(0.002)


def code_of(call):
    with pytest.raises(status.StatusError) as caught:
        call()
    return caught.value.code


def test_waiting_requests_run_as_one_batch_and_each_gets_its_own_rows(make, double, callers):
    batcher = make(max_batch_size=6)
    answers = [callers.submit(ask, batcher, *values) for values in ([1, 2], [3], [4, 5, 6])]
    assert [answer.result() for answer in answers] == [[2, 4], [6], [8, 10, 12]]
    assert [sorted(batch) for batch in double.batches] == [[1, 2, 3, 4, 5, 6]]
    assert double.programs == [PROGRAM]


def test_each_output_is_split_among_the_requests(make, callers):
    batcher = make(lambda program, inputs: {"a": inputs["x"], "b": inputs["x"][:, None] + 1}, max_batch_size=3)
    answers = [callers.submit(batcher.run, PROGRAM, {"x": np.array(rows)}, GIVE_UP_SECONDS) for rows in ([1], [2, 3])]
    first, second = (answer.result() for answer in answers)
    assert (first["a"].tolist(), first["b"].tolist()) == ([1], [[2]])
    assert (second["a"].tolist(), second["b"].tolist()) == ([2, 3], [[3], [4]])


def test_strings_of_any_bytes_run_as_one_batch(make, callers):
    batcher = make(lambda program, inputs: {"same": inputs["x"]}, max_batch_size=3)
    values = [b"a\x00\x00", b"", b"\xff" * 1000]
    answers = [
        callers.submit(batcher.run, PROGRAM, {"x": np.array([value], object)}, GIVE_UP_SECONDS) for value in values
    ]
    assert [answer.result()["same"].tolist() for answer in answers] == [[value] for value in values]


@pytest.mark.parametrize(
    "difference",
    [
        {"dtype": np.float64},
        {"dtype": np.int32},
        {"program": ("serving_default", ("doubled", "more"))},
        {"program": ("other", ("doubled",))},
    ],
    ids=["float64", "int32", "other outputs", "other signature"],
)
def test_requests_that_differ_in_dtype_or_program_never_share_a_batch(make, double, callers, difference):
    batcher = make(max_batch_size=2)
    answers = [callers.submit(ask, batcher, 1), callers.submit(ask, batcher, 2, **difference)]
    wait_until(lambda: waiting_requests(batcher) == 2)
    batcher.close()
    assert [answer.result() for answer in answers] == [[2], [4]]
    assert sorted(double.batches) == [[1], [2]]


def test_requests_that_differ_in_row_shape_or_input_name_never_share_a_batch(make, callers):
    seen = []

    def remember(program, inputs):
        seen.append({name: array.shape for name, array in inputs.items()})
        return {"rows": np.zeros(len(next(iter(inputs.values()))))}

    batcher = make(remember, max_batch_size=2)
    requests: list[dict[str, np.ndarray]] = [
        {"x": np.zeros((1, 2))},
        {"x": np.zeros((1, 3))},
        {"x": np.zeros(1)},
        {"y": np.zeros((1, 2))},
    ]
    answers = [callers.submit(batcher.run, PROGRAM, request, GIVE_UP_SECONDS) for request in requests]
    wait_until(lambda: waiting_requests(batcher) == 4)
    batcher.close()
    assert all(answer.result()["rows"].shape == (1,) for answer in answers)
    assert all({name: array.shape for name, array in request.items()} in seen for request in requests)


def test_full_batch_runs_before_the_timeout(make, double, callers):
    batcher = make(max_batch_size=2)
    answers = [callers.submit(ask, batcher, value) for value in (1, 2)]
    assert [answer.result() for answer in answers] == [[2], [4]]
    assert len(double.batches) == 1


def test_single_request_runs_after_the_timeout_and_not_before(make, double, callers):
    assert ask(make(max_batch_size=1000, batch_timeout_seconds=0.01), 1) == [2]
    patient = make(max_batch_size=1000)
    answer = callers.submit(ask, patient, 2)
    wait_until(lambda: waiting_requests(patient) == 1)
    time.sleep(0.05)
    assert not answer.done()
    assert double.batches == [[1]]


def test_request_that_does_not_fit_starts_the_waiting_batch(make, double, callers):
    batcher = make(max_batch_size=3)
    first = callers.submit(ask, batcher, 1, 2)
    wait_until(lambda: waiting_requests(batcher) == 1)
    second = callers.submit(ask, batcher, 3, 4)
    assert first.result() == [2, 4]
    assert double.batches == [[1, 2]]
    batcher.close()
    assert second.result() == [6, 8]


def test_threads_run_batches_at_the_same_time(make, callers):
    both = threading.Barrier(2, timeout=GIVE_UP_SECONDS)

    def meet(program, inputs):
        both.wait()
        return {"doubled": inputs["x"] * 2}

    batcher = make(meet, max_batch_size=1, num_batch_threads=2)
    answers = [callers.submit(ask, batcher, value) for value in (1, 2)]
    assert [answer.result() for answer in answers] == [[2], [4]]


def test_concurrent_callers_each_get_their_own_rows(make, double, callers):
    batcher = make(max_batch_size=8, batch_timeout_seconds=0.001, max_enqueued_batches=1000, num_batch_threads=3)

    def call(number):
        rows = [1000 * number + row for row in range(number % 5 + 1)]
        return ask(batcher, *rows, dtype=np.int64) == [2 * row for row in rows]

    assert all(callers.map(call, range(400)))
    assert len(double.batches) < 400
    assert max(map(len, double.batches)) <= 8


def test_more_rows_than_a_batch_may_have_are_refused(make, double):
    with pytest.raises(status.StatusError, match="5 is larger than maximum input batch size 4") as caught:
        ask(make(max_batch_size=4), 1, 2, 3, 4, 5)
    assert caught.value.code is status.Code.INVALID_ARGUMENT
    assert double.batches == []


def test_full_queue_refuses_new_requests_and_answers_queued_ones(make, double, callers):
    batcher = make(max_batch_size=1, max_enqueued_batches=2)
    double.gate.clear()
    answers = [callers.submit(ask, batcher, 1)]
    assert double.begun.acquire(timeout=GIVE_UP_SECONDS)
    answers += [callers.submit(ask, batcher, value) for value in (2, 3)]
    wait_until(lambda: waiting_requests(batcher) == 2)
    assert code_of(lambda: ask(batcher, 4)) is status.Code.UNAVAILABLE
    double.gate.set()
    assert [answer.result() for answer in answers] == [[2], [4], [6]]
    assert ask(batcher, 5) == [10]


def test_bad_request_fails_alone_and_the_rest_of_its_batch_is_answered(make, double, callers):
    batcher = make(max_batch_size=4)
    answers = [callers.submit(ask, batcher, *values) for values in ([1], [-7], [2, 3])]
    assert answers[0].result() == [2]
    assert answers[2].result() == [4, 6]
    with pytest.raises(status.StatusError, match=r"negative: -7\.0"):
        answers[1].result()
    assert sorted(double.batches[0]) == [-7, 1, 2, 3]
    assert ask(make(max_batch_size=1), 9) == [18]


def test_each_of_several_bad_requests_gets_its_own_error(make, callers):
    batcher = make(max_batch_size=3)
    answers = [callers.submit(ask, batcher, value) for value in (-1, -2, -3)]
    for value, answer in zip((-1, -2, -3), answers, strict=True):
        with pytest.raises(status.StatusError, match=rf"negative: {value}\.0"):
            answer.result()


def test_batcher_continues_after_an_error(make):
    batcher = make(max_batch_size=1)
    for _ in range(3):
        assert code_of(lambda: ask(batcher, -1)) is status.Code.INVALID_ARGUMENT
        assert ask(batcher, 1) == [2]


def test_request_that_expires_in_the_queue_fails_and_its_rows_are_not_run(make, double):
    batcher = make(max_batch_size=2)
    assert code_of(lambda: ask(batcher, 1, timeout_seconds=0.02)) is status.Code.DEADLINE_EXCEEDED
    assert ask(batcher, 2) == [4]  # the second of two rows: the batch is full
    assert double.batches == [[2]]


def test_batch_of_expired_requests_is_not_run(make, double):
    batcher = make()
    assert code_of(lambda: ask(batcher, 1, timeout_seconds=0.02)) is status.Code.DEADLINE_EXCEEDED
    batcher.close()
    assert double.batches == []


def test_request_that_expires_while_its_batch_runs_fails_alone(make, double, callers):
    batcher = make(max_batch_size=2)
    double.gate.clear()
    patient = callers.submit(ask, batcher, 1)
    wait_until(lambda: waiting_requests(batcher) == 1)
    assert code_of(lambda: ask(batcher, 2, timeout_seconds=0.2)) is status.Code.DEADLINE_EXCEEDED
    double.gate.set()
    assert patient.result() == [2]


@pytest.mark.parametrize("output", [np.float32(1), np.zeros(5), np.zeros((0, 2))], ids=["scalar", "other", "empty"])
def test_output_without_the_batch_axis_is_a_failed_precondition(make, output):
    batcher = make(lambda program, inputs: {"fine": inputs["x"], "wrong": np.asarray(output)}, max_batch_size=1)
    assert code_of(lambda: ask(batcher, 1)) is status.Code.FAILED_PRECONDITION


@pytest.mark.parametrize(
    "inputs",
    [
        {"x": np.float32(1)},
        {"x": np.zeros(1), "y": np.float32(1)},
        {"x": np.zeros(2), "y": np.zeros(3)},
        {"x": np.zeros((1, 2)), "y": np.zeros((2, 1))},
        {},
    ],
    ids=["scalar", "scalar beside rows", "2 and 3 rows", "1 and 2 rows", "none"],
)
def test_inputs_of_different_first_axes_are_refused(make, double, inputs):
    batcher = make()
    assert code_of(lambda: batcher.run(PROGRAM, inputs, GIVE_UP_SECONDS)) is status.Code.INVALID_ARGUMENT
    assert double.batches == []


def test_close_finishes_queued_batches_and_ends_the_threads(double, callers):
    before = set(threading.enumerate())
    batcher = batching.Batcher(double, batching.Parameters(4, NEVER_SECONDS, 10, 2))
    threads = set(threading.enumerate()) - before
    answers = [callers.submit(ask, batcher, value, dtype=dtype) for value, dtype in ((1, "f4"), (2, "i4"), (3, "i8"))]
    wait_until(lambda: waiting_requests(batcher) == 3)
    batcher.close()
    assert [answer.result() for answer in answers] == [[2], [4], [6]]
    assert len(threads) == 2
    assert not any(thread.is_alive() for thread in threads)


def test_unset_parameters_have_the_defaults_of_tensorflow_serving():
    parameters = batching.Parameters.of(server_config_pb2.BatchingParameters(), default_threads=3)
    assert parameters == batching.Parameters(
        max_batch_size=1000, batch_timeout_seconds=0.0, max_enqueued_batches=10, num_batch_threads=3
    )


def test_set_parameters_are_used_even_if_zero():
    proto = server_config_pb2.BatchingParameters()
    proto.max_batch_size.value = 16
    proto.batch_timeout_micros.value = 2500
    proto.max_enqueued_batches.value = 64
    proto.num_batch_threads.value = 2
    assert batching.Parameters.of(proto, default_threads=3) == batching.Parameters(16, 0.0025, 64, 2)
    proto.batch_timeout_micros.value = 0
    assert batching.Parameters.of(proto, default_threads=3).batch_timeout_seconds == 0.0


@pytest.mark.parametrize("value", [-1.0, 1.0], ids=["refused", "answered"])
def test_inputs_are_freed_without_the_garbage_collector(make, value):
    batcher = make(max_batch_size=1)
    freed = []

    def run_and_forget():
        inputs = {"x": np.full((1, 1000), value)}
        weakref.finalize(inputs["x"], freed.append, "inputs")
        try:
            batcher.run(PROGRAM, inputs)
        except status.StatusError:
            assert value < 0

    gc.collect()
    gc.disable()
    try:
        run_and_forget()
        batcher.run(PROGRAM, {"x": np.ones((1, 1))})  # the thread has forgotten the batch before
        assert freed == ["inputs"]
    finally:
        gc.enable()
