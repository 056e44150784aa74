import collections
import contextlib
import os
import pathlib
import shutil
import zipfile

import pytest

from components import photos
from components.errors import PilahError

COUNTS = {"glass": 7, "metal": 5, "paper": 11}


def list_photos(root, folds=2, seed=1):
    return photos.list_photos([root], folds, seed, lambda done, total: None)


def zip_of(root, path, prefix=""):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, prefix + str(file.relative_to(root)))
    return path


def fold_of_id(kept):
    return {photo.id: photo.fold for photo in kept}


def test_folder_of_class_folders_lists_each_photo_under_its_class(tmp_path, save_classes):
    root = save_classes(tmp_path / "photos", COUNTS)
    kept, duplicates = list_photos(root)
    assert collections.Counter(photo.label for photo in kept) == COUNTS
    assert {pathlib.Path(photo.path) for photo in kept} == set(root.glob("*/*.png"))
    assert all(pathlib.Path(photo.path).parent.name == photo.label for photo in kept)
    assert duplicates == []
    assert photos.class_names(kept) == ["glass", "metal", "paper"]


@pytest.mark.parametrize("nesting", ["", "photos/", "Garbage classification/Garbage classification/"])
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_nesting_of_kaggle_is_walked_down(tmp_path, save_classes, nesting, packed):
    root = save_classes(tmp_path / "photos" / nesting, COUNTS)
    (root / "one-indexed-files.txt").write_text("beside the classes, not a class")
    images = tmp_path / "photos"
    if packed:
        images = zip_of(tmp_path / "photos", tmp_path / "archive.zip")
    kept, _ = list_photos(photos.unpack(images, tmp_path / "unpacked"))
    assert collections.Counter(photo.label for photo in kept) == COUNTS
    assert all(pathlib.Path(photo.path).is_file() for photo in kept)


def test_folder_is_used_where_it_stands(tmp_path, save_classes):
    root = save_classes(tmp_path / "photos", COUNTS)
    assert photos.unpack(root, tmp_path / "unpacked") == root
    assert not (tmp_path / "unpacked").exists()


def test_zip_is_unpacked_once(tmp_path, save_classes):
    archive = zip_of(save_classes(tmp_path / "photos", COUNTS), tmp_path / "a.zip")
    first = photos.unpack(archive, tmp_path / "run" / "unpacked")
    (first / "mark").write_text("still here")
    assert photos.unpack(archive, tmp_path / "run" / "unpacked") == first
    assert (first / "mark").exists()


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
def test_hidden_files_and_folders_are_no_photos(tmp_path, save_classes, hidden):
    root = save_classes(tmp_path / "photos", COUNTS)
    (root / hidden).parent.mkdir(parents=True, exist_ok=True)
    (root / hidden).write_bytes(b"left by another program")
    unpacked = photos.unpack(zip_of(root, tmp_path / "a.zip"), tmp_path / "unpacked")
    for folder in (root, unpacked):
        kept, _ = list_photos(folder)
        assert collections.Counter(photo.label for photo in kept) == COUNTS


def test_photos_split_into_training_and_test_are_not_taken_for_two_classes(tmp_path, save_classes):
    for part in ("train", "test"):
        save_classes(tmp_path / part, {"glass": 2, "metal": 2})
    with pytest.raises(PilahError, match=f"Received: test, train, .*--images {tmp_path / 'test'} --images") as refused:
        list_photos(tmp_path)
    assert "(glass, metal)" in str(refused.value)
    together, _ = photos.list_photos([tmp_path / "train", tmp_path / "test"], 2, 1, lambda done, total: None)
    assert photos.class_names(together) == ["glass", "metal"]


def test_training_photos_beside_a_flat_test_folder_are_not_taken_for_two_classes(tmp_path, save_classes, save_photo):
    save_classes(tmp_path / "Train", {"glass": 2, "metal": 2})
    save_photo(tmp_path / "test" / "unknown.png", 1)
    with pytest.raises(PilahError, match=rf"Received: .*Train holds folders itself.*--images {tmp_path / 'Train'}\."):
        list_photos(tmp_path)
    assert photos.class_names(list_photos(tmp_path / "Train")[0]) == ["glass", "metal"]


def test_class_that_is_called_as_a_split_and_holds_photos_is_a_class(tmp_path, save_classes):
    listed, _ = list_photos(save_classes(tmp_path, {"train": 2, "tram": 2}))
    assert photos.class_names(listed) == ["train", "tram"]


def test_accent_written_in_two_ways_is_one_class(tmp_path, save_classes):
    for root, accent in (("linux", "caf\u00e9"), ("macos", "cafe\u0301")):
        save_classes(tmp_path / root, {accent: 2, "tea": 2})
    listed, _ = photos.list_photos([tmp_path / "linux", tmp_path / "macos"], 2, 1, lambda done, total: None)
    assert photos.class_names(listed) == ["caf\u00e9", "tea"]


def test_name_that_is_not_utf_8_is_named(tmp_path, save_classes):
    root = save_classes(tmp_path, COUNTS)
    with contextlib.suppress(OSError):  # macOS makes no such file
        (root / "glass" / os.fsdecode(b"caf\xe9.png")).write_bytes(b"photo")
        with pytest.raises(PilahError, match=r"must be UTF-8\. Received: '.*glass/caf\\udce9\.png'\. Rename it"):
            list_photos(root)


def test_class_folders_with_one_folder_each_are_classes(tmp_path, save_classes):
    listed, _ = list_photos(save_classes(tmp_path, {"glass/photos": 2, "metal/photos": 2}))
    assert photos.class_names(listed) == ["glass", "metal"]


def test_hidden_folder_above_the_photos_does_not_hide_them(tmp_path, save_classes):
    kept, _ = list_photos(save_classes(tmp_path / ".cache" / "photos", COUNTS))
    assert len(kept) == sum(COUNTS.values())


def test_photos_in_folders_below_a_class_belong_to_it(tmp_path, save_classes, save_photo):
    root = save_classes(tmp_path, COUNTS)
    save_photo(root / "glass" / "brown" / "2020" / "a.png", 1000)
    kept, _ = list_photos(root)
    assert collections.Counter(photo.label for photo in kept) == COUNTS | {"glass": 8}


@pytest.mark.parametrize("name", ["../evil.jpg", "../../evil.jpg", "glass/../../evil.jpg", "{root}/evil.jpg"])
def test_zip_entry_with_a_path_to_elsewhere_lands_inside(tmp_path, save_classes, name):
    archive = zip_of(save_classes(tmp_path / "in" / "photos", COUNTS), tmp_path / "in" / "a.zip")
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(name.format(root=tmp_path), b"evil")
    unpacked = photos.unpack(archive, tmp_path / "a" / "b" / "unpacked")
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
        (lambda path: None, "exists.*images"),
        (lambda path: path.write_text("neither"), "neither"),
        (lambda path: path.write_bytes(b""), "neither"),
        (lambda path: path.write_bytes(b"PK\3\4 cut short"), "neither"),
        (write_damaged_zip, "Bad CRC"),
        (write_zip_with_password, "password"),
    ],
    ids=["missing", "text", "empty file", "cut short", "damaged", "password"],
)
def test_what_cannot_be_unpacked_is_named(tmp_path, write, message):
    write(tmp_path / "images")
    with pytest.raises(PilahError, match=message) as caught:
        photos.unpack(tmp_path / "images", tmp_path / "unpacked")
    assert str(tmp_path / "images") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "unpacked").exists()


def test_unpacking_after_a_failure_holds_the_good_zip_alone(tmp_path, save_classes):
    archive, unpacked = tmp_path / "a.zip", tmp_path / "unpacked"
    write_damaged_zip(archive)
    with pytest.raises(PilahError):
        photos.unpack(archive, unpacked)
    archive.unlink()
    root = save_classes(tmp_path / "photos", COUNTS)
    photos.unpack(zip_of(root, archive), unpacked)
    assert {path.relative_to(unpacked) for path in unpacked.rglob("*")} == {
        path.relative_to(root) for path in root.rglob("*")
    }


@pytest.mark.parametrize(
    ("files", "found"),
    [([], 0), (["a.jpg"], 0), (["glass/a.jpg"], 1), (["x/glass/a.jpg"], 1), ([".hidden/a.jpg"], 0)],
)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_fewer_than_two_classes_raise_with_their_number(tmp_path, files, found, packed):
    images = tmp_path / "images"
    if packed:
        write_zip(images, dict.fromkeys(files, b"photo"))
    else:
        images.mkdir()
        for name in files:
            (images / name).parent.mkdir(parents=True, exist_ok=True)
            (images / name).write_bytes(b"photo")
    root = photos.unpack(images, tmp_path / "unpacked")
    with pytest.raises(PilahError, match=f"2 classes or more.*Received: .*, which has {found}") as caught:
        list_photos(root)
    assert str(root) in str(caught.value)


def test_new_names_and_places_change_neither_ids_nor_folds(tmp_path, save_classes):
    root = save_classes(tmp_path / "photos", COUNTS)
    before, _ = list_photos(root)
    for number, path in enumerate(sorted(root.glob("*/*.png"), reverse=True)):
        path.rename(path.with_name(f"{number:03} umbenannt.PNG"))
    root = root.rename(tmp_path / "elsewhere")
    after, _ = list_photos(root)
    assert fold_of_id(after) == fold_of_id(before)
    assert [photo.id for photo in after] == [photo.id for photo in before]
    assert {photo.path for photo in after}.isdisjoint(photo.path for photo in before)


def test_exact_duplicate_is_kept_once_and_reported(tmp_path, save_classes):
    root = save_classes(tmp_path, COUNTS)
    original = root / "glass" / "glass3.png"
    shutil.copy(original, root / "glass" / "z copy.png")
    shutil.copy(original, root / "glass" / "z copy 2.png")
    kept, duplicates = list_photos(root)
    assert collections.Counter(photo.label for photo in kept) == COUNTS
    (photo,) = (photo for photo in kept if photo.path == str(original))
    assert {(d.id, d.kind, d.path, d.label, d.kept_path) for d in duplicates} == {
        (photo.id, "duplicate", str(root / "glass" / name), "glass", str(original))
        for name in ("z copy.png", "z copy 2.png")
    }


def test_same_bytes_under_two_classes_keeps_neither(tmp_path, save_classes):
    root = save_classes(tmp_path, COUNTS)
    shutil.copy(root / "glass" / "glass3.png", root / "metal" / "z.png")
    kept, duplicates = list_photos(root)
    assert collections.Counter(photo.label for photo in kept) == COUNTS | {"glass": 6}
    assert {(d.kind, d.path, d.label, d.kept_path) for d in duplicates} == {
        ("conflict", str(root / "glass" / "glass3.png"), "glass", ""),
        ("conflict", str(root / "metal" / "z.png"), "metal", ""),
    }
    assert {d.id for d in duplicates}.isdisjoint(photo.id for photo in kept)


def test_duplicates_are_written_with_a_row_each(tmp_path):
    rows = [photos.Duplicate("1f", "duplicate", "b.jpg", "glass", "a.jpg")]
    photos.write_duplicates(tmp_path / "duplicates.csv", rows)
    assert (tmp_path / "duplicates.csv").read_text() == "id,kind,path,label,kept_path\n1f,duplicate,b.jpg,glass,a.jpg\n"


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_hold_each_class_evenly_and_each_photo_once(folds):
    labels = [label for label, count in {"glass": 31, "metal": 8, "paper": 17}.items() for _ in range(count)]
    fold_of = photos.assign_folds(labels, folds, seed=1)
    assert len(fold_of) == len(labels) and set(fold_of) == set(range(folds))
    for label in set(labels):
        counts = collections.Counter(fold for name, fold in zip(labels, fold_of, strict=True) if name == label)
        sizes = [counts[fold] for fold in range(folds)]
        assert max(sizes) - min(sizes) <= 1


def test_folds_depend_on_the_seed_alone(tmp_path, save_classes):
    root = save_classes(tmp_path, COUNTS)
    first, again, other = (fold_of_id(list_photos(root, seed=seed)[0]) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_class_smaller_than_folds_raises_with_its_name_and_count(tmp_path, save_classes):
    root = save_classes(tmp_path, COUNTS)
    with pytest.raises(PilahError, match="6 folds and metal 5"):
        list_photos(root, folds=6)
    assert list_photos(root, folds=5)


def test_class_folder_without_photos_raises_with_its_name(tmp_path, save_classes):
    root = save_classes(tmp_path, COUNTS)
    (root / "plastic").mkdir()
    with pytest.raises(PilahError, match="plastic 0"):
        list_photos(root)


def test_duplicates_do_not_count_towards_the_size_of_a_class(tmp_path, save_classes):
    root = save_classes(tmp_path, {"glass": 3, "metal": 2})
    shutil.copy(root / "metal" / "metal0.png", root / "metal" / "copy.png")
    with pytest.raises(PilahError, match="3 folds and metal 2"):
        list_photos(root, folds=3)


def test_csv_reads_back_as_written(tmp_path, save_classes):
    root = save_classes(tmp_path / 'fotos für später, "neu"', {"Glas & grün": 3, "紙, Karton": 2})
    kept, _ = list_photos(root)
    photos.write(tmp_path / "photos.csv", kept)
    assert photos.read(tmp_path / "photos.csv") == kept
    assert (tmp_path / "photos.csv").read_text(encoding="utf-8").startswith("id,path,label,fold\n")


def test_zip_with_foreign_names_keeps_them(tmp_path, save_classes):
    root = save_classes(tmp_path / "photos", {"Glas & grün": 3, "紙 und Karton": 2})
    unpacked = photos.unpack(zip_of(root, tmp_path / "Müll fotos.zip"), tmp_path / "aus gepackt")
    kept, _ = list_photos(unpacked)
    assert photos.class_names(kept) == ["Glas & grün", "紙 und Karton"]
    assert fold_of_id(kept) == fold_of_id(list_photos(root)[0])


def test_progress_counts_up_to_every_file(tmp_path, save_classes):
    root = save_classes(tmp_path, COUNTS)
    calls = []
    photos.list_photos([root], 2, 1, lambda done, total: calls.append((done, total)))
    assert calls == [(done, 23) for done in range(1, 24)]


def test_second_folder_adds_to_the_classes_even_with_one_class_in_it(tmp_path, save_classes, save_photo):
    first = save_classes(tmp_path / "first", {"glass": 3, "metal": 3})
    corrected = save_photo(tmp_path / "second" / "glass" / "corrected.png", seed=99)
    kept, _ = photos.list_photos([first, tmp_path / "second"], 2, 1, lambda done, total: None)
    assert len(kept) == 7 and photos.class_names(kept) == ["glass", "metal"]
    assert [photo.label for photo in kept if photo.path == str(corrected)] == ["glass"]


def test_same_bytes_under_two_classes_of_two_folders_are_a_conflict(tmp_path, save_classes, save_photo):
    first = save_classes(tmp_path / "first", {"glass": 3, "metal": 3})
    target = tmp_path / "second" / "metal" / "copy.png"
    target.parent.mkdir(parents=True)
    target.write_bytes((first / "glass" / "glass0.png").read_bytes())
    kept, duplicates = photos.list_photos([first, tmp_path / "second"], 2, 1, lambda done, total: None)
    assert len(kept) == 5 and sorted(one.label for one in duplicates) == ["glass", "metal"]
