"""Benchmark of the web page against direct calls of the model server: `make bench RUN=runs/thesis`.

Model server and web page run as `make serve` starts them, with SQLite, each in a separate process.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import datetime
import functools
import json
import os
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

from benchmarks.serving import PHOTOS, ROOT, free_port, resident_mib, running_server, seconds_of, show, wait_for
from components.data import images, photos
from components.publish import push
from serving import client
from web import pictures

CLIENTS = 32
SECONDS, LONG_SECONDS = 15.0, 60.0
ROWS = 100_000
BOUNDARY = "pilah-benchmark"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-dir", type=pathlib.Path, default=pathlib.Path("runs/demo"))
    parser.add_argument("--long", action="store_true", help="A minute of load.")
    args = parser.parse_args()
    base = args.run_dir / "served" / push.MODEL_NAME
    if not push.versions(base):
        sys.exit(f"bench: --run-dir must hold a pushed model, and {args.run_dir} has none. Make one with make run.")
    photo_list = photos.read(args.run_dir / "photos.csv")
    selected = photo_list[:: max(1, len(photo_list) // PHOTOS)][:PHOTOS]
    uploads = [images.plain_bytes(pathlib.Path(photo.path).read_bytes(), images.MAX_PIXELS)[0] for photo in selected]
    print(f"{'what':58} {'figure':>12}   bound")
    with tempfile.TemporaryDirectory() as folder, running_server(base) as (target, _):
        data = pathlib.Path(folder)
        with website(data, target) as (address, pid, seconds_to_answer):
            show("start to the first answer", f"{seconds_to_answer:.2f} s", "<= 1.5 s")
            single_uploads(address, target, uploads)
            many_clients(address, data, uploads, LONG_SECONDS if args.long else SECONDS)
            show("resident memory after that, worker", f"{resident_mib(pid):.0f} MiB", "<= 120")
        history_of_many_rows(data, target)


def single_uploads(address: str, target: str, uploads: list[bytes]) -> None:
    """Compare the page's API with direct calls of the model server, one photo at a time."""
    with client.Client(target) as caller:
        normalized = [pictures.plain(upload, images.MAX_PIXELS) for upload in uploads]
        post(address, uploads[0])
        direct_seconds, page_seconds = [], []
        for picture, upload in zip(normalized, uploads, strict=True):
            direct_seconds.append(seconds_of(functools.partial(caller.classify, picture)))
            page_seconds.append(seconds_of(functools.partial(post, address, upload)))
    overhead_ms = (statistics.median(page_seconds) - statistics.median(direct_seconds)) * 1e3
    show("/api/classify minus a direct gRPC call, medians", f"{overhead_ms:+.1f} ms", "<= 20 ms")
    show("  the direct call", f"{statistics.median(direct_seconds) * 1e3:.1f} ms")


def many_clients(address: str, data: pathlib.Path, uploads: list[bytes], seconds: float) -> None:
    """Post photos from 32 clients for `seconds`."""
    rows_before, deadline = rows_in(data), time.monotonic() + seconds

    def post_until_deadline(start: int) -> list[tuple[int, str]]:
        answers, index = [], start
        while time.monotonic() < deadline:
            answers.append(post(address, uploads[index % len(uploads)]))
            index += 1
        return answers

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        answers = [answer for part in pool.map(post_until_deadline, range(CLIENTS)) for answer in part]
    statuses = collections.Counter(status for status, _ in answers)
    added = rows_in(data) - rows_before
    ids = {row_id for _, row_id in answers}
    show(
        f"5xx responses to {CLIENTS} clients in {seconds:.0f} s",
        str(sum(count for status, count in statuses.items() if status >= 500)),
        "0",
    )
    show("  rows lost or duplicated", str(abs(added - len(answers)) + len(answers) - len(ids)), "0")
    show("  answered, photos per second", f"{len(answers)}, {len(answers) / seconds:.1f}")
    print(f"  by status: {dict(statuses)}")


def history_of_many_rows(data: pathlib.Path, target: str) -> None:
    """Time the first and a late page of a history of 100,000 rows."""
    with website(data, target):
        pass  # creates the tables
    now = datetime.datetime(2026, 1, 1)
    rows = (
        (
            f"{number:032x}",
            "v",
            str(now + datetime.timedelta(seconds=number)),
            "done",
            "glass",
            0.9,
            '{"glass": 0.9}',
            1,
        )
        for number in range(ROWS)
    )
    with contextlib.closing(sqlite3.connect(data / "pilah.db")) as connection, connection:
        connection.executemany(
            "INSERT INTO upload (id, visitor, created_at, state, class_name, score, scores, model_version) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
    times = json.loads(
        subprocess.run(
            [sys.executable, "-c", TIME_HISTORY],
            cwd=ROOT,
            env=environment(data, target),
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()[-1]
    )
    for name, seconds in times.items():
        show(f"history of {ROWS:,} rows, {name}, median", f"{statistics.median(seconds) * 1e3:.1f} ms", "<= 50 ms")


TIME_HISTORY = """
import json, time, web
app = web.create_app()
times = {"first page": [], "page of one class": [], "late page": []}
paths = ("/history", "/history?class=glass", "/history?after=90001~2026-01-01T02:46:40~" + "f" * 32)
with app.test_client() as browser:
    with browser.session_transaction() as session:
        session["visitor"] = "v"
    for _ in range(30):
        for name, path in zip(times, paths):
            start = time.perf_counter()
            assert browser.get(path).status_code == 200
            times[name].append(time.perf_counter() - start)
print(json.dumps(times))
"""


@contextlib.contextmanager
def website(data: pathlib.Path, target: str) -> Iterator[tuple[str, int, float]]:
    """Run the page on `data`; yield its address, its process id, and the seconds until its first answer."""
    upgrade = [sys.executable, "-m", "flask", "--app", "web", "db", "upgrade"]
    subprocess.run(upgrade, cwd=ROOT, env=environment(data, target), check=True, capture_output=True)
    port = free_port()
    command = [sys.executable, "-m", "web.server", "--bind", f"localhost:{port}"]
    started = time.perf_counter()
    with (data / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(data, target), stdout=log, stderr=log)
        try:
            wait_for(lambda: get(f"http://localhost:{port}/healthz") == 200)
            seconds = time.perf_counter() - started
            yield f"http://localhost:{port}", process.pid, seconds
        finally:
            process.terminate()
            process.wait()


def environment(data: pathlib.Path, target: str) -> dict[str, str]:
    settings = {"PILAH_ENV": "development", "PILAH_DATA": str(data), "SERVING_TARGET": target}
    rates = dict.fromkeys(("UPLOAD_RATE", "VISITOR_RATE", "TOTAL_RATE"), "1000000 per minute")
    return {**os.environ, **settings, **rates, "SERVING_TIMEOUT_SECONDS": "60"}


def post(address: str, upload: bytes) -> tuple[int, str]:
    """Post a photo to the API; return the HTTP status and the row's id."""
    body = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\n\r\n'.encode()
        + upload
        + f"\r\n--{BOUNDARY}--\r\n".encode()
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    try:
        request = urllib.request.Request(f"{address}/api/classify", body, headers)
        with urllib.request.urlopen(request) as response:  # nosec B310 # the page that this file started
            return response.status, json.load(response)["id"]
    except urllib.error.HTTPError as error:
        return error.code, ""


def get(address: str) -> int:
    try:
        with urllib.request.urlopen(address) as response:  # nosec B310 # the page that this file started
            return response.status
    except OSError:
        return 0


def rows_in(data: pathlib.Path) -> int:
    with contextlib.closing(sqlite3.connect(data / "pilah.db")) as connection:
        return connection.execute("SELECT count(*) FROM upload").fetchone()[0]


if __name__ == "__main__":
    main()
