"""What makes the stage photos run again, and what stops it."""

import dataclasses
import io
import shutil
import zipfile

import pytest
import rich.console

from components.base import artifacts
from components.base.errors import PilahError
from components.data import photos
from pipeline import main, runner
from pipeline.config import Config, of_profile
from pipeline.stages import photos as photos_stage


@pytest.fixture
def folder(tmp_path, save_classes):
    return save_classes(tmp_path / "photos", {"glass": 2, "metal": 2})


def moved(config):
    return dataclasses.replace(config, run_dir=config.run_dir / "elsewhere")


@pytest.mark.parametrize("source", ["drawn", "unpacked"])
def test_photos_moved_with_their_run_rerun_the_stage(source, folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for file in folder.rglob("*.png"):
            archive.write(file, file.relative_to(folder))
    config = dataclasses.replace(of_profile("demo", tmp_path / "run"), photos_per_class=2)
    if source == "unpacked":
        config = dataclasses.replace(config, images=(tmp_path / "photos.zip",))
    assert photos_stage.inputs(moved(config)) != photos_stage.inputs(config)


def test_unchanged_photos_do_not_rerun_the_stage(folder, tmp_path):
    config = Config(tmp_path / "run", images=(folder,))
    assert photos_stage.inputs(moved(config)) == photos_stage.inputs(config)


def test_photos_changed_behind_a_link_rerun_the_stage(folder, tmp_path, save_photo):
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in ("glass", "metal"):
        (linked / name).symlink_to(folder / name)
    config = Config(tmp_path / "run", images=(linked,))
    before = photos_stage.inputs(config)
    save_photo(folder / "glass" / "new.png", 7)
    assert photos_stage.inputs(config) != before


@pytest.mark.parametrize("grouped", [True, False])
def test_larger_pixel_limit_reruns_the_stage_only_with_grouped_folds(grouped, folder, tmp_path):
    config = Config(tmp_path / "run", images=(folder,), group_folds=grouped)
    larger = dataclasses.replace(config, max_pixels=2 * config.max_pixels)
    assert (photos_stage.inputs(larger) != photos_stage.inputs(config)) is grouped


def test_deleted_synthetic_photos_are_drawn_again(tmp_path):
    config = dataclasses.replace(of_profile("demo", tmp_path), photos_per_class=4, folds=2)
    console = rich.console.Console()
    list_photos = main.PIPELINE[0]
    runner.run(list_photos, config, console)
    written = sorted((tmp_path / "images").rglob("*.*"))
    shutil.rmtree(tmp_path / "images")
    runner.run(list_photos, config, console)
    assert written and sorted((tmp_path / "images").rglob("*.*")) == written


def list_again(config):
    """Run the first stage; returns the rows of photos.csv and what was printed."""
    text = io.StringIO()
    console = rich.console.Console(file=text, width=200)
    runner.run(main.PIPELINE[0], config, console)
    return photos.read(config.run_dir / "photos.csv"), text.getvalue()


@pytest.fixture
def config(folder, tmp_path):
    return Config(tmp_path / "run", images=(folder,), folds=2)


def test_swapped_labels_rerun_the_stage(config, folder):
    first, second = folder / "glass" / "glass0.png", folder / "metal" / "metal0.png"
    before, _ = list_again(config)
    first.rename(folder / "aside")
    second.rename(first)
    (folder / "aside").rename(second)
    after, _ = list_again(config)
    label_of = {photo.id: photo.label for photo in before}
    assert [photo.id for photo in after if photo.label != label_of[photo.id]] and len(after) == len(before)
    assert "unchanged, skipped" in list_again(config)[1]


def test_empty_class_folder_added_to_a_finished_run_raises(config, folder):
    list_again(config)
    (folder / "plastic").mkdir()
    with pytest.raises(PilahError, match="plastic 0"):
        list_again(config)


def test_emptied_folder_stops_the_run_until_accepted(config, folder, save_photo, caplog):
    for number in range(3):
        save_photo(folder / "glass" / "mounted" / f"{number}.png", 100 + number)
    before, _ = list_again(config)
    (folder / "glass" / "mounted").rename(folder.parent / "gone")
    (folder / "glass" / "mounted").mkdir()  # as a mount point is when nothing is mounted
    with pytest.raises(PilahError, match=r"All photos of .*glass/mounted \(3\) are missing since .*--accept-missing"):
        list_again(config)
    assert photos.read(config.run_dir / "photos.csv") == before
    after, _ = list_again(dataclasses.replace(config, accept_missing=True))
    assert len(after) == len(before) - 3
    assert "3 photos of the last run are missing" in caplog.text
    (folder.parent / "gone").rename(folder / "paper")
    assert len(list_again(config)[0]) == len(before)


def test_photos_moved_or_removed_one_by_one_do_not_stop_the_run(config, folder, save_photo, caplog):
    for number in range(3):
        save_photo(folder / "glass" / "old" / f"{number}.png", 100 + number)
    before, _ = list_again(config)
    (folder / "glass" / "old").rename(folder / "glass" / "new")
    assert len(list_again(config)[0]) == len(before)
    assert "missing" not in caplog.text
    (folder / "glass" / "new" / "0.png").unlink()
    assert len(list_again(config)[0]) == len(before) - 1
    assert "1 photos of the last run are missing, such as" in caplog.text


def test_lists_of_the_stage_add_up_to_all_files(config, folder, caplog):
    (folder / "glass" / "copy.png").write_bytes((folder / "glass" / "glass0.png").read_bytes())
    (folder / "glass" / "gone.png").symlink_to("nowhere")
    (folder / "beside.png").write_bytes(b"beside")
    (folder / ".hidden").write_bytes(b"hidden")
    caplog.set_level("INFO")
    listed, _ = list_again(config)
    rows = [artifacts.read_csv(config.run_dir / name) for name in ("duplicates.csv", "unreadable.csv", "ignored.csv")]
    assert [len(listed), *map(len, rows)] == [4, 1, 1, 2]
    assert "8 files: 4 photos, 1 exact copies, 0 in several classes, 1 unreadable, 2 ignored" in caplog.text
    assert f"1 photos beside the class folders are ignored, such as {folder / 'beside.png'}." in caplog.text


def test_changed_labels_rerun_the_stage_with_the_new_classes(tmp_path, save_photo):
    for number in range(4):
        save_photo(tmp_path / "photos" / f"{number}.png", number)
    labels = tmp_path / "labels.csv"
    labels.write_text("id,label\n0,glass\n1,glass\n2,metal\n3,metal\n")
    config = Config(tmp_path / "run", images=(tmp_path / "photos",), labels=labels, folds=2)
    before, _ = list_again(config)
    assert "unchanged, skipped" in list_again(config)[1]
    labels.write_text("id,label\n0,glass\n1,metal\n2,glass\n3,metal\n")
    after, _ = list_again(config)
    assert [photo.label for photo in before] != [photo.label for photo in after]
    assert sorted(photo.label for photo in after) == ["glass", "glass", "metal", "metal"]


def test_other_encoding_of_a_zip_reruns_the_stage_with_the_new_names(tmp_path, save_photo):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number, name in enumerate(["玻璃", "玻璃", "金属", "金属"]):
            archive.write(save_photo(tmp_path / "photo.png", number), f"{name}/{number}.png")
    content = (tmp_path / "a.zip").read_bytes().replace("玻璃".encode(), b"\xb2\xa3\xc1\xa7\xc6\xbf")
    content = content.replace("金属".encode(), b"\xbd\xf0\xca\xf4\xb9\xde")  # names of equal length in GBK
    for flag in (b"PK\3\4\x14\0", b"PK\1\2\x14\3\x14\0"):
        content = content.replace(flag + b"\0\x08", flag + b"\0\0")
    (tmp_path / "a.zip").write_bytes(content)
    config = Config(tmp_path / "run", images=(tmp_path / "a.zip",), folds=2)
    with pytest.raises(PilahError, match="--zip-encoding"):
        list_again(config)
    wrong, _ = list_again(dataclasses.replace(config, zip_encoding="cp866"))
    right, _ = list_again(dataclasses.replace(config, zip_encoding="gbk"))
    assert {photo.label for photo in right} == {"玻璃瓶", "金属罐"} and {photo.id for photo in right} == {
        photo.id for photo in wrong
    }
    assert "unchanged, skipped" in list_again(dataclasses.replace(config, zip_encoding="GBK"))[1]


def test_invalid_class_name_is_refused_before_any_work(tmp_path, save_classes):
    folder = save_classes(tmp_path / "photos", {"x" * 101: 2, "metal": 2})
    with pytest.raises(PilahError, match="101 characters, more than the maximum of 100"):
        photos_stage.check(Config(tmp_path / "run", images=(folder,)))
    (tmp_path / "labels.csv").write_text("id,label\n0,../../x\n1,metal\n")
    with pytest.raises(PilahError, match=r"'\.\./\.\./x' has a slash"):
        photos_stage.check(Config(tmp_path / "run", images=(folder,), labels=tmp_path / "labels.csv"))


def test_similar_class_names_are_refused_before_any_work_or_merged(tmp_path, save_classes):
    folder = save_classes(tmp_path / "photos", {"Glass": 2, "glass": 2, "metal": 2})
    config = Config(tmp_path / "run", images=(folder,), folds=2)
    with pytest.raises(PilahError, match=r"'Glass' and 'glass'.*--merge-classes"):
        photos_stage.check(config)
    merged = dataclasses.replace(config, merge_classes=True)
    photos_stage.check(merged)
    assert sorted(photo.label for photo in list_again(merged)[0]) == 4 * ["Glass"] + 2 * ["metal"]


def test_many_identical_files_with_different_labels_are_one_line(config, folder, caplog):
    for number in range(30):
        for name in ("glass", "metal"):
            (folder / name / f"same {number}.png").write_bytes(b"same %d" % number)
    list_again(config)
    (line,) = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert line.startswith("60 identical files with different labels") and "such as" in line
    assert len(artifacts.read_csv(config.run_dir / "duplicates.csv")) == 60


def test_warnings_of_many_classes_are_one_line_for_each_kind(tmp_path, save_classes, caplog):
    counts = {f"class {number:02d}/{part}": 1 for number in range(30) for part in ("large", "small")}
    folder = save_classes(tmp_path / "photos", {f"class {n:02d}": 1 for n in range(30)} | counts)
    list_again(Config(tmp_path / "run", images=(folder,), folds=2))
    (line,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert "435 pairs of classes have subfolders with the same names" in line
