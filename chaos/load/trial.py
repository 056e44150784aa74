"""The page and the model server at their capacity and at twice that, each for ten minutes, with locust.

First, users who wait for each answer measure how many photos a second are answered. Then requests arrive at that rate,
and at twice that rate, whatever the answers. Beyond the capacity, requests must be refused with a time to come back,
memory must stay flat, and a photo must be answered within 5 s after the last request was sent. The page's limits of
uploads are raised to 1,000,000,000 a minute. Without --run-dir, a small model is served.
"""

import base64
import collections
import contextlib
import dataclasses
import importlib.util
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from chaos import arguments, outcomes, probes, servers

SECONDS, SHORT_SECONDS = 600.0, 4.0
MEASURE_SECONDS, SHORT_MEASURE_SECONDS = 30.0, 2.0
START_SECONDS = 2.0  # until all users of locust have started
MEASURING_USERS, USERS = 32, 1_000  # a user waits for each answer
MIN_SENT = 0.9  # share of the planned requests
MAX_P99_SECONDS = 13.0  # the limits of the page: 3 s until a thread is free, and 10 s for the model server
MIN_REFUSAL_SECONDS = 15.0  # a shorter load may be over before the page refuses requests, which wait for 3 s
GROWTH_MIB, GROWTH = 30.0, 1.1  # of resident memory from the middle to the end, above which it is not flat
NO_LOCUST = "locust is not installed; it is in the group dev of pyproject.toml"
TARGETS = ("Grpc", "Rest", "Page")  # the users in locustfile.py
ANSWERED = ("200", "202")
REFUSED = ("429", "503", "RESOURCE_EXHAUSTED", "UNAVAILABLE")


@dataclasses.dataclass(frozen=True)
class Target:
    """What is loaded: the name of its users in locustfile.py, its port, its processes, and a single request to it."""

    users: str
    port: int
    processes: tuple[servers.Process, ...]
    ask: Callable[[int], str]


@dataclasses.dataclass(frozen=True)
class Load:
    """What happened under a load.

    Attributes:
        requests: start, status, seconds, and whether a refusal lacks Retry-After.
        memory_mib: resident memory at the start, in the middle and at the end.
        last_status: of a single request after the end of the load.
        recovery_seconds: from the end of the load, with requests unanswered, until that status.
    """

    requests: list[tuple[float, str, float, bool]]
    memory_mib: list[float]
    last_status: str
    recovery_seconds: float

    def statuses(self) -> collections.Counter[str]:
        return collections.Counter(status for _, status, _, _ in self.requests)

    def per_second(self) -> float:
        """Return the answered photos a second."""
        answered = [start + seconds for start, status, seconds, _ in self.requests if status in ANSWERED]
        return len(answered) / (max(answered) - min(start for start, *_ in self.requests)) if answered else 0.0

    def answer_seconds(self, percent: float) -> float:
        """Return the time within which `percent` % of the answered requests were answered; 0 if none was."""
        seconds = [seconds for _, status, seconds, _ in self.requests if status in ANSWERED]
        return float(np.percentile(seconds, percent)) if seconds else 0.0


def photo(seed: int) -> bytes:
    """Return a JPEG of about 100 kB, as the page sends to the model server."""
    noise = np.random.default_rng(seed).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def run(target: Target, content: bytes, users: int, rate: float, seconds: float) -> Load:
    """Load `target` with `users` for `seconds`; `rate` is that of all together, 0 for as many as are answered."""
    with tempfile.TemporaryDirectory() as folder:
        options, results = pathlib.Path(folder, "options.json"), pathlib.Path(folder, "results.json")
        values = {"address": f"{servers.HOST}:{target.port}", "rate": rate / users, "results": str(results)}
        options.write_text(json.dumps({**values, "photo": base64.b64encode(content).decode()}))
        command = [sys.executable, "-m", "locust", "--locustfile", "chaos/load/locustfile.py", "--headless"]
        command += ["--users", str(users), "--spawn-rate", str(users), "--run-time", f"{max(1, round(seconds))}s"]
        command += ["--stop-timeout", "60", "--loglevel", "ERROR", target.users]
        environment = {**os.environ, "CHAOS_LOAD": str(options)}
        environment["PYTHONPATH"] = str(servers.ROOT)
        memory: list[float] = []
        log, stopping = pathlib.Path(folder, "log"), results.with_suffix(".stopping")
        with log.open("wb") as stream:
            process = subprocess.Popen(command, cwd=servers.ROOT, env=environment, stdout=stream, stderr=stream)
        try:
            _sample(target, memory)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds / 2)
            _sample(target, memory)
            deadline = time.monotonic() + seconds + START_SECONDS + 60
            while not stopping.exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            last_status, recovery_seconds = probes.recover(target.ask, target.port)
            process.wait(120)  # until the requests in progress are answered
            _sample(target, memory)
        finally:
            process.kill()
            process.wait()
        if not results.exists():
            sys.exit(f"chaos: locust failed:\n{log.read_text()}")
        requests = [tuple(request) for request in json.loads(results.read_text())]
        return Load(requests, memory, last_status, recovery_seconds)


def _sample(target: Target, memory: list[float]) -> None:
    memory.append(sum(process.resident_mib() for process in target.processes))


def trial(target: Target, content: bytes, factor: float, capacity: float, seconds: float) -> outcomes.Outcome:
    """Load `target` at `factor` times its capacity, and return what was wrong."""
    load = run(target, content, USERS, factor * capacity, seconds)
    failures = [
        f"{count:,} requests ended with {status}"
        for status, count in load.statuses().items()
        if status not in (*ANSWERED, *REFUSED)
    ]
    if lacking := sum(lacks for *_, lacks in load.requests):
        failures.append(f"{lacking:,} refusals had no Retry-After")
    _, middle, end = load.memory_mib
    if end > GROWTH * middle + GROWTH_MIB:
        failures.append(f"memory grew from {middle:.0f} MiB in the middle to {end:.0f} MiB at the end")
    if load.last_status != "200" or load.recovery_seconds > probes.RECOVERY_SECONDS:
        failures.append(
            f"a photo was not answered until {load.recovery_seconds:.1f} s after the load ({load.last_status})"
        )
    if (p99 := load.answer_seconds(99)) > MAX_P99_SECONDS:
        failures.append(f"1 % of the answers took more than {p99:.1f} s, where {MAX_P99_SECONDS:g} s are allowed")
    if factor > 1 and seconds >= MIN_REFUSAL_SECONDS and not any(load.statuses()[status] for status in REFUSED):
        failures.append(f"no request was refused at {factor:g} x capacity")
    if tracebacks := sum(process.tracebacks() for process in target.processes):
        failures.append(f"{tracebacks} tracebacks in the logs")
    if len(load.requests) < MIN_SENT * (planned := factor * capacity * (seconds - START_SECONDS)):
        failures.append(f"only {len(load.requests):,} of {planned:,.0f} requests were sent")
    _print(f"{target.users} at {factor:g} x {capacity:.1f}/s", load)
    return outcomes.Outcome(f"{target.users}, {factor:g} x capacity", len(load.requests), failures=tuple(failures))


def _print(name: str, load: Load) -> None:
    p50, p95, p99 = (load.answer_seconds(percent) for percent in (50, 95, 99))
    statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(load.statuses().items()))
    memory = ", ".join(f"{value:.0f}" for value in load.memory_mib)
    print(
        f"{name}: {statuses}; {load.per_second():.1f} answered/s, p50 {p50:.2f}, p95 {p95:.2f}, p99 {p99:.2f} s "
        f"(limit {MAX_P99_SECONDS:g}); memory {memory} MiB; answered {load.recovery_seconds:.1f} s after the load",
        flush=True,
    )


def trials(target: Target, content: bytes, measure_seconds: float, seconds: float) -> list[outcomes.Outcome]:
    """Measure the capacity of `target`, then load it at once and twice that."""
    run(target, content, MEASURING_USERS, 0, measure_seconds)  # warms it up
    capacity = run(target, content, MEASURING_USERS, 0, measure_seconds).per_second()
    if not capacity:
        return [outcomes.Outcome(target.users, 1, failures=("no photo was answered while measuring the capacity",))]
    return [trial(target, content, factor, capacity, seconds) for factor in (1, 2)]


def main() -> int:
    parser = arguments.parser(__doc__, f"{SHORT_SECONDS:g} s for each load.")
    parser.add_argument("--run-dir", type=pathlib.Path, help="Folder of a run, whose model is served.")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="Duration of each load.")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=TARGETS, help="What is loaded.")
    args = parser.parse_args()
    if importlib.util.find_spec("locust") is None:
        sys.exit(f"chaos: {NO_LOCUST}.")
    durations = (SHORT_MEASURE_SECONDS, SHORT_SECONDS) if args.short else (MEASURE_SECONDS, args.seconds)
    content = photo(args.seed)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        if args.run_dir:
            base = args.run_dir / "served" / "pilah"
        else:
            from chaos import small_model  # loads TensorFlow

            base = small_model.write(pathlib.Path(folder))
        with servers.model_server(base) as model, servers.page(model.port) as page:
            targets = {
                "Grpc": Target("Grpc", model.port, (model,), probes.call),
                "Rest": Target("Rest", model.rest_port, (model,), probes.rest),
                "Page": Target("Page", page.port, (page, model), probes.upload),
            }
            for name in args.targets:
                results += trials(targets[name], content, *durations)
    return outcomes.report(results)


if __name__ == "__main__":
    sys.exit(main())
