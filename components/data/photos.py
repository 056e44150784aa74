"""Photo files with their classes -> photos.csv: each photo once, with its class and its fold."""

import collections
import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from sklearn.model_selection import StratifiedKFold

from components.base import artifacts
from components.base.errors import PilahError
from components.data import class_folders, folders

COLUMNS = ("id", "path", "label", "fold")
DUPLICATE_COLUMNS = ("id", "kind", "path", "label", "kept_path")
UNREADABLE_COLUMNS = ("path", "label", "reason", "detail")
IGNORED_COLUMNS = ("path", "reason")


@dataclasses.dataclass(frozen=True)
class Photo:
    """One row of photos.csv.

    Attributes:
        id: 16 hexadecimal digits of the SHA-256 of the file's bytes, so that a copy or a new name changes nothing.
        path: where the file is.
        label: name of its class, which is the name of its class folder.
        fold: the one fold, in [0, folds), in which this photo is tested and not trained on.
    """

    id: str
    path: str
    label: str
    fold: int


@dataclasses.dataclass(frozen=True)
class Duplicate:
    """A file left out of photos.csv because its bytes are there already, or stand under several classes.

    `kind` is "duplicate" (same bytes, same class: `kept_path` stays) or "conflict" (same bytes under two classes:
    neither label can be trusted, none is kept, and `kept_path` is empty).
    """

    id: str
    kind: str
    path: str
    label: str
    kept_path: str


def list_photos(
    scan: class_folders.Scan, folds: int, seed: int, progress: Callable[[int, int], None]
) -> tuple[list[Photo], list[Duplicate]]:
    """The photos of `scan` in the order of their ids, each with its fold, and the files that stood there twice.

    Raises:
        PilahError: a class has fewer photos than folds.
    """
    kept, duplicates = unique_photos(scan.photos, progress)
    labels = [label for _, _, label in kept]
    check_class_sizes(labels, scan.classes, folds, [copy.path for copy in duplicates if copy.kind == "conflict"])
    fold_of = assign_folds(labels, folds, seed)
    return [Photo(*row, fold=int(fold)) for row, fold in zip(kept, fold_of, strict=True)], duplicates


def read_bytes(path: str, photo_id: str) -> bytes:
    """The bytes of the photo `photo_id`, which are those that it was listed with.

    Raises:
        PilahError: they are others, or cannot be read.
    """
    try:
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise PilahError(
            f"{path} cannot be read ({error.strerror}). Restore it, or run again to list the photos anew."
        ) from error
    if artifacts.bytes_digest(content) != photo_id:
        raise PilahError(f"{path} has changed since it was listed. Run again to list the photos anew.")
    return content


def unique_photos(
    files: Sequence[tuple[pathlib.Path, str]], progress: Callable[[int, int], None]
) -> tuple[list[tuple[str, str, str]], list[Duplicate]]:
    """(id, path, label) of each photo in the order of the ids, and the files left out since their bytes are not new."""
    copies: dict[str, list[tuple[str, str]]] = collections.defaultdict(list)  # id -> (path, label) of each copy
    for done, (path, label) in enumerate(files, start=1):
        copies[artifacts.file_digest(path)].append((str(path), label))
        progress(done, len(files))

    kept: list[tuple[str, str, str]] = []
    duplicates: list[Duplicate] = []
    for photo_id, found in sorted(copies.items()):
        if len({label for _, label in found}) > 1:
            duplicates += [Duplicate(photo_id, "conflict", path, label, "") for path, label in found]
            continue
        (kept_path, label), *others = found
        kept.append((photo_id, kept_path, label))
        duplicates += [Duplicate(photo_id, "duplicate", path, label, kept_path) for path, _ in others]
    return kept, duplicates


def assign_folds(labels: Sequence[str], folds: int, seed: int) -> np.ndarray:
    """The test fold of each photo, int64 [n] in [0, folds): classes spread evenly, drawn by `seed`."""
    fold_of = np.empty(len(labels), np.int64)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, test) in enumerate(splitter.split(labels, labels)):
        fold_of[test] = fold
    return fold_of


def check_class_sizes(labels: Sequence[str], classes: Sequence[str], folds: int, conflicts: Sequence[str] = ()) -> None:
    """Raise where a class has fewer photos than folds, since some fold would then test none of it.

    Args:
        conflicts: paths of files that were left out since they are in several classes.
    """
    counts = collections.Counter(labels)
    short = [f"{name} {counts[name]}" for name in classes if counts[name] < folds]
    if short:
        why = f" {len(conflicts)} files in several classes were left out, such as {conflicts[0]}." if conflicts else ""
        raise PilahError(
            f"Each class needs at least as many usable photos as folds ({folds}), and these have fewer: "
            f"{', '.join(short)}.{why} Add photos, remove the class, or lower --folds."
        )


def untested(labels: Sequence[str], fold_of: np.ndarray, folds: int) -> str:
    """The classes that some fold tests no photo of, as words; empty where every fold tests every class.

    Args:
        fold_of: int64 [n], the fold of each label.
    """
    tested = set(zip(labels, fold_of.tolist(), strict=True))
    missing = [(name, fold) for name in sorted(set(labels)) for fold in range(folds) if (name, fold) not in tested]
    return ", ".join(f"{name} in fold {fold}" for name, fold in missing)


def class_names(photos: Sequence[Photo]) -> list[str]:
    """The class order used everywhere: by name."""
    return sorted({photo.label for photo in photos})


def fingerprint(photos: Sequence[Photo]) -> str:
    """16 hexadecimal digits that stand for the photos, in their order, with their labels and folds."""
    return artifacts.digest([[photo.id, photo.label, photo.fold] for photo in photos])


def write(path: pathlib.Path, photos: Sequence[Photo]) -> None:
    artifacts.write_csv(path, COLUMNS, map(dataclasses.asdict, photos))


def read(path: pathlib.Path) -> list[Photo]:
    return [Photo(row["id"], row["path"], row["label"], int(row["fold"])) for row in artifacts.read_csv(path)]


def write_duplicates(path: pathlib.Path, duplicates: Sequence[Duplicate]) -> None:
    artifacts.write_csv(path, DUPLICATE_COLUMNS, map(dataclasses.asdict, duplicates))


def write_unreadable(path: pathlib.Path, rejects: Sequence[class_folders.Reject]) -> None:
    artifacts.write_csv(path, UNREADABLE_COLUMNS, map(dataclasses.asdict, rejects))


def write_ignored(path: pathlib.Path, ignored: Sequence[folders.Ignored]) -> None:
    artifacts.write_csv(path, IGNORED_COLUMNS, map(dataclasses.asdict, ignored))
