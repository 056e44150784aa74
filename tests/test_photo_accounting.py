"""Every file below --images is used, rejected with a reason or listed as ignored, in any folder tree or zip."""

import dataclasses
import os
import pathlib
import tempfile
import zipfile
from collections.abc import Iterator

import hypothesis
import photo_files
import pytest
from hypothesis import strategies as st

from components.base import artifacts
from components.base.errors import PilahError
from components.data import class_folders, class_names, listing, photo_sources

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=6)
ZIP_NAMES = NAMES.filter(lambda name: "\\" not in name)  # a zip of Windows has backslashes between folders
CLASS_NAMES = NAMES.filter(lambda name: not class_names.problem(name))
KINDS = ("file", "nested", "hidden", "hidden folder", "dead link", "loop", "linked folder", "bad name", "pipe")
IN_ZIPS = ("file", "nested", "hidden", "hidden folder")


@dataclasses.dataclass(frozen=True)
class Tree:
    """A generated folder of class folders.

    Attributes:
        wrappers: names of the folders around the class folders.
        beside: names of files in each wrapper and beside the class folders.
        classes: name -> (kind, name, content) of each entry; few contents, so that many are copies.
        locked: whether a folder in a class may not be read.
    """

    wrappers: list[str]
    beside: list[str]
    classes: dict[str, list[tuple[str, str, int]]]
    locked: bool


@st.composite
def trees(draw: st.DrawFn, kinds: tuple[str, ...] = KINDS) -> Tree:
    names = draw(st.lists(CLASS_NAMES, min_size=2, max_size=4, unique_by=class_names.key))
    file_names = NAMES if kinds == KINDS else ZIP_NAMES
    entries = st.lists(st.tuples(st.sampled_from(kinds), file_names, st.integers(0, 9)), max_size=6)
    return Tree(
        draw(st.lists(CLASS_NAMES, max_size=2)),
        draw(st.lists(st.sampled_from(["labels.csv", "loose.jpg", "README"]), unique=True)),
        {name: draw(entries) for name in names},
        draw(st.integers(0, 19)) == 0 and kinds == KINDS,
    )


def write(tree: Tree, base: pathlib.Path) -> Iterator[tuple[pathlib.Path, str | None]]:
    """Make `tree` in `base`/photos, and yield each file with its class, or None if it is ignored."""
    folder = base / "photos"
    for depth, name in enumerate([*tree.wrappers, None]):
        folder.mkdir()
        for stray in tree.beside:
            if depth and stray == "loose.jpg":  # a folder with photos of its own is a class
                continue
            (folder / stray).write_bytes(b"beside")
            yield folder / stray, None
        folder = folder / name if name else folder
    for name, entries in tree.classes.items():
        label = class_names.label_of(name)
        (folder / name).mkdir()
        (folder / name / "first.jpg").write_bytes(label.encode())
        yield folder / name / "first.jpg", label
        for number, entry in enumerate(entries):
            for path, is_photo in write_entry(folder / name, number, *entry, base):
                yield path, label if is_photo else None
    if tree.locked:
        (folder / name / "locked").mkdir(mode=0)


def write_entry(
    folder: pathlib.Path, number: int, kind: str, name: str, content: int, base: pathlib.Path
) -> Iterator[tuple[pathlib.Path, bool]]:
    """Make an entry in a class folder, and yield each of its files and whether it belongs to the class."""
    path = folder / f"{number}{name}"
    match kind:
        case "nested":
            path = path / "inner" / "deep"
        case "hidden":
            path = folder / f".{number}"
        case "hidden folder":
            path = folder / f".{number}" / "inner" / "file"
        case "dead link":
            path.symlink_to("nowhere")
        case "loop":
            path.symlink_to([folder, folder.parent, base / "photos"][content % 3])
        case "linked folder":
            target = base / f"linked {folder.name} {number}"
            target.mkdir()
            path.symlink_to(target)
            path = path / "file"
        case "bad name":
            path = folder / os.fsdecode(b"%d\xff" % number)
        case "pipe":
            os.mkfifo(path)
    if kind not in ("dead link", "loop", "pipe"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % content)
    yield path, not kind.startswith("hidden") and kind not in ("loop", "pipe")


def check_every_file_is_accounted_for(root: pathlib.Path, expected: dict[str, str | None]) -> None:
    """Assert that each of `expected`, path -> class or None, is in exactly one list, and nothing else is."""
    scan = class_folders.scan([root])
    unique, duplicates = listing.unique_photos(scan.photos, lambda done, total: None)
    used = [(path, label) for _, path, label in unique]
    rejected = [(copy.path, copy.label) for copy in duplicates]
    rejected += [(file.path, file.label) for file in scan.rejects]
    ignored = [(file.path, None) for file in scan.ignored]
    assert len(used) + len(rejected) + len(ignored) == len(expected)
    assert dict([*used, *rejected, *ignored]) == expected
    assert {label for label in expected.values() if label} == set(scan.classes)
    assert len({photo_id for photo_id, _, _ in unique}) == len(unique)
    with tempfile.NamedTemporaryFile() as file:
        listing.write_duplicates(pathlib.Path(file.name), duplicates)
        assert len(artifacts.read_csv(pathlib.Path(file.name))) == len(duplicates)


def shown(path: pathlib.Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


@hypothesis.settings(max_examples=600, deadline=None, derandomize=True)
@hypothesis.given(tree=trees())
def test_every_file_of_a_folder_is_used_rejected_or_ignored(tree):
    with tempfile.TemporaryDirectory() as name:
        base = pathlib.Path(name)
        base.chmod(0o755)
        expected = {shown(path): label for path, label in write(tree, base)}
        with photo_files.as_nobody():
            if not tree.locked:
                check_every_file_is_accounted_for(base / "photos", expected)
                return
            with pytest.raises(PilahError, match="locked cannot be read"):
                check_every_file_is_accounted_for(base / "photos", expected)


@hypothesis.settings(max_examples=400, deadline=None, derandomize=True)
@hypothesis.given(tree=trees(IN_ZIPS))
def test_every_file_of_a_zip_is_used_rejected_or_ignored(tree):
    with tempfile.TemporaryDirectory() as name:
        base = pathlib.Path(name)
        written = dict(write(tree, base))
        with zipfile.ZipFile(base / "photos.zip", "w") as archive:
            for path in written:
                archive.write(path, path.relative_to(base / "photos"))
        unpacked = photo_sources.folder_of(base / "photos.zip", base / "unpacked")
        expected = {shown(unpacked / path.relative_to(base / "photos")): label for path, label in written.items()}
        check_every_file_is_accounted_for(unpacked, expected)
