import collections
import dataclasses
import pathlib
import shutil
import tempfile

import apache_beam as beam
import numpy as np
import photo_files
import pytest
import tensorflow as tf
from apache_beam.options.pipeline_options import DirectOptions
from PIL import Image

from components.base import artifacts
from components.base.errors import PilahError
from components.data import class_folders, listing, photos, records, resize

REPOSITORY = pathlib.Path(__file__).parents[3]
SIZE_PX = 16
MAX_PIXELS = 10_000


def ignore(done, total):
    pass


def list_photos(root, folds=2):
    return listing.list_photos(class_folders.scan([root]), folds, 1, ignore)[0]


def build(folder, photo_list, max_rejects=1.0, folds=2, beam_args=(), progress=ignore, unreadable=()):
    return records.build(
        folder,
        photo_list,
        image_size_px=SIZE_PX,
        max_pixels=MAX_PIXELS,
        max_rejects=max_rejects,
        folds=folds,
        beam_args=beam_args,
        progress=progress,
        unreadable=unreadable,
    )


def read(folder):
    return list(records.read(folder).as_numpy_iterator())


def ids(rows):
    return [record["id"].decode() for record in rows]


def save_text(path, number):
    path.write_text(f"text {number}")
    return path


def overwrite(path, content):
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Return (folder, photo list, progress calls) of records of various photos, for tests that only read them."""
    folder = tmp_path_factory.mktemp("recorded")
    root = photo_files.write_classes(folder / "photos", {"glass": 4, "metal": 5, "paper": 3})
    photo_files.write_classes(root, {"glass": 2, "metal": 2}, ".jpg")
    photo_files.write_photo(root / "metal" / "large.jpg", 100, size=(60, 45))
    for seed, name in enumerate(["glass/grey.jpg", "glass/grey.png", "metal/grey.jpg", "metal/grey.png"], start=101):
        photo_files.write_photo(root / name, seed, mode="L")
    save_turned(root / "paper" / "turned.png")
    photo_list, calls = list_photos(root), []

    def progress(done, total):
        calls.append((done, total))

    assert build(folder / "dataset", photo_list, max_rejects=0.0, progress=progress) == []
    return folder / "dataset", photo_list, calls


def save_turned(path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the first stored row is the right edge of the photo
    stored = Image.new("RGB", (40, 20), "black")
    stored.paste("white", (0, 0, 20, 20))
    stored.save(path, exif=exif)


@pytest.fixture
def existing_records(recorded, tmp_path):
    """Return a copy of the records that a test may change."""
    return pathlib.Path(shutil.copytree(recorded[0], tmp_path / "dataset"))


def records_of(recorded, ending):
    """Return (record, photo) of each photo whose path ends with `ending`."""
    folder, photo_list, _ = recorded
    pairs = [pair for pair in zip(read(folder), photo_list, strict=True) if pair[1].path.endswith(ending)]
    assert pairs
    return pairs


def test_build_leaves_no_folder_among_temporary_files(tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    build(tmp_path / "dataset", list_photos(photo_files.write_classes(tmp_path / "photos", {"glass": 2, "metal": 2})))
    assert [path for path in temporary.iterdir() if path.is_dir()] == []


def test_full_disk_is_named_with_the_shard_and_without_a_traceback(tmp_path, monkeypatch):
    def fail(writer, record):
        raise tf.errors.ResourceExhaustedError(None, None, "/run/dataset/shard; No space left on device")

    photo_list = list_photos(photo_files.write_classes(tmp_path / "photos", {"glass": 2, "metal": 2}))
    monkeypatch.setattr(tf.io.TFRecordWriter, "write", fail)
    with pytest.raises(OSError, match=r"^/run/dataset/shard; No space left on device$"):
        build(tmp_path / "dataset", photo_list)


def test_records_match_the_photo_list_and_its_order(recorded):
    folder, photo_list, _ = recorded
    rows = read(folder)
    assert ids(rows) == [photo.id for photo in photo_list]
    assert [record["fold"] for record in rows] == [photo.fold for photo in photo_list]
    names = photos.class_names(photo_list)
    assert [names[record["label"]] for record in rows] == [photo.label for photo in photo_list]
    sizes = {"large.jpg": (60, 45), "turned.png": (20, 40)}
    for record, photo in zip(rows, photo_list, strict=True):
        original = sizes.get(pathlib.Path(photo.path).name, (20, 16))
        assert (record["original_width_px"], record["original_height_px"]) == original


def test_killed_rebuild_keeps_the_list_of_rejects(existing_records, recorded, monkeypatch):
    monkeypatch.setattr(records.PhotoRecords, "download_and_prepare", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build(existing_records, recorded[1])
    assert [path.name for path in existing_records.iterdir()] == [photos.REJECTS]


def interrupt(builder):
    raise KeyboardInterrupt


@pytest.mark.parametrize("suffix", ["0.png", "0.jpg", "large.jpg"])
def test_image_of_a_record_equals_the_resized_file_exactly(recorded, suffix):
    for record, photo in records_of(recorded, suffix):
        expected = resize.decode_and_resize(tf.io.read_file(photo.path), SIZE_PX)
        assert record["image"].dtype == np.uint8
        np.testing.assert_array_equal(record["image"], expected)


@pytest.mark.parametrize("name", ["grey.jpg", "grey.png"])
def test_grey_photos_become_rgb_of_three_equal_channels(recorded, name):
    for record, _ in records_of(recorded, name):
        assert record["image"].shape == (SIZE_PX, SIZE_PX, 3)
        assert (record["image"] == record["image"][..., :1]).all()


def test_turned_photo_is_recorded_upright_with_its_upright_size(recorded):
    ((record, _),) = records_of(recorded, "turned.png")
    assert (record["original_width_px"], record["original_height_px"]) == (20, 40)
    assert record["image"][2].min() == 255 and record["image"][-2].max() == 0


def test_rejects_are_listed_and_other_photos_are_recorded(tmp_path, save_classes, save_photo):
    root = save_classes(tmp_path / "photos", {"glass": 8, "metal": 6})
    jpeg = save_photo(root / "metal" / "whole.jpg", 201, size=(60, 45)).read_bytes()
    reasons = {
        overwrite(root / "metal" / "half.jpg", jpeg[: len(jpeg) // 2]): "truncated",
        overwrite(root / "glass" / "glass1.png", b"text, two\nlines"): "not an image",
        overwrite(root / "glass" / "glass2.png", (root / "glass" / "glass2.png").read_bytes()[:300]): "truncated",
        overwrite(root / "metal" / "metal0.png", (root / "metal" / "metal0.png").read_bytes()[:-18]): "truncated",
        save_photo(root / "metal" / "large.png", 200, size=(101, 100)): "too large",
    }
    photo_list = list_photos(root)
    rejects = build(tmp_path / "dataset", photo_list)
    assert {pathlib.Path(reject["path"]): reject["reason"] for reject in rejects} == reasons
    assert artifacts.read_csv(tmp_path / "dataset" / "rejects.csv") == rejects
    photo_of_path = {photo.path: photo for photo in photo_list}
    for reject in rejects:
        photo = photo_of_path[reject["path"]]
        assert (reject["id"], reject["label"]) == (photo.id, photo.label)
        assert reject["detail"] and "\n" not in reject["detail"]
    accepted = [photo for photo in photo_list if pathlib.Path(photo.path) not in reasons]
    assert photos.accepted(photo_list, tmp_path / "dataset") == accepted
    assert ids(read(tmp_path / "dataset")) == [photo.id for photo in accepted]


def test_list_of_rejects_is_empty_without_rejects(recorded):
    folder, photo_list, _ = recorded
    assert artifacts.read_csv(folder / "rejects.csv") == []
    assert photos.accepted(photo_list, folder) == photo_list


def test_more_rejects_than_allowed_raise_with_their_reasons(tmp_path, save_classes):
    root = save_classes(tmp_path / "photos", {"glass": 5, "metal": 5})
    for number, content in enumerate([b"text", b"more text", b"GIF89a"]):
        overwrite(root / "glass" / f"glass{number}.png", content)
    photo_list = list_photos(root)
    with pytest.raises(PilahError, match=r"At most 29.0%.*3 of 10 are \(not an image 3\)") as caught:
        build(tmp_path / "dataset", photo_list, max_rejects=0.29)
    assert str(tmp_path / "dataset" / "rejects.csv") in str(caught.value)
    reasons = collections.Counter(row["reason"] for row in artifacts.read_csv(tmp_path / "dataset" / "rejects.csv"))
    assert reasons == {"not an image": 3}
    assert len(build(tmp_path / "dataset", photo_list, max_rejects=0.3)) == 3


def test_error_for_rejects_that_are_too_large_suggests_max_pixels(tmp_path, save_classes, save_photo):
    root = save_classes(tmp_path / "photos", {"glass": 5, "metal": 5})
    save_photo(root / "metal" / "large.png", 200, size=(101, 100))
    with pytest.raises(PilahError, match=r"\(too large 1\).*raise --max-pixels for those too large"):
        build(tmp_path / "dataset", list_photos(root), max_rejects=0.0)


def test_class_with_fewer_usable_photos_than_folds_raises(tmp_path, save_classes):
    root = save_classes(tmp_path / "photos", {"glass": 5, "metal": 3})
    overwrite(root / "metal" / "metal1.png", b"text")
    with pytest.raises(PilahError, match=r"as folds \(3\).*: metal 2\."):
        build(tmp_path / "dataset", list_photos(root, folds=3), folds=3)


def test_class_with_only_rejects_raises(tmp_path, save_classes):
    root = save_classes(tmp_path / "photos", {"glass": 5, "metal": 2})
    for number in range(2):
        overwrite(root / "metal" / f"metal{number}.png", f"text {number}".encode())
    with pytest.raises(PilahError, match="metal 0"):
        build(tmp_path / "dataset", list_photos(root))


# 20, because TensorFlow Datasets by default reads 16 records of a shard before the next one
@pytest.mark.parametrize("photos_per_shard", [3, 20])
def test_order_is_kept_across_shards(tmp_path, save_classes, monkeypatch, photos_per_shard):
    monkeypatch.setattr(records, "PHOTOS_PER_SHARD", photos_per_shard)
    photo_list = list_photos(save_classes(tmp_path / "photos", {"glass": 26, "metal": 25}))
    build(tmp_path / "dataset", photo_list)
    assert len(shards_of(tmp_path / "dataset")) == -(-51 // photos_per_shard)
    assert ids(read(tmp_path / "dataset")) == [photo.id for photo in photo_list]
    assert ids(read(tmp_path / "dataset")) == [photo.id for photo in photo_list], "another read has another order"


def test_few_photos_are_written_to_one_shard(recorded):
    assert len(recorded[1]) > 16 and len(shards_of(recorded[0])) == 1


def shards_of(folder):
    return list(folder.rglob("*.tfrecord-*"))


def test_shards_with_only_rejects_have_no_records(tmp_path, save_classes, monkeypatch):
    monkeypatch.setattr(records, "PHOTOS_PER_SHARD", 2)
    root = save_classes(tmp_path / "photos", {"glass": 4, "metal": 4})
    texts = {str(save_text(root / "glass" / f"{number}.jpg", number)) for number in range(6)}
    good = [photo for photo in list_photos(root) if photo.path not in texts]
    bad = [photo for photo in list_photos(root) if photo.path in texts]
    photo_list = [*bad[:2], *good[:2], *bad[2:4], *good[2:], *bad[4:]]  # the first shard, a middle one and the last
    assert [row["id"] for row in build(tmp_path / "dataset", photo_list, folds=1)] == [photo.id for photo in bad]
    assert ids(read(tmp_path / "dataset")) == [photo.id for photo in good]


def test_rebuild_replaces_the_records_and_removes_their_pixels(existing_records, tmp_path, save_classes):
    (existing_records / "pixels.npy").write_bytes(b"of the earlier records")
    second = list_photos(save_classes(tmp_path / "second", {"blue": 2, "green": 2, "red": 3}))
    build(existing_records, second)
    assert ids(read(existing_records)) == [photo.id for photo in second]
    assert not (existing_records / "pixels.npy").exists()


def test_records_are_readable_after_the_folder_is_moved(existing_records, recorded, tmp_path):
    moved = existing_records.rename(tmp_path / "moved run")
    assert ids(read(moved)) == [photo.id for photo in recorded[1]]


# one process shows that the steps can be pickled, and two threads that workers keep the order
@pytest.mark.parametrize(("mode", "workers"), [("multi_processing", 1), ("multi_threading", 2)])
def test_workers_write_the_same_records(tmp_path, save_classes, monkeypatch, mode, workers):
    monkeypatch.setattr(records, "PHOTOS_PER_SHARD", 2)
    monkeypatch.chdir(REPOSITORY)  # where the workers can import `components`
    root = save_classes(tmp_path / "photos", {"glass": 5, "metal": 5})
    overwrite(root / "glass" / "glass0.png", b"text")
    photo_list = list_photos(root)
    here = build(tmp_path / "here", photo_list)
    beam_args = [f"--direct_num_workers={workers}", f"--direct_running_mode={mode}"]
    assert build(tmp_path / "workers", photo_list, beam_args=beam_args) == here
    assert len(here) == 1
    for expected, record in zip(read(tmp_path / "here"), read(tmp_path / "workers"), strict=True):
        np.testing.assert_equal(record, expected)


def test_unknown_beam_option_does_not_stop_the_build(tmp_path, save_classes):
    photo_list = list_photos(save_classes(tmp_path / "photos", {"glass": 2, "metal": 2}))
    build(tmp_path / "dataset", photo_list, beam_args=["--no_such_option=3", "--no_such_flag"])
    assert len(read(tmp_path / "dataset")) == 4


def test_beam_option_of_the_user_overrides_the_default(tmp_path, save_classes, monkeypatch):
    photo_list, used = list_photos(save_classes(tmp_path / "photos", {"glass": 2, "metal": 2})), []
    pipeline = beam.Pipeline

    def recorded_pipeline(options):
        used.append(options.view_as(DirectOptions).direct_num_workers)
        return pipeline(options=options)

    monkeypatch.setattr(beam, "Pipeline", recorded_pipeline)
    build(tmp_path / "dataset", photo_list, beam_args=["--direct_num_workers=3"])
    assert used == [3]


def test_progress_ends_at_the_number_of_photos(recorded):
    _, photo_list, calls = recorded
    assert calls[-1] == (len(photo_list), len(photo_list))
    assert all(done <= total == len(photo_list) for done, total in calls)


@pytest.mark.parametrize("change", ["overwritten", "removed"])
def test_photo_that_changes_while_records_are_written_raises_with_its_path(tmp_path, save_classes, change):
    photo_list = list_photos(save_classes(tmp_path / "photos", {"glass": 3, "metal": 3}))
    path = pathlib.Path(photo_list[3].path)
    if change == "overwritten":
        shutil.copy(photo_list[0].path, path)
    else:
        path.unlink()
    reason = {"overwritten": "has changed since it was listed", "removed": "cannot be read .No such file"}[change]
    with pytest.raises(PilahError, match=f"^{path} {reason}"):
        build(tmp_path / "dataset", photo_list)


def test_files_that_could_not_be_listed_count_as_rejects(tmp_path, save_classes):
    photo_list = list_photos(save_classes(tmp_path / "photos", {"glass": 2, "metal": 2}))
    dead = {"path": "glass/gone.jpg", "label": "glass", "reason": "dead link", "detail": "its target x is missing"}
    with pytest.raises(PilahError, match=r"1 of 5 are \(dead link 1\)"):
        build(tmp_path / "dataset", photo_list, max_rejects=0.19, unreadable=[dead])
    assert build(tmp_path / "dataset", photo_list, max_rejects=0.2, unreadable=[dead]) == [{"id": "", **dead}]
    assert artifacts.read_csv(tmp_path / "dataset" / "rejects.csv") == [{"id": "", **dead}]
    assert photos.accepted(photo_list, tmp_path / "dataset") == photo_list


def test_fold_without_usable_photos_of_a_class_raises(tmp_path, save_classes):
    root = save_classes(tmp_path / "photos", {"glass": 6, "metal": 2})
    save_text(root / "metal" / "text.jpg", 1)
    folds = [dataclasses.replace(photo, fold=row % 2) for row, photo in enumerate(list_photos(root))]
    uneven = [
        dataclasses.replace(photo, fold=int(photo.path.endswith(".jpg"))) if photo.label == "metal" else photo
        for photo in folds
    ]
    with pytest.raises(PilahError, match=r"no test photos of metal in fold 2\."):
        build(tmp_path / "dataset", uneven)
