"""A folder of class folders, or a zip of one -> photos.csv: each photo once, with its class and its fold."""

import collections
import dataclasses
import pathlib
import shutil
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Sequence

import numpy as np
from sklearn.model_selection import StratifiedKFold

from components import artifacts
from components.errors import PilahError

KAGGLE_DATASET = "asdasdasdasdas/garbage-classification"  # the photos of the thesis, as published on Kaggle
COLUMNS = ("id", "path", "label", "fold")
SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation"}  # what folders of a split are called
DUPLICATE_COLUMNS = ("id", "kind", "path", "label", "kept_path")


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


def check_given(images: pathlib.Path) -> None:
    """Raise where `images` is neither a folder nor a zip."""
    if not images.exists():
        raise PilahError(f"--images must be a folder or a zip that exists. Received: {images}. Check the path.")
    if not images.is_dir() and not zipfile.is_zipfile(images):
        raise PilahError(f"--images must be a folder or a zip. Received: {images}, which is neither. Unpack it first.")


def unpack(images: pathlib.Path, into: pathlib.Path) -> pathlib.Path:
    """The folder that holds the photos: `images` itself, or what its zip holds, unpacked once to `into`."""
    check_given(images)
    if images.is_dir():
        return images
    if not into.exists():
        part = into.with_name(into.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            with zipfile.ZipFile(images) as archive:
                archive.extractall(part)  # drops absolute and parent paths by itself
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:  # damaged, or asks for a password
            raise PilahError(
                f"--images must be a zip that unpacks. Received: {images} ({error}). Fetch it again or unpack it first."
            ) from error
        part.rename(into)
    return into


def fetch_kaggle() -> pathlib.Path:
    """The folder to which kagglehub has downloaded the photos of the thesis (about 40 MB, kept between calls)."""
    import kagglehub

    try:
        return pathlib.Path(kagglehub.dataset_download(KAGGLE_DATASET))
    except Exception as error:  # whatever the network or Kaggle objects to, the way out is the same
        raise PilahError(
            f"--fetch-kaggle needs a network that reaches Kaggle. Received: {type(error).__name__} "
            f"({' '.join(str(error).split())[:300]}) for {KAGGLE_DATASET}. Download its zip by hand and give it as "
            "--images."
        ) from error


def class_folders(root: pathlib.Path) -> list[pathlib.Path]:
    """The class folders below `root`, by name: Kaggle's nested folders are walked down while there is but one way."""
    folders = _folders(root)
    while len(folders) == 1 and _folders(folders[0]):
        folders = _folders(folders[0])
    return folders


def list_photos(
    roots: Sequence[pathlib.Path], folds: int, seed: int, progress: Callable[[int, int], None]
) -> tuple[list[Photo], list[Duplicate]]:
    """The photos below `roots` in the order of their ids, each with its fold, and the files that stood there twice.

    Class folders of one name are one class, in whichever root they stand. Every file in them that is not hidden counts
    as a photo until it fails to decode.

    Raises:
        PilahError: there are fewer than 2 classes in all, or a class has fewer photos than folds, or what stands where
            classes should looks like a split into training and test.
    """
    folders = all_class_folders(roots)
    kept, duplicates = unique_photos(labelled_files(folders), progress)
    labels = [label for _, _, label in kept]
    check_class_sizes(labels, sorted({label_of(folder) for folder in folders}), folds)
    fold_of = assign_folds(labels, folds, seed)
    return [Photo(*row, fold=int(fold)) for row, fold in zip(kept, fold_of, strict=True)], duplicates


def all_class_folders(roots: Sequence[pathlib.Path]) -> list[pathlib.Path]:
    """The class folders below all of `roots`.

    Raises:
        PilahError: there are fewer than 2 classes in all, or what stands there looks like a split.
    """
    for root in roots:
        check_no_split(class_folders(root))
    folders = [folder for root in roots for folder in class_folders(root)]
    classes = {label_of(folder) for folder in folders}
    if len(classes) < 2:
        raise PilahError(
            "Photos must stand in a folder a class, and in 2 classes or more. Received: "
            f"{', '.join(map(str, roots))}, which has {len(classes)}. Give the folder that holds the class folders."
        )
    return folders


def check_no_split(folders: Sequence[pathlib.Path]) -> None:
    """Raise where `folders`, taken for classes, look like a split.

    They hold no files but the same folders each, as train/ and test/ do, or one of them is called so, and holds folders
    itself, where the other may be flat.
    """
    inner = [{below.name for below in _folders(folder)} for folder in folders]
    bare = not any(_visible(folder, "*", pathlib.Path.is_file) for folder in folders)
    if len(folders) > 1 and bare and len(set.intersection(*inner)) > 1:
        names = [folder.name for folder in folders]
        raise PilahError(
            "Photos must stand in a folder a class, all of them together: folds split them. Received: "
            f"{', '.join(names)}, which hold the same folders each ({', '.join(sorted(set.intersection(*inner)))}). "
            f"Give each: {' '.join(f'--images {folder}' for folder in folders)}; or, if these are the classes, put "
            "their files straight into them."
        )
    if named := [folder for folder, below in zip(folders, inner, strict=True) if _is_split(folder, below)]:
        raise PilahError(
            "Photos must stand in a folder a class, all of them together: folds split them. Received: "
            f"{', '.join(folder.name for folder in folders)}, of which {named[0].name} holds folders itself. Give "
            f"those with classes in them alone: {' '.join(f'--images {folder}' for folder in named)}."
        )


def labelled_files(folders: Sequence[pathlib.Path]) -> list[tuple[pathlib.Path, str]]:
    """(file, class) of every file in the class folders, however deep, but for hidden ones.

    Raises:
        PilahError: a name is not UTF-8, which no list of ours could hold.
    """
    found = [(path, label_of(folder)) for folder in folders for path in _visible(folder, "**/*", pathlib.Path.is_file)]
    for path, _ in found:
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise PilahError(
                f"Names of files and folders must be UTF-8. Received: {str(path)!a}. Rename it."
            ) from error
    return found


def label_of(folder: pathlib.Path) -> str:
    """The class of a class folder. An accent may be a letter of its own in its name, as macOS writes it, or not."""
    return unicodedata.normalize("NFC", folder.name)


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


def check_class_sizes(labels: Sequence[str], classes: Sequence[str], folds: int) -> None:
    """Raise where a class has fewer photos than folds, since some fold would then test none of it."""
    counts = collections.Counter(labels)
    short = [f"{name} {counts[name]}" for name in classes if counts[name] < folds]
    if short:
        raise PilahError(
            f"Each class needs at least one usable photo a fold. Received: {folds} folds and {', '.join(short)}. "
            "Add photos, remove the class, or lower --folds."
        )


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


def _is_split(folder: pathlib.Path, below: set[str]) -> bool:
    return folder.name.lower() in SPLITS and len(below) > 1


def _folders(folder: pathlib.Path) -> list[pathlib.Path]:
    return _visible(folder, "*", pathlib.Path.is_dir)


def _visible(folder: pathlib.Path, pattern: str, wanted: Callable[[pathlib.Path], bool]) -> list[pathlib.Path]:
    """Those `wanted`, in order of name, without what is hidden, or in a hidden folder, or added to zips by macOS."""
    return sorted(
        path
        for path in folder.glob(pattern)
        if not any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts) and wanted(path)
    )
