import concurrent.futures
import pathlib
import shutil
import stat
import unicodedata
import zipfile

import pytest

from components.base.errors import PilahError
from components.data import class_folders, photo_sources, zip_names

COUNTS = {"glass": 7, "metal": 5, "paper": 11}


class UnflaggedEntry(zipfile.ZipInfo):
    """An entry whose name is written as the bytes `raw_name`, without the UTF-8 flag."""

    raw_name: bytes

    def _encodeFilenameFlags(self):  # noqa: N802  # zipfile's
        return self.raw_name, self.flag_bits & ~zip_names.UTF_8_FLAG


def write_unflagged_zip(path, names, encode):
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(names):
            entry = UnflaggedEntry(name)
            entry.raw_name = encode(name)
            archive.writestr(entry, f"photo {number}")
    return path


def zip_of(root, path, prefix=""):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, prefix + str(file.relative_to(root)))
    return path


def test_folder_is_used_in_place(tmp_path, save_classes):
    root = save_classes(tmp_path / "photos", COUNTS)
    assert photo_sources.folder_of(root, tmp_path / "unpacked") == root
    assert not (tmp_path / "unpacked").exists()


def test_zip_is_unpacked_once(tmp_path, save_classes):
    archive = zip_of(save_classes(tmp_path / "photos", COUNTS), tmp_path / "a.zip")
    first = photo_sources.folder_of(archive, tmp_path / "run" / "unpacked")
    before = first.stat().st_ino
    assert photo_sources.folder_of(archive, tmp_path / "run" / "unpacked") == first
    assert first.stat().st_ino == before


@pytest.mark.parametrize("name", ["../evil.jpg", "../../evil.jpg", "glass/../../evil.jpg", "{root}/evil.jpg"])
def test_zip_entry_with_a_path_outside_is_unpacked_inside(tmp_path, save_classes, name):
    archive = zip_of(save_classes(tmp_path / "in" / "photos", COUNTS), tmp_path / "in" / "a.zip")
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(name.format(root=tmp_path), b"evil")
    unpacked = photo_sources.folder_of(archive, tmp_path / "a" / "b" / "unpacked")
    assert all(unpacked in path.parents for path in tmp_path.rglob("evil.jpg"))


def write_zip(path, entries):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def write_damaged_zip(path):
    write_zip(path, {"glass/a.jpg": b"first" * 20, "metal/b.jpg": b"second" * 20})
    path.write_bytes(path.read_bytes().replace(b"secondsecond", b"secandsecond", 1))


def write_zip_with_password(path):
    write_zip(path, {"glass/a.jpg": b"first"})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the bit "encrypted" of the entry, then of the same entry in the central directory
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "images does not exist"),
        (lambda path: path.write_text("neither"), "neither"),
        (lambda path: path.write_bytes(b""), "neither"),
        (lambda path: path.write_bytes(b"PK\3\4 cut short"), "neither"),
        (write_damaged_zip, "Bad CRC"),
        (write_zip_with_password, "password"),
    ],
    ids=["missing", "text", "empty file", "cut short", "damaged", "password"],
)
def test_path_that_cannot_be_unpacked_raises_with_its_name(tmp_path, write, message):
    write(tmp_path / "images")
    with pytest.raises(PilahError, match=message) as caught:
        photo_sources.folder_of(tmp_path / "images", tmp_path / "unpacked")
    assert str(tmp_path / "images") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "unpacked").exists()


def test_unpacking_after_a_failure_gives_only_the_files_of_the_good_zip(tmp_path, save_classes):
    archive, unpacked = tmp_path / "a.zip", tmp_path / "unpacked"
    write_damaged_zip(archive)
    with pytest.raises(PilahError):
        photo_sources.folder_of(archive, unpacked)
    archive.unlink()
    root = save_classes(tmp_path / "photos", COUNTS)
    photo_sources.folder_of(zip_of(root, archive), unpacked)
    assert {path.relative_to(unpacked) for path in unpacked.rglob("*")} == {
        path.relative_to(root) for path in root.rglob("*")
    }


def test_zip_with_non_ascii_names_keeps_them(tmp_path, save_classes):
    root = save_classes(tmp_path / "photos", {"Glas & grün": 3, "紙 und Karton": 2})
    unpacked = photo_sources.folder_of(zip_of(root, tmp_path / "Müll fotos.zip"), tmp_path / "aus gepackt")
    assert labelled(unpacked) == labelled(root)
    assert {label for label, _ in labelled(unpacked)} == {"Glas & grün", "紙 und Karton"}


def labelled(folder):
    """Return (class, bytes) of every photo in `folder`."""
    scan = class_folders.scan([folder])
    return sorted((label, pathlib.Path(path).read_bytes()) for path, label in scan.photos)


def test_zip_of_macos_has_the_classes_of_its_folder(tmp_path, save_classes):
    root = save_classes(tmp_path / "photos", {"Métal": 2, "Verre": 2})
    names = [str(file.relative_to(root)) for file in sorted(root.rglob("*.png"))]
    decomposed = write_unflagged_zip(
        tmp_path / "a.zip", names, lambda name: unicodedata.normalize("NFD", name).encode()
    )
    unpacked = photo_sources.folder_of(decomposed, tmp_path / "unpacked")
    assert class_folders.scan([unpacked]).classes == ["Métal", "Verre"]


@pytest.mark.parametrize("encoding", ["gbk", "cp850"])
def test_zip_with_folder_names_in_an_unknown_encoding_raises(tmp_path, encoding):
    names = {"gbk": ["纸/1.jpg", "玻璃/1.jpg"], "cp850": ["Müll/1.jpg", "Glas/1.jpg"]}[encoding]
    archive = write_unflagged_zip(tmp_path / "a.zip", names, lambda name: name.encode(encoding))
    with pytest.raises(PilahError, match=r"a\.zip has folder names in an encoding that it does not declare"):
        photo_sources.folder_of(archive, tmp_path / "unpacked")
    assert not (tmp_path / "unpacked").exists()


def test_zip_with_only_file_names_in_an_unknown_encoding_is_unpacked(tmp_path):
    names = ["glass/grün.jpg", "metal/grau.jpg"]
    archive = write_unflagged_zip(tmp_path / "a.zip", names, lambda name: name.encode("cp850"))
    assert labelled(photo_sources.folder_of(archive, tmp_path / "unpacked")) == [
        ("glass", b"photo 0"),
        ("metal", b"photo 1"),
    ]


def test_zip_with_a_repeated_name_raises(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("glass/1.jpg", b"first")
        archive.writestr("./glass/1.jpg", b"second")
    with pytest.raises(PilahError, match=r"a\.zip holds glass/1\.jpg twice"):
        photo_sources.folder_of(tmp_path / "a.zip", tmp_path / "unpacked")
    assert not (tmp_path / "unpacked").exists()


def test_zip_with_a_link_raises(tmp_path):
    link = zipfile.ZipInfo("glass/linked")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "../elsewhere")
    with pytest.raises(PilahError, match=r"a\.zip holds the link glass/linked"):
        photo_sources.folder_of(tmp_path / "a.zip", tmp_path / "unpacked")


@pytest.mark.parametrize("change", ["removed", "added", "moved to another class", "exchanged", "linked folder"])
def test_changed_unpacked_photos_raise(tmp_path, save_classes, change):
    archive = zip_of(save_classes(tmp_path / "photos", COUNTS), tmp_path / "a.zip")
    unpacked = photo_sources.folder_of(archive, tmp_path / "unpacked")
    first = unpacked / "glass" / "glass0.png"
    if change == "removed":
        first.unlink()
    elif change == "added":
        shutil.copy(first, unpacked / "glass" / "new.png")
    elif change == "linked folder":
        (unpacked / "glass" / "linked").symlink_to(tmp_path / "photos" / "metal")
    else:
        other = unpacked / "metal" / ("glass0.png" if change.startswith("moved") else "metal0.png")
        content = first.read_bytes()
        if change == "exchanged":
            first.write_bytes(other.read_bytes())
        else:
            first.unlink()
        other.write_bytes(content)
    with pytest.raises(PilahError, match=r"does not hold the files of .*Delete the folder"):
        photo_sources.folder_of(archive, unpacked)


def test_zip_unpacked_by_several_threads_at_once_is_complete_for_all(tmp_path, save_classes):
    archive = zip_of(save_classes(tmp_path / "photos", {"glass": 40, "metal": 40}), tmp_path / "a.zip")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        futures = [pool.submit(photo_sources.folder_of, archive, tmp_path / "run" / "unpacked") for _ in range(4)]
        assert {len(labelled(future.result())) for future in futures} == {80}
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["unpacked"]


@pytest.mark.parametrize("names", [["glass", "glass/1.jpg"], ["glass/1.jpg", "glass/1.jpg/"], ["glass/1.jpg", ".."]])
def test_zip_with_conflicting_entries_raises(tmp_path, names):
    write_zip(tmp_path / "a.zip", dict.fromkeys(names, b""))
    with pytest.raises(PilahError, match=r"a\.zip holds"):
        photo_sources.folder_of(tmp_path / "a.zip", tmp_path / "run" / "unpacked")
    assert not (tmp_path / "run").exists()


def test_zip_with_a_name_that_is_too_long_leaves_no_files(tmp_path):
    write_zip(tmp_path / "a.zip", {f"glass/{'x' * 300}.jpg": b"photo"})
    with pytest.raises(PilahError, match=r"a\.zip cannot be unpacked .*File name too long"):
        photo_sources.folder_of(tmp_path / "a.zip", tmp_path / "run" / "unpacked")
    assert list((tmp_path / "run").iterdir()) == []
