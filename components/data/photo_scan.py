"""The result of a scan of --images: every file is a photo of a class, a reject or an ignored file."""

import dataclasses
import os
import pathlib
from collections.abc import Collection

from components.base import artifacts
from components.base.errors import PilahError
from components.data import class_names, folders


@dataclasses.dataclass(frozen=True)
class Reject:
    """A file of class `label` (empty if unknown) that is not a usable photo."""

    path: str
    label: str
    reason: str
    detail: str


@dataclasses.dataclass(frozen=True)
class Scan:
    """Every file below the folders that were scanned, in exactly one of the lists `photos`, `rejects` and `ignored`.

    Attributes:
        classes: names of the classes, sorted; a class may have no photos.
        photos: (path, class) of each file that belongs to a class, whether it can be decoded or not.
        warnings: sentences about the folders for the user.
    """

    classes: list[str] = dataclasses.field(default_factory=list)
    photos: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    rejects: list[Reject] = dataclasses.field(default_factory=list)
    ignored: list[folders.Ignored] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)

    def add(self, path: str, label: str) -> None:
        """Add a file of the class `label`, as a photo unless it is clearly unusable."""
        if not folders.is_utf_8(path):
            self.rejects.append(Reject(folders.utf_8_text(path), label, "name not UTF-8", "rename the file"))
        elif not _status(path).st_size:  # otherwise all empty files would be copies of one photo
            self.rejects.append(Reject(path, label, "empty", "0 bytes"))
        else:
            self.photos.append((path, label))

    def add_dead_link(self, link: pathlib.Path, label: str) -> None:
        target = folders.utf_8_text(link.readlink())
        self.rejects.append(Reject(folders.utf_8_text(link), label, "dead link", f"its target {target} is missing"))

    def with_class_names(self, known: Collection[str], merge: bool) -> "Scan":
        """Return the scan with folder and label names replaced by classes, see class_names.classes_of.

        Raises:
            PilahError: a name cannot be used, two look alike, or fewer than 2 classes remain and none are `known`.
        """
        class_of = class_names.classes_of(self.classes, merge=merge, known=known)
        classes = sorted({*class_of.values()})
        if len(classes) < 2 and not known:
            raise PilahError(
                f"There must be 2 or more classes (got {', '.join(classes) or 'none'}). Add photos of another class, "
                "or check --labels and --merge-classes."
            )
        return Scan(
            classes,
            [(path, class_of[label]) for path, label in self.photos],
            [dataclasses.replace(file, label=class_of.get(file.label, file.label)) for file in self.rejects],
            self.ignored,
            [*class_names.warnings(class_of), *self.warnings],
        )

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that change if a name changes, or if a photo is written or replaced.

        Inode and status change time detect two files that swapped their names, and a copy that kept its old
        modification time; size and modification time alone do not.
        """
        stats = ((path, label, _status(path)) for path, label in self.photos)
        photos = ((path, label, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for path, label, s in stats)
        others = [[dataclasses.astuple(file) for file in self.rejects], [file.path for file in self.ignored]]
        return artifacts.digest([self.classes, artifacts.list_digest(photos), others])


def _status(path: str) -> os.stat_result:
    return os.stat(path)  # noqa: PTH116  # path objects take longer than the call itself
