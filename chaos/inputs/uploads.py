"""Damaged photos as real uploads to the page, by its API and by its form, over HTTP."""

import collections
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from chaos import outcomes, servers
from chaos.inputs import mutations, photo_samples, tallies
from web import pictures

UPLOADS = 5_000
SHORT = 36
SECONDS = 60  # for an answer
SETTINGS = {  # of the page; nothing listens on port 1, so that accepted photos wait for the model server
    "PILAH_ENV": "development",
    "SERVING_TARGET": f"{servers.HOST}:1",
    "SERVING_TIMEOUT_SECONDS": "0.1",
    "UPLOAD_RATE": "1000000 per minute",
    "VISITOR_RATE": "1000000 per day",
    "TOTAL_RATE": "1000000 per day",
}
BOUNDARY = "chaos-of-damaged-photos"
TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')
ACCEPTED = (200, 202, 303)
REFUSALS = {reason: status for status, reason in pictures.REFUSALS.values()}  # of files; "busy" must not occur


def trial(seed: int, short: bool, folder: pathlib.Path) -> list[outcomes.Outcome]:
    """Upload damaged photos of all formats in turn, every other one by the form."""
    samples = {name: photo_samples.of(name) for name in photo_samples.FORMATS}
    counts: collections.Counter[str] = collections.Counter()
    failures: dict[str, list[str]] = {"API": [], "form": []}
    with page(folder / "page") as (port, log):
        clients = {"API": Client(port), "form": Client(port)}
        for index in range(SHORT if short else UPLOADS):
            name = photo_samples.FORMATS[index % len(photo_samples.FORMATS)]
            file = mutations.mutated(random.Random(f"{seed} upload {index}"), samples[name])
            way = "form" if index % 2 else "API"
            try:
                reason, failure = clients[way].upload(file, is_form=way == "form")
            except (OSError, http.client.HTTPException) as error:
                clients[way], reason, failure = Client(port), "no answer", f"{type(error).__name__}: {error}"
            counts[reason] += 1
            if failure:
                path = folder / f"upload-{index}"
                path.write_bytes(file)
                failures[way].append(f"{path}: {failure}")
    noise = [line for line in log.read_text().splitlines() if not _is_record(line)]
    failures["API"] += [f"{log.name}: {line[:200]}" for line in noise[:20]]
    log.unlink()
    half = sum(counts.values()) // 2
    if failure := tallies.too_many_costly(counts["costly"], half):  # the form's answers have no reason
        failures["API"].append(failure)
    print(f"uploads: {', '.join(f'{reason} {count:,}' for reason, count in counts.most_common())}")
    return [outcomes.Outcome(f"uploads by the {way}", half, failures=tuple(lines)) for way, lines in failures.items()]


def _is_record(line: str) -> bool:
    """Return whether a line of the page's log is one of its own records, of a level below error."""
    try:
        return json.loads(line)["level"].upper() in ("DEBUG", "INFO", "WARNING")
    except (ValueError, KeyError, TypeError):
        return False


@contextlib.contextmanager
def page(folder: pathlib.Path) -> Iterator[tuple[int, pathlib.Path]]:
    """Run the page on an empty data folder; yield its port and its log."""
    folder.mkdir()
    log = folder.with_suffix(".log")
    port = servers.free_port()
    command = [sys.executable, "-m", "web.server", "--bind", f"{servers.HOST}:{port}"]
    environment = {**os.environ, **SETTINGS, "PILAH_DATA": str(folder)}
    subprocess.run([sys.executable, "-m", "flask", "--app", "web", "db", "upgrade"], env=environment, check=True)
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
        try:
            _wait(port, process)
            yield port, log
        finally:
            process.terminate()
            process.wait(SECONDS)
            shutil.rmtree(folder)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((servers.HOST, port), 1):
            return
        time.sleep(0.1)
    sys.exit("The page did not start.")


class Client:
    """A visitor with cookies, and one connection that is kept open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(servers.HOST, port, timeout=SECONDS)
        status, headers, text = self._send("GET", "/classify")
        token = TOKEN.search(text)
        assert status == 200 and token, text[:500]
        self._token = token[1]
        self._cookie = "; ".join(value.partition(";")[0] for name, value in headers if name.lower() == "set-cookie")

    def upload(self, file: bytes, is_form: bool) -> tuple[str, str | None]:
        """Return the reason of a refusal, or "accepted"; and what is wrong with the answer, if anything."""
        fields = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n{self._token}\r\n'
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\n\r\n'
        body = (fields + head).encode() + file + f"\r\n--{BOUNDARY}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Cookie": self._cookie}
        status, _, text = self._send("POST", "/classify" if is_form else "/api/classify", body, headers)
        if "Traceback" in text or "/site-packages/" in text:
            return "traceback", f"{status} with a traceback"
        if status in ACCEPTED:
            return "accepted", None
        if is_form:
            is_clear = status in REFUSALS.values() and "<form" in text
            return f"status {status}", None if is_clear else f"status {status} without the form: {text[:200]}"
        try:
            reason = json.loads(text).get("error")
        except ValueError:
            return f"status {status}", f"status {status} without JSON: {text[:200]}"
        is_clear = REFUSALS.get(reason) == status
        return reason, None if is_clear else f"status {status}, reason {reason}"

    def _send(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, list[tuple[str, str]], str]:
        self._connection.request(method, path, body, headers or {})
        response = self._connection.getresponse()
        return response.status, response.getheaders(), response.read().decode()
