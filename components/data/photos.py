"""The photos of a study, each a row of photos.csv. Needs neither TensorFlow nor scikit-learn."""

import dataclasses
import pathlib
import sys
from collections.abc import Sequence

from components.base import artifacts
from components.base.errors import PilahError

COLUMNS = ("id", "path", "label", "fold")
REJECTS = "rejects.csv"  # in the folder of the records: photos without a record


@dataclasses.dataclass(frozen=True)
class Photo:
    """One row of photos.csv.

    Attributes:
        id: 16 hexadecimal digits of the SHA-256 of the file's bytes, which copying or renaming does not change.
        path: path of the file.
        label: name of its class.
        fold: the fold, in [0, folds), in which this photo is tested and not trained on. The file counts from 1.
    """

    id: str
    path: str
    label: str
    fold: int


def read_bytes(path: str, photo_id: str) -> bytes:
    """Return the bytes of the photo `photo_id`, after checking that they are those that were listed.

    Raises:
        PilahError: the file has changed, or cannot be read.
    """
    try:
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise PilahError(
            f"{path} cannot be read ({error.strerror}). Restore it, or run again to list the photos again."
        ) from error
    if artifacts.bytes_digest(content) != photo_id:
        raise PilahError(f"{path} has changed since it was listed. Run again to list the photos again.")
    return content


def class_names(photos: Sequence[Photo]) -> list[str]:
    """Return the names of the classes in class order, which is alphabetical."""
    return sorted({photo.label for photo in photos})


def fingerprint(photos: Sequence[Photo]) -> str:
    """Return 16 hexadecimal digits that depend on all ids, labels and folds, and their order."""
    return artifacts.list_digest([photo.id, photo.label, photo.fold] for photo in photos)


def accepted(photos: Sequence[Photo], records_dir: pathlib.Path) -> list[Photo]:
    """Return the photos that have a record in `records_dir`, in the order of the records."""
    rejects = records_dir / REJECTS
    rejected = {row["id"] for row in artifacts.csv_rows(rejects, ("id",))} if rejects.exists() else set()
    return [photo for photo in photos if photo.id not in rejected]


def spread_rows(total: int, count: int) -> list[int]:
    """Return up to `count` evenly spaced numbers in [0, total)."""
    count = min(count, total)
    return [index * total // count for index in range(count)]


def write(path: pathlib.Path, photos: Sequence[Photo]) -> None:
    rows = ({"id": p.id, "path": p.path, "label": p.label, "fold": p.fold + 1} for p in photos)
    artifacts.write_csv(path, COLUMNS, rows)


def read(path: pathlib.Path) -> list[Photo]:
    """Return the photos in a file that `write` wrote.

    Raises:
        PilahError: the file is damaged.
    """
    with artifacts.reading_rows(path):
        listed = [
            # one string for all photos of a class
            Photo(row["id"], row["path"], sys.intern(row["label"]), int(row["fold"]) - 1)
            for row in artifacts.csv_rows(path, COLUMNS)
        ]
        # older files count from 0; a complete file has photos of its first fold
        first = 1 + min((photo.fold for photo in listed), default=0)
        if first not in (0, 1):
            raise ValueError(f"the first fold is {first}")
        if len({photo.id for photo in listed}) < len(listed):
            raise ValueError("an id is there twice")
    return listed if first else [dataclasses.replace(photo, fold=photo.fold + 1) for photo in listed]
