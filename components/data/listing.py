"""Photo files with their classes -> unique photos with class and fold, and the duplicates left out."""

import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Sequence

from components.base import artifacts
from components.data import folders, photo_scan, photos, stratified_folds

DUPLICATE_COLUMNS = ("id", "kind", "path", "label", "kept_path")
UNREADABLE_COLUMNS = ("path", "label", "reason", "detail")
IGNORED_COLUMNS = ("path", "reason")


@dataclasses.dataclass(frozen=True)
class Duplicate:
    """A file left out of photos.csv because another file is identical; a row of duplicates.csv.

    `kind` is "duplicate" (identical file in the same class: `kept_path` is used) or "conflict" (identical files in
    several classes: their labels cannot be trusted, so that none of them is used and `kept_path` is empty).
    """

    id: str
    kind: str
    path: str
    label: str
    kept_path: str


def list_photos(
    scan: photo_scan.Scan, folds: int, seed: int, progress: Callable[[int, int], None]
) -> tuple[list[photos.Photo], list[Duplicate]]:
    """Return the photos of `scan` in the order of their ids, each with its fold, and the files left out as copies.

    Raises:
        PilahError: a class has fewer photos than folds.
    """
    unique, duplicates = unique_photos(scan.photos, progress)
    labels = [label for _, _, label in unique]
    conflicts = [copy.path for copy in duplicates if copy.kind == "conflict"]
    stratified_folds.check_class_sizes(labels, scan.classes, folds, conflicts)
    fold_of = stratified_folds.assign(labels, folds, seed)
    return [photos.Photo(*row, fold=int(fold)) for row, fold in zip(unique, fold_of, strict=True)], duplicates


def unique_photos(
    files: Sequence[tuple[str, str]], progress: Callable[[int, int], None]
) -> tuple[list[tuple[str, str, str]], list[Duplicate]]:
    """Return (id, path, label) of each photo in the order of the ids, and the files left out as copies.

    Args:
        files: (path, label) of each file.
    """
    ids = []
    for done, (path, _) in enumerate(files, start=1):
        ids.append(artifacts.file_digest(path))
        progress(done, len(files))

    unique: list[tuple[str, str, str]] = []
    duplicates: list[Duplicate] = []
    by_id = sorted(range(len(files)), key=ids.__getitem__)  # copies stay in the order of `files`
    for photo_id, numbers in itertools.groupby(by_id, key=ids.__getitem__):
        files_of_id = [files[number] for number in numbers]
        if len({label for _, label in files_of_id}) > 1:
            duplicates += [Duplicate(photo_id, "conflict", path, label, kept_path="") for path, label in files_of_id]
            continue
        (kept_path, label), *others = files_of_id
        unique.append((photo_id, kept_path, label))
        duplicates += [Duplicate(photo_id, "duplicate", path, label, kept_path=kept_path) for path, _ in others]
    return unique, duplicates


def write_duplicates(path: pathlib.Path, duplicates: Sequence[Duplicate]) -> None:
    artifacts.write_csv(path, DUPLICATE_COLUMNS, map(dataclasses.asdict, duplicates))


def write_unreadable(path: pathlib.Path, rejects: Sequence[photo_scan.Reject]) -> None:
    artifacts.write_csv(path, UNREADABLE_COLUMNS, map(dataclasses.asdict, rejects))


def write_ignored(path: pathlib.Path, ignored: Sequence[folders.Ignored]) -> None:
    artifacts.write_csv(path, IGNORED_COLUMNS, map(dataclasses.asdict, ignored))
