"""Folders of class folders -> every file below them: a photo of a class, a reject or an ignored file."""

import dataclasses
import pathlib
from collections.abc import Collection, Sequence

from components.base import artifacts
from components.data import class_levels, folders
from components.data.class_levels import label_of

BESIDE = "beside the class folders"  # reason for ignoring a file


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
        classes: names of the class folders, sorted; a class may have no photos.
        photos: (file, class) of each file in a class folder, whether it can be decoded or not.
        warnings: sentences about the folders for the user.
    """

    classes: list[str]
    photos: list[tuple[pathlib.Path, str]] = dataclasses.field(default_factory=list)
    rejects: list[Reject] = dataclasses.field(default_factory=list)
    ignored: list[folders.Ignored] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that change with every name, and with every photo that is written or replaced.

        Inode and time of the last status change tell two files that swapped their names, and a copy with an old
        modification time, where size and modification time do not.
        """
        stats = [(str(path), label, path.stat()) for path, label in self.photos]
        photos = [(path, label, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for path, label, s in stats]
        others = [[dataclasses.astuple(file) for file in self.rejects], [file.path for file in self.ignored]]
        return artifacts.digest([self.classes, photos, others])


def scan(roots: Sequence[pathlib.Path], classes: Collection[str] = ()) -> Scan:
    """Read all class folders below `roots`, through links too.

    Class folders of equal name are one class, in any of the roots. Every file in them that is not hidden counts as a
    photo until it fails to decode.

    Args:
        classes: as in class_levels.find.

    Raises:
        PilahError: a folder cannot be read, or it is not certain which folders are the classes.
    """
    levels = class_levels.find(roots, classes)
    scanned = Scan(class_levels.labels_of(levels), warnings=class_levels.warnings(levels))
    for level in levels:
        scanned.ignored.extend(folders.Ignored(folders.utf_8_text(path), BESIDE) for path in level.beside)
        scanned.ignored.extend(file for folder in level.passed for file in folder.ignored)
        for folder in level.classes:
            _scan_class(folder, level.above, scanned)
    return scanned


def _scan_class(top: folders.Folder, above: Collection[folders.Identity], scanned: Scan) -> None:
    """Add the files of a class folder to `scanned`; each folder in it is read once, through whichever links."""
    label, read = label_of(top.path), {*above, top.identity}
    files: list[pathlib.Path] = []
    to_add = [top]
    for folder in to_add:  # grows by the folders in it
        files += folder.files
        scanned.ignored.extend(folder.ignored)
        scanned.rejects.extend(_dead_link(link, label) for link in folder.dead_links)
        for path in folder.folders:
            if (identity := folders.identity_of(path)) in read:
                scanned.ignored.append(folders.Ignored(folders.utf_8_text(path), folders.REPEATED))
            else:
                read.add(identity)
                to_add.append(folders.read(path, read))
    for path in sorted(files):
        if not folders.is_utf_8(path):
            scanned.rejects.append(Reject(folders.utf_8_text(path), label, "name not UTF-8", "rename the file"))
        elif not path.stat().st_size:  # otherwise all empty files would be copies of one photo
            scanned.rejects.append(Reject(str(path), label, "empty", "0 bytes"))
        else:
            scanned.photos.append((path, label))
    if not files:
        scanned.warnings.append(f"Class folder {folders.utf_8_text(top.path)} has no photos.")


def _dead_link(link: pathlib.Path, label: str) -> Reject:
    target = folders.utf_8_text(link.readlink())
    return Reject(folders.utf_8_text(link), label, "dead link", f"its target {target} is missing")
