"""Folders of class folders -> every file below them, as a photo of a class, a reject or an ignored file."""

import dataclasses
import pathlib
import unicodedata
from collections.abc import Collection, Sequence

from components import artifacts, folders
from components.errors import PilahError

SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation"}  # usual names of the parts of a split
BESIDE = "beside the class folders"  # why a file is ignored
NAMES_SHOWN = 5  # in a message


@dataclasses.dataclass(frozen=True)
class Level:
    """The folder whose folders are the classes.

    Attributes:
        above: the folder itself and those that lead to it.
        classes: the class folders, by name.
        ignored: the files that stand in the folder or above it, and in no class folder.
    """

    folder: pathlib.Path
    above: frozenset[folders.Identity]
    classes: list[folders.Folder]
    ignored: list[folders.Ignored]


@dataclasses.dataclass(frozen=True)
class Reject:
    """A file in a folder of the class `label` that cannot be opened."""

    path: str
    label: str
    reason: str
    detail: str


@dataclasses.dataclass(frozen=True)
class Scan:
    """Every file below the folders that were scanned, in exactly one of the lists `photos`, `rejects` and `ignored`.

    Attributes:
        classes: names of the class folders, sorted; a class may turn out to have no photo.
        photos: (file, class) of each file in a class folder, whatever it holds.
        warnings: what a user should know about the folders, a sentence each.
    """

    classes: list[str]
    photos: list[tuple[pathlib.Path, str]] = dataclasses.field(default_factory=list)
    rejects: list[Reject] = dataclasses.field(default_factory=list)
    ignored: list[folders.Ignored] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)

    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with every name, and with every photo that is written or replaced.

        Inode and time of the last status change tell apart what size and modification time do not: two files that
        swapped their names, and a copy that kept its time.
        """
        states = [(str(path), label, path.stat()) for path, label in self.photos]
        photos = [(path, label, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for path, label, s in states]
        others = [[dataclasses.astuple(file) for file in self.rejects], [file.path for file in self.ignored]]
        return artifacts.digest([self.classes, photos, others])


def find(roots: Sequence[pathlib.Path], classes: Collection[str] = ()) -> list[Level]:
    """The level of the class folders below each root.

    Nested folders, as Kaggle packs them, are walked down while there is but one way, and never into a folder that has
    photos of its own or the name of one of `classes` or of a class of another root.

    Args:
        classes: names of the classes where they are known. Otherwise there must be 2 or more.

    Raises:
        PilahError: a folder cannot be read, or it is not certain which folders are the classes.
    """
    if len({folders.identity_of(root) for root in roots}) < len(roots):
        raise PilahError(f"--images names a folder twice: {', '.join(map(folders.shown, roots))}. Give each once.")
    levels = [_level(root, classes) for root in roots]
    if len(roots) > 1:
        levels = [
            _level(root, {*classes, *labels_of([other for other in levels if other is not level])})
            for root, level in zip(roots, levels, strict=True)
        ]
    for level in levels:
        if not level.classes and len(roots) > 1:
            raise PilahError(f"{level.folder} has no class folders. Give the folder that holds the class folders.")
        _check_names_and_links(level)
        _check_no_split(level)
        _check_one_level(level)
    if not classes and len(names := labels_of(levels)) < 2:
        raise PilahError(
            f"--images must have 2 or more class folders, one per class. {', '.join(map(folders.shown, roots))} has "
            f"{f'only {names[0]}' if names else 'none'}. Give the folder that holds the class folders."
        )
    return levels


def scan(levels: Sequence[Level]) -> Scan:
    """Read all class folders of `levels`, through links too.

    Class folders of one name are one class, on whichever level they stand. Every file in them that is not hidden
    counts as a photo until it fails to decode.

    Raises:
        PilahError: a folder cannot be read.
    """
    found = Scan(labels_of(levels))
    for level in levels:
        found.ignored.extend(level.ignored)
        found.warnings.extend(_warnings(level))
        for folder in level.classes:
            _scan_class(folder, level.above, found)
    return found


def labels_of(levels: Sequence[Level]) -> list[str]:
    """The classes of `levels`, by name."""
    return sorted({label_of(folder.path) for level in levels for folder in level.classes})


def label_of(folder: pathlib.Path) -> str:
    """The class of a class folder: its name in NFC, since macOS writes accents as letters of their own."""
    return unicodedata.normalize("NFC", folder.name)


def _level(root: pathlib.Path, known: Collection[str]) -> Level:
    listing, above, ignored = folders.read(root), set[folders.Identity](), list[folders.Ignored]()
    while len(listing.folders) == 1:
        inner = folders.read(listing.folders[0], {*above, listing.identity})
        if label_of(inner.path) in known or inner.has_photos or not inner.folders:
            break
        above.add(listing.identity)
        ignored += _beside(listing)
        listing = inner
    above.add(listing.identity)
    classes = [folders.read(path, above) for path in listing.folders]
    return Level(listing.path, frozenset(above), classes, [*ignored, *_beside(listing)])


def _beside(listing: folders.Folder) -> list[folders.Ignored]:
    strays = [folders.Ignored(folders.shown(path), BESIDE) for path in (*listing.files, *listing.dead_links)]
    return [*listing.ignored, *strays]


def _scan_class(top: folders.Folder, above: Collection[folders.Identity], found: Scan) -> None:
    """Add the files of one class folder to `found`; each folder in it is read once, however links lead to it."""
    label, seen = label_of(top.path), {*above, top.identity}
    files: list[pathlib.Path] = []
    to_add = [top]
    for folder in to_add:  # grows by the folders in it
        files += folder.files
        found.ignored.extend(folder.ignored)
        found.rejects.extend(_dead(link, label) for link in folder.dead_links)
        for path in folder.folders:
            if (identity := folders.identity_of(path)) in seen:
                found.ignored.append(folders.Ignored(folders.shown(path), folders.REPEATED))
            else:
                seen.add(identity)
                to_add.append(folders.read(path, seen))
    for path in sorted(files):
        if not folders.is_utf_8(path):
            found.rejects.append(Reject(folders.shown(path), label, "name not UTF-8", "rename the file"))
        elif not path.stat().st_size:  # else all empty files would be copies of one photo
            found.rejects.append(Reject(str(path), label, "empty", "0 bytes"))
        else:
            found.photos.append((path, label))
    if not files:
        found.warnings.append(f"Class folder {folders.shown(top.path)} has no photos.")


def _dead(link: pathlib.Path, label: str) -> Reject:
    return Reject(folders.shown(link), label, "dead link", f"its target {folders.shown(link.readlink())} is missing")


def _warnings(level: Level) -> list[str]:
    strays = [
        file.path for file in level.ignored if file.reason == BESIDE and folders.is_photo(pathlib.Path(file.path))
    ]
    warnings = [f"{len(strays)} photos beside the class folders are ignored, such as {strays[0]}."] if strays else []
    for folder in level.classes:
        if folder.folders and not folder.has_photos:
            label = label_of(folder.path)
            warnings.append(
                f"Class {label} has photos in folders alone ({_names(folder.folders)}): all count as {label}."
            )
    return warnings


def _check_names_and_links(level: Level) -> None:
    """Raise where a class cannot be named, or a link beside the class folders leads nowhere: it may have been one."""
    for folder in level.classes:
        if not folders.is_utf_8(pathlib.Path(folder.path.name)):
            raise PilahError(f"The name of class folder {folders.shown(folder.path)} is not UTF-8. Rename the folder.")
    strays = [pathlib.Path(file.path) for file in level.ignored if file.reason == BESIDE]
    for path in strays:
        if path.is_symlink() and not path.exists() and not path.suffix:
            raise PilahError(
                f"{path} is a link to {path.readlink()}, which is missing and may have been a class folder. Restore "
                "it, or remove the link."
            )


def _check_no_split(level: Level) -> None:
    """Raise where the class folders look like a split into training and test photos.

    They have no photos of their own and the same folders each, or one of them has the name of a part of a split, and
    folders, where the others may be flat.
    """
    inner = {folder.path: {label_of(path) for path in folder.folders} for folder in level.classes}
    bare = not any(folder.has_photos for folder in level.classes)
    if len(inner) > 1 and bare and len(common := set.intersection(*inner.values())) > 1:
        parts, why = list(inner), f"have the same folders ({', '.join(sorted(common))})"
    else:
        parts = [path for path, names in inner.items() if path.name.lower() in SPLITS and len(names) > 1]
        why = f"are a split, as {_names(parts)} has class folders itself"
    if parts:
        raise PilahError(
            f"{_names(list(inner))} in {level.folder} {why}. Photos must be in one folder per class, without train "
            f"and test folders: cross-validation splits them. Give {' '.join(f'--images {part}' for part in parts)}; "
            "or, if these are the classes, move their photos directly into them."
        )


def _check_one_level(level: Level) -> None:
    """Raise where some class folders have photos and others only folders, which may be classes one level below."""
    flat = [folder.path for folder in level.classes if folder.has_photos]
    deep = [folder for folder in level.classes if len(folder.folders) > 1 and not folder.has_photos]
    if flat and deep:
        raise PilahError(
            f"Class folders must be on one level. In {level.folder}, {_names(flat)} have photos, but "
            f"{deep[0].path.name} has only folders ({_names(deep[0].folders)}). Move all class folders to one level; "
            f"or, if {deep[0].path.name} is a class, move its photos directly into it."
        )


def _names(paths: Sequence[pathlib.Path]) -> str:
    more = f" and {len(paths) - NAMES_SHOWN} more" if len(paths) > NAMES_SHOWN else ""
    return ", ".join(folders.shown(pathlib.Path(path.name)) for path in paths[:NAMES_SHOWN]) + more
