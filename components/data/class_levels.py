"""Find the level of the class folders below each root; raise an error that names the folders if it is unclear."""

import dataclasses
import functools
import itertools
import pathlib
from collections.abc import Collection, Sequence

from components.base.errors import PilahError
from components.data import class_names, folders

# common names of the parts of a split
SPLITS = set("train training test testing val valid validation dev eval evaluation holdout".split())


@dataclasses.dataclass(frozen=True)
class Level:
    """The folder that holds the class folders.

    Attributes:
        chain: the folders from the root down to this one, including both.
    """

    chain: tuple[folders.Folder, ...]

    @property
    def path(self) -> pathlib.Path:
        return self.chain[-1].path

    @property
    def identities(self) -> set[folders.Identity]:
        """The identities of the folders of `chain`."""
        return {folder.identity for folder in self.chain}

    @property
    def stray_files(self) -> list[pathlib.Path]:
        """Files and dead links outside of the class folders."""
        return [path for folder in self.chain for path in (*map(pathlib.Path, folder.files), *folder.dead_links)]

    @functools.cached_property
    def classes(self) -> list[folders.Folder]:
        return [folders.read(path, self.identities) for path in self.chain[-1].folders]

    @functools.cached_property
    def subfolders(self) -> dict[pathlib.Path, list[pathlib.Path]]:
        """Class folder -> its subfolders, below any chain of single folders; empty if it has photos."""
        return {folder.path: _branches(folder, self.identities) for folder in self.classes}


def check_roots(roots: Sequence[pathlib.Path]) -> None:
    """Raise PilahError if the path of a root is not UTF-8, or a root is given twice."""
    for root in roots:
        if not folders.is_utf_8(root):
            raise PilahError(
                f"The path of --images must be UTF-8: {folders.utf_8_text(root)} is not. Rename the folder."
            )
    if len({folders.identity_of(root) for root in roots}) < len(roots):
        raise PilahError(f"--images names a folder twice: {', '.join(map(str, roots))}. Give each folder once.")


def find(roots: Sequence[pathlib.Path], classes: Collection[str] = ()) -> list[Level]:
    """Find the level of the class folders below each root.

    The search descends while a folder holds a single folder, as in Kaggle's archives. It does not descend into a folder
    that has photos, or has the name of one of `classes` or of a class in another root.

    Args:
        classes: names of the classes if they are known; otherwise at least 2 classes are required.

    Raises:
        PilahError: a folder cannot be read, or it is unclear which folders are the classes.
    """
    levels = [_descend(root, classes) for root in roots]
    if len(roots) > 1:
        levels = _resolve_with_other_roots(roots, levels, classes)
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
    return sorted({class_names.composed(path.name) for level in levels for path in level.chain[-1].folders})


def labels_of(levels: Sequence[Level]) -> list[str]:
    """Return the classes of `levels`, sorted."""
    return sorted({*map(class_names.label_of, names_of(levels))})


def warnings(levels: Sequence[Level]) -> list[str]:
    """Return sentences for the user about photos in unexpected places, one for each kind."""
    strays = [path for level in levels for path in level.stray_files if folders.is_photo(path)]
    classes = [folder for level in levels for folder in level.classes]
    nested = [folder for folder in classes if folder.folders and not folder.has_photos]
    sentences = []
    if strays:
        sentences.append(
            f"{len(strays)} photos beside the class folders are ignored, such as {folders.utf_8_text(strays[0])}."
        )
    if nested:
        example = f"{_names(nested[0].folders)} in {_names([nested[0].path])}"
        sentences.append(
            f"{len(nested)} classes have photos only in subfolders, such as {example}. All of them count for the class."
        )
    if pairs := _pairs_with_the_same_folders(classes):
        (first, second), common = pairs[0]
        sentences.append(
            f"{len(pairs)} pairs of classes have subfolders with the same names, such as {_join(common)} in {first} "
            f"and {second}. Photos in them count for the class folder above them."
        )
    return sentences


def _pairs_with_the_same_folders(classes: Sequence[folders.Folder]) -> list[tuple[tuple[str, str], set[str]]]:
    """Return ((class, class), shared subfolder names) for each pair of classes that share two or more."""
    subfolders = [(_label_of(folder.path), {*map(_label_of, folder.folders)}) for folder in classes]
    return [
        ((first, second), first_names & second_names)
        for (first, first_names), (second, second_names) in itertools.combinations(subfolders, 2)
        if first != second and len(first_names & second_names) > 1
    ]


def _label_of(folder: pathlib.Path) -> str:
    return class_names.label_of(folder.name)


def _descend(root: pathlib.Path, known: Collection[str]) -> Level:
    chain = [folders.read(root)]
    while len(chain[-1].folders) == 1:
        subfolder = folders.read(chain[-1].folders[0], {folder.identity for folder in chain})
        if _label_of(subfolder.path) in known or subfolder.has_photos or not subfolder.folders:
            break
        chain.append(subfolder)
    return Level(tuple(chain))


def _resolve_with_other_roots(
    roots: Sequence[pathlib.Path], levels: Sequence[Level], known: Collection[str]
) -> list[Level]:
    """Return `levels`, corrected where the search descended into a folder that is a class in another root.

    Raises:
        PilahError: the search descended into a folder, and no other root shows whether it is a class.
    """
    resolved = []
    for root, level in zip(roots, levels, strict=True):
        other_labels = {*known, *labels_of([other for other in levels if other is not level])}
        agrees = len(level.chain) == 1 or not other_labels.isdisjoint(labels_of([level]))
        resolved.append(level if agrees else _descend(root, other_labels))
    for level in resolved:
        other_labels = {*known, *labels_of([other for other in resolved if other is not level])}
        is_ambiguous = len(level.chain) > 1 or level not in levels
        if is_ambiguous and other_labels.isdisjoint(labels_of([level])):
            raise PilahError(
                f"It is unclear whether {level.path} is a class or holds the classes "
                f"{_names(level.chain[-1].folders)}: no other --images has classes with these names. Give the folder "
                "that holds the class folders."
            )
    return resolved


def _branches(folder: folders.Folder, ancestors: Collection[folders.Identity]) -> list[pathlib.Path]:
    read = {*ancestors, folder.identity}
    while len(folder.folders) == 1 and not folder.has_photos:
        folder = folders.read(folder.folders[0], read)
        read.add(folder.identity)
    return [] if folder.has_photos else folder.folders


def _check_names(roots: Sequence[pathlib.Path], levels: Sequence[Level], classes: Collection[str]) -> None:
    """Raise PilahError if there are fewer than 2 class folders, or the path of one is not UTF-8."""
    for level in levels:
        for path in (level.path, *level.chain[-1].folders):
            if not folders.is_utf_8(path):
                raise PilahError(
                    f"The name of class folder {folders.utf_8_text(path)} is not UTF-8. Rename the folder."
                )
    names = names_of(levels)
    if not classes and len(names) < 2:
        raise PilahError(
            f"--images must have 2 or more class folders, one per class. {', '.join(map(str, roots))} has "
            f"{f'only {names[0]}' if names else 'none'}. Give the folder that holds the class folders"
            f"{_labels_hint(levels)}."
        )


def _labels_hint(levels: Sequence[Level]) -> str:
    """Return text to append to an error that suggests --labels if there is a CSV file next to the photos."""
    tables = [path for level in levels for path in level.stray_files if path.suffix.lower() == ".csv"]
    tables = [path for path in tables if folders.is_utf_8(path)]
    return f", or, if {tables[0]} has a column of classes, add --labels {tables[0]}" if tables else ""


def _check_links(level: Level) -> None:
    """Raise PilahError if there is a dead link next to the class folders, since it may have been a class folder."""
    for link in (link for folder in level.chain for link in folder.dead_links):
        if link.suffix.lower() not in folders.PHOTO_SUFFIXES:
            raise PilahError(
                f"{folders.utf_8_text(link)} is a link to {folders.utf_8_text(link.readlink())}, which is missing and "
                "may have been a class folder. Restore it, or remove the link."
            )


def _check_no_split(level: Level) -> None:
    """Raise PilahError if the class folders look like a split into training and test photos."""
    names = {path: {_label_of(branch) for branch in branches} for path, branches in level.subfolders.items()}
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
        f"classes, rename them or move their photos directly into them{_labels_hint([level])}."
    )


def _check_one_level(level: Level) -> None:
    """Raise PilahError if some class folders have photos and others only folders, which may be the classes."""
    without_subfolders = [
        folder.path
        for folder in level.classes
        if not level.subfolders[folder.path] and (folder.files or folder.folders)
    ]
    branching = [path for path, branches in level.subfolders.items() if len(branches) > 1]
    with_photos = [folder.path for folder in level.classes if folder.has_photos]
    if branching and (with_photos or without_subfolders):
        raise PilahError(
            f"Class folders must be on one level. In {level.path}, {_names(with_photos or without_subfolders)} have "
            f"photos, but {branching[0].name} has only folders ({_names(level.subfolders[branching[0]])}). Move all "
            f"class folders to one level; or, if {branching[0].name} is a class, move its photos directly into it."
        )


def _names(paths: Sequence[pathlib.Path]) -> str:
    return class_names.joined([folders.utf_8_text(pathlib.Path(path.name)) for path in paths])


def _join(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[: class_names.NAMES_SHOWN])
