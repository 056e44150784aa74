"""Folders of class folders -> every file below them, as a photo of a class, a reject or an ignored file."""

import dataclasses
import pathlib
from collections.abc import Collection, Sequence

from components.base import artifacts
from components.data import class_levels, folders
from components.data.class_levels import label_of

BESIDE = "beside the class folders"  # why a file is ignored


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


def scan(roots: Sequence[pathlib.Path], classes: Collection[str] = ()) -> Scan:
    """Read all class folders below `roots`, through links too.

    Class folders of one name are one class, in whichever root they stand. Every file in them that is not hidden counts
    as a photo until it fails to decode.

    Args:
        classes: as in class_levels.find.

    Raises:
        PilahError: a folder cannot be read, or it is not certain which folders are the classes.
    """
    levels = class_levels.find(roots, classes)
    result = Scan(class_levels.labels_of(levels), warnings=class_levels.warnings(levels))
    for level in levels:
        result.ignored.extend(folders.Ignored(folders.shown(path), BESIDE) for path in level.beside)
        result.ignored.extend(file for folder in level.passed for file in folder.ignored)
        for folder in level.classes:
            _scan_class(folder, level.above, result)
    return result


def _scan_class(top: folders.Folder, above: Collection[folders.Identity], result: Scan) -> None:
    """Add the files of one class folder to `result`; each folder in it is read once, however links lead to it."""
    label, seen = label_of(top.path), {*above, top.identity}
    files: list[pathlib.Path] = []
    to_add = [top]
    for folder in to_add:  # grows by the folders in it
        files += folder.files
        result.ignored.extend(folder.ignored)
        result.rejects.extend(_dead(link, label) for link in folder.dead_links)
        for path in folder.folders:
            if (identity := folders.identity_of(path)) in seen:
                result.ignored.append(folders.Ignored(folders.shown(path), folders.REPEATED))
            else:
                seen.add(identity)
                to_add.append(folders.read(path, seen))
    for path in sorted(files):
        if not folders.is_utf_8(path):
            result.rejects.append(Reject(folders.shown(path), label, "name not UTF-8", "rename the file"))
        elif not path.stat().st_size:  # else all empty files would be copies of one photo
            result.rejects.append(Reject(str(path), label, "empty", "0 bytes"))
        else:
            result.photos.append((path, label))
    if not files:
        result.warnings.append(f"Class folder {folders.shown(top.path)} has no photos.")


def _dead(link: pathlib.Path, label: str) -> Reject:
    return Reject(folders.shown(link), label, "dead link", f"its target {folders.shown(link.readlink())} is missing")
