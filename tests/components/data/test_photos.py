import collections
import pathlib
import shutil
import tracemalloc

import pytest
from sklearn.model_selection import StratifiedKFold

from components.base import artifacts
from components.base.errors import PilahError
from components.data import class_folders, listing, photos, stratified_folds

COUNTS = {"glass": 7, "metal": 5, "paper": 11}


def list_photos(*roots, folds=2, seed=1, progress=lambda done, total: None):
    return listing.list_photos(class_folders.scan(roots), folds, seed, progress)


def fold_of_id(photo_list):
    return {photo.id: photo.fold for photo in photo_list}


def test_photos_are_listed_with_their_class(tmp_path, save_classes):
    root = save_classes(tmp_path / "photos", COUNTS)
    photo_list, duplicates = list_photos(root)
    assert collections.Counter(photo.label for photo in photo_list) == COUNTS
    assert {pathlib.Path(photo.path) for photo in photo_list} == set(root.glob("*/*.png"))
    assert all(pathlib.Path(photo.path).parent.name == photo.label for photo in photo_list)
    assert duplicates == []
    assert photos.class_names(photo_list) == ["glass", "metal", "paper"]


def test_renamed_and_moved_photos_keep_ids_and_folds(tmp_path, save_classes):
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
    photo_list, duplicates = list_photos(root)
    assert collections.Counter(photo.label for photo in photo_list) == COUNTS
    (photo,) = (photo for photo in photo_list if photo.path == str(original))
    assert {(d.id, d.kind, d.path, d.label, d.kept_path) for d in duplicates} == {
        (photo.id, "duplicate", str(root / "glass" / name), "glass", str(original))
        for name in ("z copy.png", "z copy 2.png")
    }


def test_identical_files_in_two_classes_are_left_out(tmp_path, save_classes):
    root = save_classes(tmp_path, COUNTS)
    shutil.copy(root / "glass" / "glass3.png", root / "metal" / "z.png")
    photo_list, duplicates = list_photos(root)
    assert collections.Counter(photo.label for photo in photo_list) == COUNTS | {"glass": 6}
    assert {(d.kind, d.path, d.label, d.kept_path) for d in duplicates} == {
        ("conflict", str(root / "glass" / "glass3.png"), "glass", ""),
        ("conflict", str(root / "metal" / "z.png"), "metal", ""),
    }
    assert {d.id for d in duplicates}.isdisjoint(photo.id for photo in photo_list)


def test_duplicates_are_written_one_per_row(tmp_path):
    rows = [listing.Duplicate("1f", "duplicate", "b.jpg", "glass", "a.jpg")]
    listing.write_duplicates(tmp_path / "duplicates.csv", rows)
    assert (tmp_path / "duplicates.csv").read_text() == "id,kind,path,label,kept_path\n1f,duplicate,b.jpg,glass,a.jpg\n"


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_are_stratified_and_have_each_photo_once(folds):
    labels = [label for label, count in {"glass": 31, "metal": 8, "paper": 17}.items() for _ in range(count)]
    fold_of = stratified_folds.assign(labels, folds, seed=1)
    assert len(fold_of) == len(labels) and set(fold_of) == set(range(folds))
    for label in set(labels):
        counts = collections.Counter(fold for name, fold in zip(labels, fold_of, strict=True) if name == label)
        sizes = [counts[fold] for fold in range(folds)]
        assert max(sizes) - min(sizes) <= 1


def test_folds_depend_only_on_the_seed(tmp_path, save_classes):
    root = save_classes(tmp_path, COUNTS)
    first, again, other = (fold_of_id(list_photos(root, seed=seed)[0]) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_class_smaller_than_folds_raises_with_its_name_and_count(tmp_path, save_classes):
    root = save_classes(tmp_path, COUNTS)
    with pytest.raises(PilahError, match=r"as folds \(6\).*: metal 5\."):
        list_photos(root, folds=6)
    assert list_photos(root, folds=5)


def test_duplicates_do_not_count_towards_the_size_of_a_class(tmp_path, save_classes):
    root = save_classes(tmp_path, {"glass": 3, "metal": 2})
    shutil.copy(root / "metal" / "metal0.png", root / "metal" / "copy.png")
    with pytest.raises(PilahError, match=r"as folds \(3\).*: metal 2\."):
        list_photos(root, folds=3)


def test_csv_reads_back_as_written(tmp_path, save_classes):
    root = save_classes(tmp_path / 'fotos für später, "neu"', {"Glas & grün": 3, "紙, Karton": 2})
    photo_list, _ = list_photos(root)
    photos.write(tmp_path / "photos.csv", photo_list)
    assert photos.read(tmp_path / "photos.csv") == photo_list
    assert (tmp_path / "photos.csv").read_text(encoding="utf-8").startswith("id,path,label,fold\n")


def test_folds_count_from_1_in_the_file_and_older_files_from_0_are_read(tmp_path):
    photo_list = [photos.Photo(str(number), f"{number}.jpg", "glass", fold) for number, fold in enumerate((2, 0, 1))]
    path = tmp_path / "photos.csv"
    photos.write(path, photo_list)
    rows = artifacts.read_csv(path)
    assert [row["fold"] for row in rows] == ["3", "1", "2"]
    artifacts.write_csv(path, photos.COLUMNS, [{**row, "fold": int(row["fold"]) - 1} for row in rows])
    assert photos.read(path) == photo_list


def test_a_million_listed_photos_take_less_than_400_mb(tmp_path):
    count, path = 10_000, tmp_path / "photos.csv"
    rows = [
        photos.Photo(f"{n:016x}", f"/photos/class-{n % 10}/photo-{n:09d}.jpg", f"c{n % 10}", 0) for n in range(count)
    ]
    photos.write(path, rows)
    tracemalloc.start()
    try:
        listed = photos.read(path)
        assert tracemalloc.get_traced_memory()[0] < 400 * len(listed)
    finally:
        tracemalloc.stop()


def test_folds_are_those_of_scikit_learn():
    labels = [f"c{number * number % 3}" for number in range(60)]
    fold_of = stratified_folds.assign(labels, 3, seed=4)
    for fold, (_, tested) in enumerate(StratifiedKFold(3, shuffle=True, random_state=4).split(labels, labels)):
        assert set(fold_of[tested]) == {fold}


def test_progress_counts_up_to_every_file(tmp_path, save_classes):
    root = save_classes(tmp_path, COUNTS)
    calls = []
    list_photos(root, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 23) for done in range(1, 24)]


def test_photo_changed_or_removed_since_it_was_listed_raises_with_its_path(tmp_path, save_classes):
    root = save_classes(tmp_path, COUNTS)
    (photo, other, *_), _ = list_photos(root)
    assert photos.read_bytes(photo.path, photo.id) == pathlib.Path(photo.path).read_bytes()
    shutil.copy(other.path, photo.path)
    with pytest.raises(PilahError, match=f"{photo.path} has changed since it was listed"):
        photos.read_bytes(photo.path, photo.id)
    pathlib.Path(photo.path).unlink()
    with pytest.raises(PilahError, match=f"{photo.path} cannot be read .No such file"):
        photos.read_bytes(photo.path, photo.id)


def test_class_folder_without_photos_raises_with_its_name(tmp_path, save_classes):
    root = save_classes(tmp_path, COUNTS)
    (root / "plastic").mkdir()
    with pytest.raises(PilahError, match="plastic 0"):
        list_photos(root)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["1,a.png,glass,text"], "invalid literal"),
        (["1,a.png,glass,5"], "the first fold is 5"),
        (["1,a.png,glass,1", "1,b.png,metal,2"], "an id is there twice"),
    ],
)
def test_damaged_list_raises_with_its_path(tmp_path, rows, reason):
    path = tmp_path / "photos.csv"
    path.write_text("\n".join(["id,path,label,fold", *rows]) + "\n")
    with pytest.raises(PilahError, match=rf"photos\.csv is damaged \(a value of a row: {reason}.*\)\. Delete it"):
        photos.read(path)
