"""Folders of class folders -> photo_scan.Scan of every file below them."""

import pathlib
from collections.abc import Collection, Sequence

from components.data import class_levels, class_names, folders, labelled_files
from components.data.photo_scan import Scan

BESIDE = "beside the class folders"  # reason for ignoring a file


def scan(
    roots: Sequence[pathlib.Path],
    classes: Collection[str] = (),
    *,
    labels: pathlib.Path | None = None,
    merge: bool = False,
) -> Scan:
    """Scan all class folders below `roots`, following links.

    Class folders of the same name are one class, whichever roots they are in. Every file in them that is not hidden
    counts as a photo until it fails to decode.

    Args:
        classes: as in class_levels.find.
        labels: table with the classes of files; it applies to the roots that have at least one listed file.
        merge: whether class names that differ only in case or blanks are one class.

    Raises:
        PilahError: a folder cannot be read, or it is unclear which folders are the classes.
    """
    class_levels.check_roots(roots)
    scanned, known = Scan(), classes
    if labels:
        roots = labelled_files.add(scanned, roots, labels)
        known = {*classes, *map(class_names.label_of, scanned.classes)}
    if roots:
        _add_class_folders(scanned, roots, known)
    return scanned.with_class_names(classes, merge)


def _add_class_folders(scanned: Scan, roots: Sequence[pathlib.Path], classes: Collection[str]) -> None:
    levels = class_levels.find(roots, classes)
    scanned.classes[:] = sorted({*scanned.classes, *class_levels.names_of(levels)})
    scanned.warnings.extend(class_levels.warnings(levels))
    empty = []
    for level in levels:
        scanned.ignored.extend(folders.Ignored(folders.utf_8_text(path), BESIDE) for path in level.stray_files)
        scanned.ignored.extend(file for folder in level.chain for file in folder.ignored)
        for folder in level.classes:
            everything = folders.read_all(folder, level.identities)
            _add_class(scanned, everything)
            if not everything.files:
                empty.append(folders.utf_8_text(folder.path))
    if empty:
        scanned.warnings.append(f"Class folders without photos: {class_names.joined(empty)}.")


def _add_class(scanned: Scan, everything: folders.Folder) -> None:
    """Add all files of a class folder to `scanned`."""
    name = class_names.composed(everything.path.name)
    scanned.ignored.extend(everything.ignored)
    for link in everything.dead_links:
        scanned.add_dead_link(link, name)
    for path in everything.files:
        scanned.add(path, name)
