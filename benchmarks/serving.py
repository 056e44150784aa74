"""Benchmark of the embedded server against direct calls of its SavedModel: `make bench RUN=runs/thesis`.

Each figure is a count, or a ratio of two measurements of the same run. The server runs in a separate process, as users
start it, with the batching of serving/config/batching_cpu.config unless stated otherwise.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads both when it is imported
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import argparse
import concurrent.futures
import contextlib
import functools
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

import tensorflow as tf

from components.base import documents
from components.data import images, photos
from components.publish import push, validate
from serving import client
from serving.embedded import flags, server

ROOT = pathlib.Path(__file__).parents[1]
CLIENTS = 16
DESCRIPTION: documents.ModelDescription = {"classes": []}  # type: ignore[typeddict-item]  # the rest is not read
PHOTOS = 64
SMALL_REQUESTS, LONG_SMALL_REQUESTS = 5_000, 20_000
VERSION_CHANGES, LONG_VERSION_CHANGES = 2, 20
BATCH_SIZES = (16, 32)  # of direct calls; smaller batches were never the fastest
MAX_PIXELS = 50_000_000
BATCHING = ["--enable_batching", "--batching_parameters_file", "serving/config/batching_cpu.config"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-dir", type=pathlib.Path, default=pathlib.Path("runs/demo"))
    parser.add_argument("--only", choices=list(PARTS), action="append", help="Only this part; repeat it for more.")
    parser.add_argument("--long", action="store_true", help="20 version changes, 20,000 small requests.")
    args = parser.parse_args()
    base = args.run_dir / "served" / push.MODEL_NAME
    if not push.versions(base):
        sys.exit(f"bench: --run-dir must hold a pushed model, and {args.run_dir} has none. Make one with make run.")
    saved_model = base / str(push.versions(base)[-1])
    photo_list = photos.read(args.run_dir / "photos.csv")
    step = max(1, len(photo_list) // PHOTOS)
    photo_bytes = [
        images.plain_bytes(pathlib.Path(photo.path).read_bytes(), MAX_PIXELS)[0]
        for photo in photo_list[::step][:PHOTOS]
    ]
    print(f"{saved_model}, {len(photo_bytes)} photos, {CLIENTS} concurrent clients\n")
    print(f"{'what':58} {'figure':>12}   bound")
    for name in args.only or PARTS:
        PARTS[name](saved_model, photo_bytes, args.long)


def show(what: str, figure: str, bound: str = "") -> None:
    print(f"{what:58} {figure:>12}   {bound}", flush=True)


def single_calls(saved_model: pathlib.Path, photo_bytes: list[bytes], long: bool) -> None:
    """Compare gRPC calls with direct calls of one photo, alternating, in the server's process.

    In two processes, two thread pools would compete for the same cores.
    """
    direct = validate.load_signature(saved_model)
    arguments = [
        "--model_name",
        push.MODEL_NAME,
        "--model_base_path",
        str(saved_model.parent),
        "--port",
        "0",
        *BATCHING,
    ]
    running = server.Server(flags.parse(arguments))
    running.start()
    with client.Client(f"localhost:{running.port}") as caller:
        direct(photo_bytes[:1])
        caller.classify(photo_bytes[0])
        times: dict[str, list[float]] = {"direct": [], "grpc": []}
        for photo in photo_bytes:
            times["direct"].append(seconds_of(functools.partial(direct, [photo])))
            times["grpc"].append(seconds_of(functools.partial(caller.classify, photo)))
    running.stop()
    medians = {name: statistics.median(values) for name, values in times.items()}
    show("one photo over gRPC : a direct call, medians", f"{medians['grpc'] / medians['direct']:.2f}", "<= 1.15")
    show("  the direct call", f"{medians['direct'] * 1e3:.1f} ms")


def _is_answering(caller: client.Client, counts: dict, version: int) -> bool:
    return caller.available_versions()[-1:] == [version] and counts.get(version, 0) > 0


def server_lifecycle(saved_model: pathlib.Path, photo_bytes: list[bytes], long: bool) -> None:
    """Measure a server from its start through load, new versions, a kill and a restart."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        base = pathlib.Path(folder)
        push.push(saved_model, base, DESCRIPTION, keep_versions=3)
        started = time.perf_counter()
        target, process = stack.enter_context(running_server(base, port))
        show("start to AVAILABLE, warm-up included", f"{time.perf_counter() - started:.1f} s", "<= 15 s")
        with client.Client(target, timeout_seconds=60) as caller:
            many_clients(saved_model, photo_bytes, caller)
            version_changes(saved_model, photo_bytes, base=base, process=process, caller=caller, long=long)
        restart_after_kill(photo_bytes, base, process, port)


def many_clients(saved_model: pathlib.Path, photo_bytes: list[bytes], caller: client.Client) -> None:
    direct = validate.load_signature(saved_model)

    def direct_rate(size: int) -> float:
        batches = [photo_bytes[start : start + size] for start in range(0, len(photo_bytes) - size + 1, size)]
        return len(batches) * size / seconds_of(lambda: [direct(batch) for batch in batches])

    direct(photo_bytes[:8])
    rates = {size: direct_rate(size) for size in BATCH_SIZES}
    best = max(rates, key=rates.__getitem__)
    requests = photo_bytes * 4
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(caller.classify, photo_bytes))  # warm-up
        rate = len(requests) / seconds_of(lambda: list(pool.map(caller.classify, requests)))
    after = direct_rate(best)
    reference = (rates[best] + after) / 2  # measured before and after, because the machine's speed changes
    show(f"throughput of {CLIENTS} clients : direct, batch of {best}", f"{rate / reference:.2f}", ">= 0.9")
    by_batch_size = ", ".join(f"{size}: {value:.1f}" for size, value in rates.items())
    show("  photos/s of the server", f"{rate:.1f}")
    print(f"  photos/s of direct calls, by batch size: {by_batch_size}; {best} repeated: {after:.1f}")


def version_changes(
    saved_model: pathlib.Path,
    photo_bytes: list[bytes],
    *,
    base: pathlib.Path,
    process: subprocess.Popen[bytes],
    caller: client.Client,
    long: bool,
) -> None:
    """Push new versions while 8 clients call continuously."""
    changes = LONG_VERSION_CHANGES if long else VERSION_CHANGES
    resident = [resident_mib(process.pid)]
    with calls_under_load(caller, photo_bytes, 8) as counts:
        for _ in range(changes):
            version = int(push.push(saved_model, base, DESCRIPTION, keep_versions=3).name)
            wait_for(functools.partial(_is_answering, caller, counts, version))
            resident.append(resident_mib(process.pid))
    answered = sum(count for key, count in counts.items() if isinstance(key, int))
    show(f"failed requests over {changes} version changes", str(counts.get("failed", 0)), "0")
    show("  requests answered, versions seen", f"{answered}, {len([key for key in counts if isinstance(key, int)])}")
    early = max(1, changes // 4)
    show(
        f"  memory after change {changes} : after change {early}",
        f"{resident[-1] / resident[early]:.3f}",
        "flat: about 1",
    )
    print(f"  resident MiB: {', '.join(f'{value:.0f}' for value in resident)}")


def restart_after_kill(
    photo_bytes: list[bytes], base: pathlib.Path, process: subprocess.Popen[bytes], port: int
) -> None:
    """Kill the server with SIGKILL under load, and restart it at once on the same port."""
    version = push.versions(base)[-1]
    with (
        contextlib.ExitStack() as stack,
        client.Client(f"localhost:{port}") as caller,
        calls_under_load(caller, photo_bytes, 8) as counts,
    ):
        wait_for(lambda: counts.get(version, 0) > 20)
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed_at = time.perf_counter()
        before = dict(counts)
        stack.enter_context(running_server(base, port))
        wait_for(lambda: counts.get(version, 0) > before.get(version, 0) + 8)
        recovery_seconds = time.perf_counter() - killed_at
    errors = {str(key): count for key, count in counts.items() if not isinstance(key, int) and key != "failed"}
    show("kill -9 to the first answers of the restarted server", f"{recovery_seconds:.1f} s")
    print(f"  errors of the client meanwhile: {errors or 'none'}")


def memory_over_requests(saved_model: pathlib.Path, photo_bytes: list[bytes], long: bool) -> None:
    """Measure the growth of the server's memory, by requests to a trivial model."""
    requests = LONG_SMALL_REQUESTS if long else SMALL_REQUESTS
    with tempfile.TemporaryDirectory() as folder:
        write_small_model(pathlib.Path(folder) / "1")
        with running_server(pathlib.Path(folder)) as (target, process), client.Client(target) as caller:
            with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
                list(pool.map(caller.classify, [b"x" * 50_000] * (LONG_SMALL_REQUESTS // 10)))
                before = resident_mib(process.pid)
                list(pool.map(caller.classify, [b"x" * 50_000] * requests))
            after = resident_mib(process.pid)
    show(f"memory after {requests:,} more requests of 50 kB", f"{after / before:.3f}", "flat: about 1")
    show("  resident before, after", f"{before:.0f}, {after:.0f} MiB")


PARTS: dict[str, Callable[[pathlib.Path, list[bytes], bool], None]] = {
    "server": server_lifecycle,
    "one": single_calls,
    "requests": memory_over_requests,
}


@contextlib.contextmanager
def running_server(base: pathlib.Path, port: int | None = None) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run the embedded server on `base`; yield its HOST:PORT and process once it is available."""
    port = port or free_port()
    command = [sys.executable, "-m", "serving", "--model_name", push.MODEL_NAME, "--model_base_path", str(base)]
    command += ["--port", str(port), *BATCHING]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            with client.Client(f"localhost:{port}", timeout_seconds=1) as probe:
                wait_for(lambda: probe.is_ready() or process.poll() is not None)
            if process.poll() is not None:
                log.seek(0)
                sys.exit(f"bench: the server did not start:\n{log.read().decode()}")
            yield f"localhost:{port}", process
        finally:
            process.terminate()
            process.wait()


@contextlib.contextmanager
def calls_under_load(caller: client.Client, photo_bytes: list[bytes], threads: int) -> Iterator[dict[int | str, int]]:
    """Classify continuously in `threads` threads; yield counts by model version, "failed" and type of error."""
    counts: dict[int | str, int] = {}
    lock, stopping = threading.Lock(), threading.Event()

    def count(key: int | str) -> None:
        with lock:
            counts[key] = counts.get(key, 0) + 1

    def call(start: int) -> None:
        index = start
        while not stopping.is_set():
            try:
                count(caller.classify(photo_bytes[index % len(photo_bytes)]).model_version)
            except (client.ServingUnavailable, client.ServingRejected) as error:
                count("failed")
                count(type(error).__name__)
            index += 1

    workers = [threading.Thread(target=call, args=(start,)) for start in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield counts
    finally:
        stopping.set()
        for worker in workers:
            worker.join()


def write_small_model(path: pathlib.Path) -> None:
    """Write a trivial model with the signature of the classifier."""

    class Small(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def classify(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            size = tf.cast(tf.strings.length(image_bytes), tf.float32)[:, tf.newaxis]
            names = tf.tile(tf.constant([["a", "b"]]), [tf.shape(size)[0], 1])
            return {"scores": tf.concat([size, -size], axis=1), "class_names": names}

    small = Small()
    tf.saved_model.save(small, str(path), signatures={"serving_default": small.classify})


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > deadline:
            raise TimeoutError(f"the expected state was not reached within {seconds:.0f} s")
        time.sleep(0.02)


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process on Linux."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    main()
