"""A shard of the records: written by one worker, which leaves a report beside it for the process that started it."""

import collections
import contextlib
import dataclasses
import functools
import logging
import os
import pathlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from components.base import artifacts
from components.base.errors import PilahError
from components.data import images, photos, resize

log = logging.getLogger("pilah")
_READING = threading.Lock()
Serialize = Callable[[dict[str, Any]], bytes]  # values of a record -> its bytes


@dataclasses.dataclass(frozen=True)
class Shard:
    """The path of a shard to write, and which photos it has, in their order.

    Attributes:
        photo_list: path of a list of photos, as photos.write writes it. Beam copies its elements several times, so
            that the photos themselves would take much memory.
        start, end: number of the first photo in that list, and of the one after the last.
    """

    path: str
    photo_list: pathlib.Path
    start: int
    end: int

    def photos(self) -> list[photos.Photo]:
        return _read_list(self.photo_list)[self.start : self.end]


def _read_list(path: pathlib.Path) -> list[photos.Photo]:
    with _READING:  # the threads of a process read it once
        return _read_list_once(path)


@functools.lru_cache(maxsize=1)
def _read_list_once(path: pathlib.Path) -> list[photos.Photo]:
    return photos.read(path)


def write(shard: Shard, serialize: Serialize, image_size_px: int, max_pixels: int) -> None:
    """Write a shard and beside it its report: the numbers of photos and bytes and the rejects, or why there are none.

    A Beam element is a whole shard, so that no pixels pass between steps. Memory does not grow with the number of
    photos, shards are the same on every runner, and a retried bundle writes the same files.
    """
    path = pathlib.Path(shard.path)
    host = socket.gethostname()
    if not path.parent.is_dir():  # read_reports finds no report then
        log.error("%s does not see %s", host, path.parent)
        return
    report: dict[str, Any] = {"host": host, "process": os.getpid()}
    try:
        rejects = _write_photos(shard, serialize, image_size_px, max_pixels)
    except PilahError as error:  # returned as data, because Beam would hide it in a traceback
        report["error"] = str(error)
    except (OSError, tf.errors.OpError) as error:
        report["failure"] = str(error)
    else:
        written = shard.end - shard.start - len(rejects)
        report |= {"photos": written, "bytes": path.stat().st_size, "rejects": rejects}
    artifacts.write_json(report_path(shard), report)


def report_path(shard: Shard) -> pathlib.Path:
    return pathlib.Path(f"{shard.path}.report.json")


def _write_photos(shard: Shard, serialize: Serialize, image_size_px: int, max_pixels: int) -> list[dict[str, str]]:
    """Write the usable photos of a shard; return the rows of rejects.csv for the others.

    Raises:
        PilahError: a photo cannot be read, or has changed since it was listed.
    """
    rejects, photo_list = [], shard.photos()
    with artifacts.atomic_write(pathlib.Path(shard.path)) as part, tf.io.TFRecordWriter(str(part)) as writer:
        for start in range(0, len(photo_list), resize.PHOTOS_AT_ONCE):
            batch = photo_list[start : start + resize.PHOTOS_AT_ONCE]
            files = [photos.read_bytes(photo.path, photo.id) for photo in batch]
            for photo, square in zip(batch, resize.make(files, image_size_px, max_pixels), strict=True):
                if isinstance(square, images.UnusablePhotoError):
                    rejects.append(make_reject(photo, square))
                else:
                    example = serialize(make_example(photo, square))
                    # again, because TensorFlow Datasets writes the features in another order in each process
                    writer.write(tf.train.Example.FromString(example).SerializeToString(deterministic=True))
    return rejects


def make_example(photo: photos.Photo, square: resize.Square) -> dict[str, Any]:
    """Return the values of a record."""
    width_px, height_px = square.original_size_px
    return {
        "id": photo.id,
        "image": square.png,
        "label": photo.label,
        "fold": photo.fold,
        "original_width_px": width_px,
        "original_height_px": height_px,
    }


def make_reject(photo: photos.Photo, error: images.UnusablePhotoError) -> dict[str, str]:
    """Return the row of rejects.csv."""
    detail = " ".join(error.detail.split())
    return {"id": photo.id, "path": photo.path, "label": photo.label, "reason": error.reason, "detail": detail}


def read_reports(shards: Sequence[Shard]) -> list[dict[str, Any]]:
    """Return the reports of all shards, and remove their files and those that killed workers have left.

    Raises:
        PilahError: a shard has no report, or a photo cannot be read or has changed since it was listed.
        OSError: a shard could not be written.
    """
    paths = [report_path(shard) for shard in shards]
    if missing := [path for path in paths if not path.exists()]:
        raise PilahError(
            f"{len(missing)} of {len(shards)} shards were not written to {missing[0].parent}. Every Beam worker must "
            "see the run folder and the photos under the same paths as this process."
        )
    reports = [artifacts.read_json(path) for path in paths]
    for report in reports:
        where = "" if report["host"] == socket.gethostname() else f"On {report['host']}: "
        if "error" in report:
            raise PilahError(where + report["error"])
        if "failure" in report:
            raise OSError(where + report["failure"])
    workers = collections.Counter((report["host"], report["process"]) for report in reports)
    for (host, process), count in workers.items():
        log.info("process %d on %s wrote %d shards", process, host, count)
    _read_list_once.cache_clear()
    for path in paths:
        path.unlink()
    for folder in {path.parent for path in paths}:
        artifacts.remove_parts(folder)
    return reports


@contextlib.contextmanager
def counted(shards: Sequence[Shard], progress: Callable[[int, int], None]) -> Iterator[None]:
    """Report the number of photos in finished shards every second while the block runs."""
    stop = threading.Event()
    total = sum(shard.end - shard.start for shard in shards)

    def count() -> None:
        while not stop.wait(1.0):
            progress(sum(shard.end - shard.start for shard in shards if pathlib.Path(shard.path).exists()), total)

    counter = threading.Thread(target=count, daemon=True)
    counter.start()
    try:
        yield
    finally:
        stop.set()
        counter.join()
    progress(total, total)
