"""Clients of the page under Compose, which send what a proxy with https in front of it passes on."""

import io
import itertools
import re
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests

from components.demo import synthetic_photos

PAGE, REST = "http://127.0.0.1:8000", "http://127.0.0.1:8501/v1/models/pilah"
HOST = "photos.example.org"
CLASSES = ("cardboard", "glass", "metal", "paper", "plastic", "trash")
numbers = itertools.count()


def photo(number: int | None = None) -> bytes:
    """Return a JPEG; each number gives another one, and without a number each call."""
    number = next(numbers) if number is None else number
    stream = io.BytesIO()
    synthetic_photos.draw(CLASSES[number % len(CLASSES)], number, seed=3).save(stream, "JPEG")
    return stream.getvalue()


def _forwarded() -> dict[str, str]:
    """Return the headers of a proxy, each time for another client, as uploads of one address are limited."""
    number = next(numbers)
    address = f"198.{18 + number // 60_000}.{number // 250 % 240}.{1 + number % 250}"
    return {"Host": HOST, "X-Forwarded-Proto": "https", "X-Forwarded-For": address}


def classify(content: bytes, timeout: float = 60) -> requests.Response:
    """Send a photo to the API."""
    with requests.Session() as session:
        session.trust_env = False
        return session.post(f"{PAGE}/api/classify", files={"image": content}, headers=_forwarded(), timeout=timeout)


def delete(row_id: str, token: str) -> requests.Response:
    """Delete a photo by the API."""
    headers = {**_forwarded(), "Authorization": f"Bearer {token}"}
    with requests.Session() as session:
        session.trust_env = False
        return session.delete(f"{PAGE}/api/results/{row_id}", headers=headers, timeout=60)


def get(url: str, **headers: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, headers={**_forwarded(), **headers}, timeout=60)


class Browser:
    """A browser with its own cookie, which sends forms with the token of the page."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        self._client = _forwarded() | {"Referer": f"https://{HOST}/"}

    @property
    def _headers(self) -> dict[str, str]:
        """Return the headers with the cookies, which are for https, so that the session does not send them itself."""
        return self._client | {"Cookie": "; ".join(f"{name}={value}" for name, value in self._session.cookies.items())}

    def get(self, path: str) -> requests.Response:
        return self._session.get(PAGE + path, headers=self._headers, timeout=60)

    def post(self, page: str, path: str, files: Any = None, **fields: str) -> requests.Response:
        """Send a form of `page` to `path` without following the redirection."""
        (token, *_) = re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', self.get(page).text)
        fields["csrf_token"] = token
        options: dict[str, Any] = {"headers": self._headers, "timeout": 60, "allow_redirects": False}
        return self._session.post(PAGE + path, data=fields, files=files, **options)

    def upload(self, content: bytes) -> str:
        """Upload a photo by the form and return the id of its row."""
        response = self.post("/classify", "/classify", files={"image": ("photo.jpg", content)})
        assert response.status_code == 303, response.text
        return response.headers["Location"].rpartition("/")[2]


@dataclass
class Traffic:
    """What clients got who sent photos all the time, each one until it was accepted.

    Attributes:
        ids: id of each accepted photo.
        statuses: status of each answer.
        errors: one line for each request without an answer.
    """

    ids: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def failures(self) -> int:
        return len(self.errors) + sum(status >= 400 for status in self.statuses)


@contextmanager
def uploading(clients: int) -> Iterator[Traffic]:
    """Upload photos with several clients during the block, and yield their traffic."""
    traffic, ending = Traffic(), threading.Event()

    def upload() -> None:
        while not ending.is_set():
            content = photo()
            while not _accepted(content, traffic):
                ending.wait(0.5)

    with futures.ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(upload) for _ in range(clients)]
        try:
            yield traffic
        finally:
            ending.set()
        for client in running:
            client.result()


def _accepted(content: bytes, traffic: Traffic) -> bool:
    try:
        response = classify(content)
    except requests.RequestException as error:
        traffic.errors.append(str(error))
        return False
    traffic.statuses.append(response.status_code)
    if response.status_code < 400:
        traffic.ids.append(response.json()["id"])
    return response.status_code < 400
