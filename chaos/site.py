"""The web page, whose processes can be killed, and clients that send it photos."""

import contextlib
import dataclasses
import io
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import requests
import web_app
from PIL import Image

from chaos import processes, servers

WORDS = {"PILAH_ENV": "development", "RETRY_SECONDS": "0.2", "SERVING_TIMEOUT_SECONDS": "2"}
LIMITS = dict.fromkeys(("UPLOAD_RATE", "VISITOR_RATE", "TOTAL_RATE"), "1000000 per minute")
NOTHING_FOUND = "deleted 0 pictures without a row and 0 rows without a picture"  # by the command doctor
START_SECONDS = 60.0
STOP_SECONDS = 60.0
COMMAND_SECONDS = 120.0  # of `flask --app web`
PHOTO_SECONDS = 120.0  # until a photo is accepted, with all its kills
MAX_PAUSE_SECONDS = 1.0  # of the clients, who are told to wait longer
SIZE = (1400, 1000)  # pixels of a photo, which take a decoder some 50 ms


class Site:
    """The page on the folder `data`. `start` starts it, also after a kill.

    Attributes:
        log: file of its output, next to the parent folder of `data`, because that may be a full disk.
        failures: what went wrong so far.
    """

    def __init__(self, data: pathlib.Path, database_url: str, target: str):
        self.data, self.database_url = data, database_url
        self._bind = f"{servers.HOST}:{servers.free_port()}"
        locations = {"PILAH_DATA": str(data), "SERVING_TARGET": target, "DATABASE_URL": database_url}
        self.environment = web_app.environment(**WORDS, **LIMITS, **locations)
        self.log = data.parent.with_suffix(".log")
        self.failures: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://{self._bind}"

    @contextlib.contextmanager
    def recording_failures(self) -> Iterator[None]:
        """Stop the page after the block; add an error of the block and a traceback in the log to `failures`."""
        try:
            yield
        except Exception as error:  # the table of results lists it
            self.failures.append(f"{type(error).__name__}: {error}")
        finally:
            self.stop()
        log = self.log.read_text(errors="replace") if self.log.exists() else ""
        if "Traceback" in log:
            self.failures.append(f"the page logged a traceback: {log[log.index('Traceback') :][:2000]}")

    def create(self) -> None:
        """Create the tables, and start it."""
        self.flask("db", "upgrade")
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "web.server", "--bind", self._bind]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=web_app.ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait()

    def wait(self) -> None:
        """Wait until the page answers."""
        web_app.wait_until(self._is_alive, START_SECONDS)

    def stop(self) -> None:
        """Stop it; add to `failures` if it had to be killed."""
        if self._process:
            self.failures += processes.stop(self._process, STOP_SECONDS)

    def kill(self, part: str, rng: random.Random) -> bool:
        """Kill a part of it, start it again if need be, and return whether there was such a process to kill."""
        assert self._process
        if part == "page":  # its decoding process ends when it notices
            self._process.kill()
        elif part == "all processes":
            os.killpg(self._process.pid, signal.SIGKILL)
        else:
            return self._kill_child(part, rng)
        self._process.wait()
        self.start()
        return True

    def flask(self, *arguments: str) -> str:
        """Return what `flask --app web` prints."""
        command = [sys.executable, "-m", "flask", "--app", "web", *arguments]
        done = subprocess.run(
            command,
            cwd=web_app.ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        assert done.returncode == 0, f"flask {' '.join(arguments)}: {done.stderr[-1000:]}"
        return done.stdout.strip()

    def _kill_child(self, part: str, rng: random.Random) -> bool:
        assert self._process
        decoders = processes.children(self._process.pid)
        decoding = [pid for decoder in decoders for pid in processes.children(decoder)]
        return processes.kill_one({"decoding process": decoders, "decoding child": decoding}[part], rng)

    def _is_alive(self) -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{self.address}/healthz", timeout=2).ok
        return False


@dataclasses.dataclass
class Photo:
    """A photo that a client sends until it is answered.

    Attributes:
        row_id: the id of its upload, once it is accepted; "" if it was refused.
        unanswered: number of times that it was sent, at least in part, and no answer said whether it was accepted.
        refused: number of times that it was refused, without an upload.
    """

    class_name: str
    content: bytes
    row_id: str = ""
    unanswered: int = 0
    refused: int = 0


class Client(threading.Thread):
    """Sends new photos one after another, each until it is accepted, and notes wrong answers."""

    def __init__(self, site: Site, number: int, ending: threading.Event):
        super().__init__(daemon=True)
        self._site, self._number, self._ending = site, number, ending
        self.photos: list[Photo] = []
        self.failures: list[str] = []

    def run(self) -> None:
        while not self._ending.is_set():
            seed = self._number * 1_000_000 + len(self.photos)
            class_name = web_app.CLASSES[seed % len(web_app.CLASSES)]
            self.photos.append(Photo(class_name, make_photo(class_name, seed)))
            self._send(self.photos[-1])

    def _send(self, photo: Photo) -> None:
        """Send the photo until it is accepted, or cannot be, for at most PHOTO_SECONDS."""
        deadline = time.monotonic() + PHOTO_SECONDS
        try:
            while not self._is_done(photo):
                if time.monotonic() > deadline:
                    counts = f"refused {photo.refused} times, {photo.unanswered} times no answer"
                    raise TimeoutError(f"a photo was not accepted in {PHOTO_SECONDS:.0f} s: {counts}")
        except Exception as error:  # would end this thread, and nobody would see it
            photo.unanswered += 1
            self.failures.append(f"{type(error).__name__}: {error}")

    def _is_done(self, photo: Photo) -> bool:
        """Send the photo once; return whether it is accepted, or cannot be."""
        try:
            answer = self._form(photo) if self._number == 0 else self._api(photo)
        except requests.RequestException as error:
            if "NewConnectionError" not in str(error):  # otherwise nobody knows whether it was accepted
                photo.unanswered += 1
            time.sleep(0.1)
            return False
        if answer.status_code in (200, 202):
            photo.row_id = answer.json()["id"]
        elif answer.status_code == 303:
            photo.row_id = answer.headers["Location"].rsplit("/", 1)[1]
        elif answer.status_code == 503 and "Retry-After" in answer.headers:
            photo.refused += 1
            time.sleep(min(float(answer.headers["Retry-After"]), MAX_PAUSE_SECONDS))
        elif answer.status_code == 400 and "too much time or memory" in answer.text:  # its decoder was killed
            photo.refused += 1
        else:
            self.failures.append(f"{answer.status_code}: {answer.text[:300]}")
            return True
        return bool(photo.row_id)

    def _api(self, photo: Photo) -> requests.Response:
        files = {"image": ("photo.jpg", photo.content)}
        return requests.post(f"{self._site.address}/api/classify", files=files, timeout=60)

    def _form(self, photo: Photo) -> requests.Response:
        """Send the photo as a browser does."""
        files, headers = {"image": ("photo.jpg", photo.content)}, {"Sec-Fetch-Site": "same-origin"}
        address = f"{self._site.address}/classify"
        return requests.post(address, files=files, headers=headers, timeout=60, allow_redirects=False)


def make_photo(class_name: str, seed: int) -> bytes:
    """Return a photo of the colour of its class, different for each seed."""
    image = Image.new("RGB", SIZE, web_app.COLOURS[class_name])
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    image.paste(Image.fromarray(noise).resize((128, 128), Image.Resampling.NEAREST))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90)
    return stream.getvalue()
