import collections
import os
import pathlib
import tempfile
import zipfile

import photo_files
import pytest

from components.base.errors import PilahError
from components.data import class_folders, folders, listing, photo_sources

COUNTS = {"glass": 7, "metal": 5, "paper": 11}


def scan(*roots):
    return class_folders.scan(roots)


def counts(*roots):
    """Return class -> number of its files."""
    return collections.Counter(label for _, label in scan(*roots).photos)


def zip_of(root, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, file.relative_to(root))
    return path


@pytest.fixture
def nobody():
    """Return a folder that everybody may enter, and a context without root, which ignores permissions."""
    with tempfile.TemporaryDirectory() as name:
        pathlib.Path(name).chmod(0o755)
        yield pathlib.Path(name), photo_files.as_nobody


@pytest.mark.parametrize("nesting", ["", "photos/", "Garbage classification/Garbage classification/"])
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_class_folders_in_nested_folders_are_found(tmp_path, save_classes, nesting, packed):
    root = save_classes(tmp_path / "photos" / nesting, COUNTS)
    (root / "one-indexed-files.txt").write_text("beside the classes, not a class")
    images = tmp_path / "photos"
    if packed:
        images = zip_of(tmp_path / "photos", tmp_path / "archive.zip")
    result = scan(photo_sources.folder_of(images, tmp_path / "unpacked"))
    assert collections.Counter(label for _, label in result.photos) == COUNTS
    assert [(pathlib.Path(file.path).name, file.reason) for file in result.ignored] == [
        ("one-indexed-files.txt", class_folders.BESIDE)
    ]


@pytest.mark.parametrize(
    "hidden",
    [
        "__MACOSX/photos/glass/._glass0.png",
        ".DS_Store",
        ".git/config",
        "glass/.DS_Store",
        "glass/._glass0.png",
        "glass/Thumbs/.hidden.png",
        "glass/.ipynb_checkpoints/glass0-checkpoint.png",
        "glass/__MACOSX/._glass0.png",
    ],
)
def test_hidden_files_are_ignored_and_listed(tmp_path, save_classes, hidden):
    root = save_classes(tmp_path / "photos", COUNTS)
    (root / hidden).parent.mkdir(parents=True, exist_ok=True)
    (root / hidden).write_bytes(b"left by another program")
    unpacked = photo_sources.folder_of(zip_of(root, tmp_path / "a.zip"), tmp_path / "unpacked")
    for folder in (root, unpacked):
        assert counts(folder) == COUNTS
        assert scan(folder).ignored == [folders.Ignored(str(folder / hidden), folders.HIDDEN)]


def test_file_name_that_is_not_utf_8_is_a_reject_and_such_a_class_folder_raises(tmp_path, save_classes):
    root, latin_1_name = save_classes(tmp_path, COUNTS), os.fsdecode(b"caf\xe9")
    try:
        (root / "glass" / f"{latin_1_name}.png").write_bytes(b"photo")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    (reject,) = scan(root).rejects
    assert (reject.path, reject.label) == (rf"{root}/glass/caf\xe9.png", "glass")
    (root / "metal").rename(root / latin_1_name)
    with pytest.raises(PilahError, match=r"caf\\xe9 is not UTF-8"):
        scan(root)


def test_photos_in_folders_below_a_class_belong_to_it(tmp_path, save_classes, save_photo):
    root = save_classes(tmp_path, COUNTS)
    save_photo(root / "glass" / "brown" / "2020" / "a.png", 1000)
    assert counts(root) == COUNTS | {"glass": 8}


def test_photos_behind_links_are_found_and_links_back_are_not_followed(tmp_path, save_classes):
    root = save_classes(tmp_path / "photos", COUNTS)
    elsewhere = save_classes(tmp_path / "disk", {"2019": 3, "2019/more": 2})
    (root / "glass" / "archive").symlink_to(elsewhere / "2019")
    (root / "glass" / "again").symlink_to(elsewhere / "2019" / "more")
    (root / "glass" / "all").symlink_to(root)
    (elsewhere / "2019" / "more" / "up").symlink_to(elsewhere / "2019")
    result = scan(root)
    assert collections.Counter(label for _, label in result.photos) == COUNTS | {"glass": 12}
    assert {file.reason for file in result.ignored} == {folders.REPEATED} and len(result.ignored) == 3


@pytest.mark.parametrize("target", ["photos", "photos/nested"])
def test_link_below_a_class_to_a_folder_above_it_is_ignored_and_listed(tmp_path, save_classes, target):
    root = save_classes(tmp_path / "photos" / "nested", COUNTS | {"glass/brown": 2})
    link = root / "glass" / "brown" / "up"
    link.symlink_to(tmp_path / target)
    assert counts(tmp_path / "photos") == COUNTS | {"glass": COUNTS["glass"] + 2}
    assert scan(tmp_path / "photos").ignored == [folders.Ignored(str(link), folders.REPEATED)]


def test_dead_link_is_a_reject(tmp_path, save_classes):
    root = save_classes(tmp_path, COUNTS)
    (root / "glass" / "annexed.jpg").symlink_to("../.git/annex/objects/gone.jpg")
    (root / "metal" / "turns").symlink_to("turns")
    rejects = [(pathlib.Path(file.path).name, file.label, file.reason) for file in scan(root).rejects]
    assert rejects == [("annexed.jpg", "glass", "dead link"), ("turns", "metal", "dead link")]
    assert "its target ../.git/annex/objects/gone.jpg is missing" in scan(root).rejects[0].detail


def test_dead_photo_link_beside_the_class_folders_is_ignored_and_listed(tmp_path, save_classes):
    root = save_classes(tmp_path, COUNTS)
    (root / "loose.jpg").symlink_to("nowhere.jpg")
    assert scan(root).ignored == [folders.Ignored(str(root / "loose.jpg"), class_folders.BESIDE)]


def test_photos_beside_the_class_folders_are_counted_in_one_warning(tmp_path, save_classes, save_photo):
    root = save_classes(tmp_path, COUNTS)
    (root / "readme.txt").write_text("no photo")
    beside = [save_photo(root / name, seed) for seed, name in enumerate(["a.png", "b.jpg"], start=100)]
    (root / "b.jpg").rename(root / "no suffix")
    result = scan(root)
    assert result.warnings == [f"2 photos beside the class folders are ignored, such as {beside[0]}."]
    assert [pathlib.Path(file.path).name for file in result.ignored] == ["a.png", "no suffix", "readme.txt"]


def test_class_folder_without_photos_is_a_class_with_a_warning(tmp_path, save_classes):
    root = save_classes(tmp_path, COUNTS)
    (root / "plastic").mkdir()
    result = scan(root)
    assert "plastic" in result.classes and result.warnings == [f"Class folders without photos: {root / 'plastic'}."]


@pytest.mark.parametrize("where", ["", "glass", "glass/inner"])
def test_folder_without_read_permission_raises(nobody, save_classes, where):
    root, as_nobody = nobody
    save_classes(root, {**COUNTS, "glass/inner": 2})
    (root / where / "locked").mkdir()
    (root / where / "locked").chmod(0)
    with as_nobody(), pytest.raises(PilahError, match="locked cannot be read \\(Permission denied\\)"):
        scan(root)


def test_folder_whose_files_cannot_be_accessed_raises(nobody, save_classes):
    root, as_nobody = nobody
    save_classes(root, COUNTS)
    (root / "metal").chmod(0o744)  # its names can be listed
    with as_nobody(), pytest.raises(PilahError, match=r"metal/metal0\.png cannot be read \(Permission"):
        scan(root)


def test_photos_are_in_the_order_of_their_folders_and_names(save_classes, tmp_path, monkeypatch):
    save_classes(tmp_path, {"glass": 1, "metal": 1})
    for name in ("a-b.png", "a/z.png", "a.png", "a/b/c.png"):
        (tmp_path / "glass" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "glass" / name).write_bytes(name.encode())
    names = ["a/b/c.png", "a/z.png", "a-b.png", "a.png", "glass0.png"]
    monkeypatch.chdir(tmp_path)
    for root in (tmp_path, pathlib.Path()):
        paths = [path for path, label in scan(root).photos if label == "glass"]
        assert paths == [str(root / "glass" / name) for name in names]


def swap(first, second):
    first.rename(first.with_suffix(".swap"))
    second.rename(first)
    first.with_suffix(".swap").rename(second)


def copy_over(first, second):
    """Exchange the contents and modification times of two files, without replacing the files, like `cp -p`."""
    content = {first: first.read_bytes(), second: second.read_bytes()}
    times = {path: path.stat() for path in content}
    for path, other in ((first, second), (second, first)):
        path.write_bytes(content[other])
        os.utime(path, ns=(times[other].st_atime_ns, times[other].st_mtime_ns))


@pytest.mark.parametrize("exchange", [swap, copy_over])
def test_exchange_of_files_with_equal_size_and_time_changes_the_fingerprint(tmp_path, save_classes, exchange):
    root = save_classes(tmp_path, {"glass": 1, "metal": 1}, suffix=".bmp")
    first, second = root / "glass" / "glass0.bmp", root / "metal" / "metal0.bmp"
    for path in (first, second):
        os.utime(path, ns=(1_700_000_000_000_000_000,) * 2)
    before = scan(root).fingerprint()
    assert scan(root).fingerprint() == before
    exchange(first, second)
    assert first.stat().st_size == second.stat().st_size and first.stat().st_mtime_ns == second.stat().st_mtime_ns
    assert scan(root).fingerprint() != before


@pytest.mark.parametrize("add", ["empty class", "dead link", "file beside the classes"])
def test_any_addition_changes_the_fingerprint(tmp_path, save_classes, add):
    root = save_classes(tmp_path, COUNTS)
    before = scan(root).fingerprint()
    if add == "empty class":
        (root / "plastic").mkdir()
    elif add == "dead link":
        (root / "glass" / "gone.jpg").symlink_to("nowhere")
    else:
        (root / "loose.jpg").write_bytes(b"photo")
    assert scan(root).fingerprint() != before


def test_identical_files_in_two_classes_of_two_folders_are_a_conflict(tmp_path, save_classes):
    first = save_classes(tmp_path / "first", {"glass": 3, "metal": 3})
    target = tmp_path / "second" / "metal" / "copy.png"
    target.parent.mkdir(parents=True)
    target.write_bytes((first / "glass" / "glass0.png").read_bytes())
    unique, duplicates = listing.unique_photos(scan(first, tmp_path / "second").photos, lambda done, total: None)
    assert len(unique) == 5 and sorted(copy.label for copy in duplicates) == ["glass", "metal"]


def test_empty_files_are_rejects_and_not_duplicates(tmp_path, save_classes):
    root = save_classes(tmp_path, COUNTS)
    for name in ("glass/a.jpg", "glass/b.jpg", "metal/a.jpg"):
        (root / name).write_bytes(b"")
    result = scan(root)
    assert [(file.label, file.reason) for file in result.rejects] == [("glass", "empty")] * 2 + [("metal", "empty")]
    assert listing.unique_photos(result.photos, lambda done, total: None)[1] == []


def test_all_files_in_hidden_folders_are_listed(nobody, save_classes):
    root, as_nobody = nobody
    save_classes(root, COUNTS)
    (root / ".trash" / "deep").mkdir(parents=True)
    (root / ".trash" / "deep" / "file").write_bytes(b"hidden")
    (root / ".trash" / "link").symlink_to(root)
    (root / ".trash" / "locked").mkdir(mode=0)
    with as_nobody():
        paths = {file.path for file in scan(root).ignored}
    assert paths == {str(root / ".trash" / name) for name in ("deep/file", "link", "locked")}
