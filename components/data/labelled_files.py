"""Folders of photos whose classes are in a table -> photo_scan.Scan of every file in them."""

import collections
import pathlib
from collections.abc import Iterable, Iterator, Sequence

from components.base.errors import PilahError
from components.data import class_names, folders, labels_file
from components.data.photo_scan import Reject, Scan

# reasons for ignoring a file
LABELS = "the file of --labels"
NOT_LISTED = "not listed in --labels"
NO_CLASS = "without a class in --labels"
# reasons for rejecting a file
MISSING = "missing"
SEVERAL_CLASSES = "several classes"


def add(scanned: Scan, roots: Sequence[pathlib.Path], labels: pathlib.Path) -> list[pathlib.Path]:
    """Add all files of the `roots` with at least one file listed in `labels`; return the other roots.

    Raises:
        PilahError: `labels` cannot be read, lists no file of `roots`, or has a name that matches several files.
    """
    trees = {root: folders.read_all(folders.read(root)) for root in roots}
    index, names_of = _Index(trees), collections.defaultdict(set)  # names_of: file -> names of its classes
    rows = labels_file.read(labels)
    missing: dict[str, str] = {}  # file name -> name of the class
    for file, name in rows:
        path = index.find(file, labels)
        if path:
            names_of[path].add(name)
        elif name.strip():
            missing[file] = name
    if not names_of:
        raise PilahError(
            f"None of the {len(rows)} files that {labels} lists is in {', '.join(map(str, roots))}, such as "
            f"{rows[0][0][:200]!r}. Check --images and the column of file names."
        )
    if repeated := len(rows) - len({*rows}):
        scanned.warnings.append(f"{repeated} duplicate lines of {labels} are ignored.")
    scanned.classes.extend(sorted({name for _, name in rows if name.strip()}))
    scanned.rejects.extend(Reject(file, name, MISSING, f"listed in {labels}") for file, name in missing.items())
    unlabelled = []
    for root, tree in trees.items():
        if not names_of.keys().isdisjoint(_files_and_dead_links(tree)):
            _add_tree(scanned, tree, names_of, labels)
        else:
            unlabelled.append(root)
    return unlabelled


class _Index:
    """The files of several folders, by all names that a table may use for them."""

    def __init__(self, trees: dict[pathlib.Path, folders.Folder]) -> None:
        self.by_path = collections.defaultdict(list)  # path in its folder -> files
        self.by_name = collections.defaultdict(list)  # name -> (path in its folder, file)
        for root, tree in trees.items():
            for file in _files_and_dead_links(tree):
                path = class_names.composed(file.relative_to(root).as_posix())
                names = [path]
                if file.suffix.lower() in folders.PHOTO_SUFFIXES:
                    names.append(path.removesuffix(file.suffix))  # as in Kaggle's column id
                for name in names:
                    self.by_path[name].append(file)
                    self.by_name[name.rpartition("/")[2]].append((name, file))

    def find(self, name: str, labels: pathlib.Path) -> pathlib.Path | None:
        """Return the file that `name` in a table refers to: its path within its folder, or the end of that path."""
        files = self.by_path.get(name) or [
            file for path, file in self.by_name.get(name.rpartition("/")[2], ()) if path.endswith(f"/{name}")
        ]
        if len(files) > 1:
            raise PilahError(
                f"{labels} lists {folders.printable(name[:200])}, which can be {files[0]} or {files[1]}. Give its path "
                "within the photo folder instead."
            )
        return files[0] if files else None


def _files_and_dead_links(tree: folders.Folder) -> Iterator[pathlib.Path]:
    yield from map(pathlib.Path, tree.files)
    yield from tree.dead_links


def _add_tree(
    scanned: Scan, tree: folders.Folder, names_of: dict[pathlib.Path, set[str]], labels: pathlib.Path
) -> None:
    """Add all files of a folder to `scanned`."""
    scanned.ignored.extend(tree.ignored)
    unused: list[pathlib.Path] = []
    for path in _files_and_dead_links(tree):
        is_listed = path in names_of
        names = sorted(name for name in names_of.get(path, ()) if name.strip())
        if len({*map(class_names.key, names)}) > 1:
            detail = ", ".join(names)
            scanned.rejects.append(Reject(str(path), "", SEVERAL_CLASSES, f"{detail} in {labels}"))
        elif not names:
            is_table = path.resolve() == labels.resolve()
            reason = LABELS if is_table else NO_CLASS if is_listed else NOT_LISTED
            scanned.ignored.append(folders.Ignored(folders.utf_8_text(path), reason))
            unused.append(path)
        elif path.is_symlink() and not path.exists():
            scanned.add_dead_link(path, names[0])
        else:
            scanned.add(str(path), names[0])
    scanned.warnings.extend(_warnings(unused, labels))


def _warnings(unused: Iterable[pathlib.Path], labels: pathlib.Path) -> list[str]:
    photos = [folders.utf_8_text(path) for path in unused if folders.is_photo(path)]
    return [f"{len(photos)} photos without a class in {labels} are ignored, such as {photos[0]}."] if photos else []
