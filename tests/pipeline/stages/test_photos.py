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


@pytest.mark.parametrize("kept", ["drawn", "unpacked"])
def test_photos_moved_with_their_run_rerun_the_stage(kept, folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for file in folder.rglob("*.png"):
            archive.write(file, file.relative_to(folder))
    config = dataclasses.replace(of_profile("demo", tmp_path / "run"), photos_per_class=2)
    if kept == "unpacked":
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
    drawn = sorted((tmp_path / "images").rglob("*.*"))
    shutil.rmtree(tmp_path / "images")
    runner.run(list_photos, config, console)
    assert drawn and sorted((tmp_path / "images").rglob("*.*")) == drawn


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
