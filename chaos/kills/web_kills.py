"""SIGKILL processes of the web page and its database at random moments while clients upload, then count the uploads."""

import collections
import contextlib
import os
import pathlib
import random
import threading
import time
from collections.abc import Iterator

import sqlalchemy as sa
import web_app

from chaos import site
from chaos.kills import postgres
from chaos.outcomes import Outcome
from components.base import artifacts
from components.data import images

PARTS = ("page", "all processes", "decoding process", "decoding child")
DATABASE_PARTS = ("database connection", "database")
CLIENTS = 4
FIND_SECONDS = 10.0  # to meet a process that lives for a moment


def run(folder: pathlib.Path, kills: int, database: postgres.Server | None, rng: random.Random) -> list[Outcome]:
    """Return the outcome of `kills` kills of the page on SQLite, or on PostgreSQL and of that."""
    folder.mkdir()
    parts = [*PARTS, *(DATABASE_PARTS if database else ())]
    model = web_app.ModelServer()
    model.start()
    page = site.Site(folder / "data", database.url if database else "", model.target)
    hits: collections.Counter[str] = collections.Counter()
    photos: list[site.Photo] = []
    lost = doubled = 0
    with page.recording_failures():
        page.create()
        with _uploading(page, photos):
            for number in range(kills):
                time.sleep(rng.uniform(0.3, 1.5))
                hits[_kill(page, database, parts[number % len(parts)], rng)] += 1
                page.wait()
            time.sleep(1.0)
        lost, doubled = _count(page, photos)
    model.stop()
    name = "PostgreSQL" if database else "SQLite"
    rows = [Outcome(f"  {part}", count) for part, count in hits.items()]
    unanswered = sum(photo.unanswered for photo in photos)
    trial = f"kills of the page on {name}: {len(photos)} uploads, {unanswered} times no answer"
    return [Outcome(trial, hits.total(), lost, doubled, tuple(page.failures)), *rows]


@contextlib.contextmanager
def _uploading(page: site.Site, photos: list[site.Photo]) -> Iterator[None]:
    """Let clients upload during the block; add their photos to `photos`, and their failures to those of the page."""
    ending = threading.Event()
    clients = [site.Client(page, number, ending) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        ending.set()
        for client in clients:
            client.join()
            photos += client.photos
            page.failures += client.failures


def _kill(page: site.Site, database: postgres.Server | None, part: str, rng: random.Random) -> str:
    """Kill `part`, or the page if there is no such process for some seconds; return what was killed."""
    deadline = time.monotonic() + FIND_SECONDS
    while time.monotonic() < deadline:
        if database and part == "database":
            database.kill()
            return part
        if database and part == "database connection":
            if database.kill_backend(rng):
                return part
        elif page.kill(part, rng):
            return part
        time.sleep(0.002)
    page.kill("page", rng)
    return "page"


def _count(page: site.Site, photos: list[site.Photo]) -> tuple[int, int]:
    """Return the numbers of uploads that are lost and doubled, and add what else is wrong to `page.failures`."""
    rows = _answered_rows(page)
    pictures = {path.stem: path for path in (page.data / "uploads").glob("*/*.jpg")}
    digests = {row_id: artifacts.file_digest(path) for row_id, path in pictures.items()}
    count_of = collections.Counter(digests[row_id] for row_id in rows if row_id in digests)
    lost = doubled = 0
    for photo in photos:
        digest = artifacts.bytes_digest(images.web_jpeg(photo.content))
        if photo.row_id and (photo.row_id not in rows or digests.get(photo.row_id) != digest):
            lost += 1
        if photo.row_id in rows and rows[photo.row_id] != photo.class_name:
            page.failures.append(f"{photo.row_id} is {rows[photo.row_id]} instead of {photo.class_name}")
        doubled += max(0, count_of[digest] - bool(photo.row_id) - photo.unanswered)
    without_row = pictures.keys() - rows.keys()
    if len(without_row) > sum(photo.unanswered for photo in photos):
        page.failures.append(f"{len(without_row)} pictures have no row")
    _check_doctor(page, without_row)
    return lost, doubled


def _answered_rows(page: site.Site) -> dict[str, str]:
    """Return row id -> class, once no row waits."""
    engine = sa.create_engine(page.database_url or f"sqlite:///{page.data / 'pilah.db'}")
    query = sa.text("SELECT id, state, class_name FROM upload")

    def read() -> list[sa.Row]:
        with engine.connect() as connection:
            return list(connection.execute(query))

    web_app.wait_until(lambda: all(row.state == "done" for row in read()), 120)
    rows = {row.id: row.class_name for row in read()}
    engine.dispose()
    return rows


def _check_doctor(page: site.Site, without_row: set[str]) -> None:
    """Check that the command doctor deletes the pictures without a row and the partial files, and nothing else."""
    for path in (page.data / "uploads").glob("*/*"):
        os.utime(path, (0, 0))  # doctor leaves new ones, whose rows may not be written yet
    printed = page.flask("doctor")
    if printed != site.NOTHING_FOUND.replace("deleted 0", f"deleted {len(without_row)}"):
        page.failures.append(f"doctor: {printed}, and {len(without_row)} pictures had no row")
    if (printed := page.flask("doctor")) != site.NOTHING_FOUND:
        page.failures.append(f"doctor, a second time: {printed}")
    if parts := list((page.data / "uploads").glob("*/*.part")):
        page.failures.append(f"doctor leaves {len(parts)} partial files")
