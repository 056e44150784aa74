"""The level of the class folders below each root, or an error that names the folders where it is not certain."""

import dataclasses
import functools
import itertools
import pathlib
from collections.abc import Collection, Sequence

from components.base.errors import PilahError
from components.data import class_names, folders

# usual names of the parts of a split
SPLITS = set("train training test testing val valid validation dev eval evaluation holdout".split())


@dataclasses.dataclass(frozen=True)
class Level:
    """The folder that holds the class folders.

    Attributes:
        passed: the folders from the root down to it, both included.
    """

    passed: tuple[folders.Folder, ...]

    @property
    def path(self) -> pathlib.Path:
        return self.passed[-1].path

    @property
    def above(self) -> set[folders.Identity]:
        return {folder.identity for folder in self.passed}

    @property
    def beside(self) -> list[pathlib.Path]:
        """Files and dead links outside of the class folders."""
        return [path for folder in self.passed for path in (*folder.files, *folder.dead_links)]

    @functools.cached_property
    def classes(self) -> list[folders.Folder]:
        return [folders.read(path, self.above) for path in self.passed[-1].folders]

    @functools.cached_property
    def inner(self) -> dict[pathlib.Path, list[pathlib.Path]]:
        """Class folder -> the folders in it, or below it where each holds a single folder; none where it has photos."""
        return {folder.path: _branches(folder, self.above) for folder in self.classes}


def check_roots(roots: Sequence[pathlib.Path]) -> None:
    """Raise where the path of a root is not UTF-8, or a root is named twice."""
    for root in roots:
        if not folders.is_utf_8(root):
            raise PilahError(
                f"The path of --images must be UTF-8: {folders.utf_8_text(root)} is not. Rename the folder."
            )
    if len({folders.identity_of(root) for root in roots}) < len(roots):
        raise PilahError(f"--images names a folder twice: {', '.join(map(str, roots))}. Give each once.")


def find(roots: Sequence[pathlib.Path], classes: Collection[str] = ()) -> list[Level]:
    """Find the level of the class folders below each root.

    Nested folders, as in Kaggle's archives, are walked down while each holds a single folder, and never into a folder
    that has photos, or the name of one of `classes` or of a class of another root.

    Args:
        classes: names of the classes, if they are known; otherwise 2 or more classes are required.

    Raises:
        PilahError: a folder cannot be read, or it is not certain which folders are the classes.
    """
    levels = [_walk_down(root, classes) for root in roots]
    if len(roots) > 1:
        levels = _agreeing(roots, levels, classes)
    for level in levels:
        if not level.classes and len(roots) > 1:
            raise PilahError(f"{level.path} has no class folders. Give the folder that holds the class folders.")
        _check_links(level)
        _check_no_split(level)
        _check_one_level(level)
    _check_names(roots, levels, classes)
    return levels


def names_of(levels: Sequence[Level]) -> list[str]:
    """Return the names of the class folders of `levels`, composed and sorted."""
    return sorted({class_names.composed(path.name) for level in levels for path in level.passed[-1].folders})


def labels_of(levels: Sequence[Level]) -> list[str]:
    """Return the classes of `levels`, by name."""
    return sorted({*map(class_names.label_of, names_of(levels))})


def warnings(levels: Sequence[Level]) -> list[str]:
    """Return sentences for the user about photos in unexpected places, one for each kind."""
    strays = [path for level in levels for path in level.beside if folders.is_photo(path)]
    classes = [folder for level in levels for folder in level.classes]
    deep = [folder for folder in classes if folder.folders and not folder.has_photos]
    sentences = []
    if strays:
        sentences.append(
            f"{len(strays)} photos beside the class folders are ignored, such as {folders.utf_8_text(strays[0])}."
        )
    if deep:
        inner = f"{_names(deep[0].folders)} of class {_names([deep[0].path])}"
        sentences.append(f"{len(deep)} classes have photos in folders alone, such as {inner}: all count as the class.")
    if pairs := _pairs_with_the_same_folders(classes):
        (first, second), common = pairs[0]
        sentences.append(
            f"{len(pairs)} pairs of classes have the same folders, such as {_join(common)} of {first} and {second}: "
            "photos there count as the class around them."
        )
    return sentences


def _pairs_with_the_same_folders(classes: Sequence[folders.Folder]) -> list[tuple[tuple[str, str], set[str]]]:
    """Return ((class, class), names of folders that both have) of each pair of classes with several of them."""
    inner = [(_label_of(folder.path), {*map(_label_of, folder.folders)}) for folder in classes]
    return [
        ((first, second), first_names & second_names)
        for (first, first_names), (second, second_names) in itertools.combinations(inner, 2)
        if first != second and len(first_names & second_names) > 1
    ]


def _label_of(folder: pathlib.Path) -> str:
    return class_names.label_of(folder.name)


def _walk_down(root: pathlib.Path, known: Collection[str]) -> Level:
    passed = [folders.read(root)]
    while len(passed[-1].folders) == 1:
        inner = folders.read(passed[-1].folders[0], {folder.identity for folder in passed})
        if _label_of(inner.path) in known or inner.has_photos or not inner.folders:
            break
        passed.append(inner)
    return Level(tuple(passed))


def _agreeing(roots: Sequence[pathlib.Path], levels: Sequence[Level], known: Collection[str]) -> list[Level]:
    """Return `levels`, corrected where a folder that was walked into has the name of a class of another root.

    Raises:
        PilahError: a folder was walked into, and no other root tells whether it is a class.
    """
    agreeing = []
    for root, level in zip(roots, levels, strict=True):
        others = {*known, *labels_of([other for other in levels if other is not level])}
        agrees = len(level.passed) == 1 or not others.isdisjoint(labels_of([level]))
        agreeing.append(level if agrees else _walk_down(root, others))
    for level in agreeing:
        others = {*known, *labels_of([other for other in agreeing if other is not level])}
        walked_or_stopped = len(level.passed) > 1 or level not in levels
        if walked_or_stopped and others.isdisjoint(labels_of([level])):
            raise PilahError(
                f"It is not certain whether {level.path} is a class or holds the classes "
                f"{_names(level.passed[-1].folders)}, as no other --images has classes of these names. Give the folder "
                "that holds the class folders."
            )
    return agreeing


def _branches(folder: folders.Folder, above: Collection[folders.Identity]) -> list[pathlib.Path]:
    read = {*above, folder.identity}
    while len(folder.folders) == 1 and not folder.has_photos:
        folder = folders.read(folder.folders[0], read)
        read.add(folder.identity)
    return [] if folder.has_photos else folder.folders


def _check_names(roots: Sequence[pathlib.Path], levels: Sequence[Level], classes: Collection[str]) -> None:
    """Raise where there are fewer than 2 class folders, or the path of one is not UTF-8."""
    for level in levels:
        for path in (level.path, *level.passed[-1].folders):
            if not folders.is_utf_8(path):
                raise PilahError(
                    f"The name of class folder {folders.utf_8_text(path)} is not UTF-8. Rename the folder."
                )
    names = names_of(levels)
    if not classes and len(names) < 2:
        raise PilahError(
            f"--images must have 2 or more class folders, one per class. {', '.join(map(str, roots))} has "
            f"{f'only {names[0]}' if names else 'none'}. Give the folder that holds the class folders"
            f"{_hint_of_labels(levels)}."
        )


def _hint_of_labels(levels: Sequence[Level]) -> str:
    """Return what to do if a table that lies beside the photos names their classes, as text to append."""
    tables = [path for level in levels for path in level.beside if path.suffix.lower() == ".csv"]
    tables = [path for path in tables if folders.is_utf_8(path)]
    return f", or, if {tables[0]} has a column of classes, add --labels {tables[0]}" if tables else ""


def _check_links(level: Level) -> None:
    """Raise where there is a dead link beside the class folders, since it may have been a class folder."""
    for link in (link for folder in level.passed for link in folder.dead_links):
        if link.suffix.lower() not in folders.PHOTO_SUFFIXES:
            raise PilahError(
                f"{folders.utf_8_text(link)} is a link to {folders.utf_8_text(link.readlink())}, which is missing and "
                "may have been a class folder. Restore it, or remove the link."
            )


def _check_no_split(level: Level) -> None:
    """Raise where the class folders look like a split into training and test photos."""
    names = {path: {_label_of(inner) for inner in branches} for path, branches in level.inner.items()}
    parts = [path for path in names if path.name.lower() in SPLITS]
    if parts and (len(parts) == len(names) or any(names[part] for part in parts)):
        _refuse_split(level, parts, f"{_names(parts)} are parts of a split")
    without_photos = [folder.path for folder in level.classes if not folder.has_photos]
    for first, second in itertools.combinations(without_photos, 2):
        common = names[first] & names[second]
        if len(common) > 1 and not {name.lower() for name in common} <= SPLITS:
            _refuse_split(level, without_photos, f"{_names([first, second])} have the same folders ({_join(common)})")


def _refuse_split(level: Level, parts: Sequence[pathlib.Path], why: str) -> None:
    raise PilahError(
        f"In {level.path}, {why}. Photos must be in one folder per class, without train and test folders: "
        f"cross-validation splits them. Give {' '.join(f'--images {part}' for part in parts)}; or, if these are the "
        f"classes, rename them or move their photos directly into them{_hint_of_labels([level])}."
    )


def _check_one_level(level: Level) -> None:
    """Raise where some class folders have photos and others only folders, which may be the classes."""
    flat = [
        folder.path for folder in level.classes if not level.inner[folder.path] and (folder.files or folder.folders)
    ]
    deep = [path for path, branches in level.inner.items() if len(branches) > 1]
    with_photos = [folder.path for folder in level.classes if folder.has_photos]
    if deep and (with_photos or flat):
        raise PilahError(
            f"Class folders must be on one level. In {level.path}, {_names(with_photos or flat)} have photos, but "
            f"{deep[0].name} has only folders ({_names(level.inner[deep[0]])}). Move all class folders to one level; "
            f"or, if {deep[0].name} is a class, move its photos directly into it."
        )


def _names(paths: Sequence[pathlib.Path]) -> str:
    return class_names.joined([folders.utf_8_text(pathlib.Path(path.name)) for path in paths])


def _join(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[: class_names.NAMES_SHOWN])
