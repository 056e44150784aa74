"""What makes a stage of the pipeline start again, and what keeps a run from starting."""

import dataclasses
import io
import shutil
import zipfile

import keras
import pytest
import rich.console

from components import artifacts
from components.errors import PilahError
from pipeline import cli, main, marks, stages
from pipeline.config import Config, demo


@pytest.fixture
def folder(tmp_path, save_classes):
    return save_classes(tmp_path / "photos", {"glass": 2, "metal": 2})


def moved(config):
    return dataclasses.replace(config, run_dir=config.run_dir / "elsewhere")


@pytest.mark.parametrize("kept", ["drawn", "unpacked"])
def test_photos_that_moved_with_their_run_are_listed_again(kept, folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for file in folder.rglob("*.png"):
            archive.write(file)
    config = demo(tmp_path / "run")
    if kept == "unpacked":
        config = dataclasses.replace(config, images=(tmp_path / "photos.zip",))
    assert stages.photos_inputs(moved(config)) != stages.photos_inputs(config)


def test_photos_that_stayed_where_they_were_are_not_listed_again(folder, tmp_path):
    config = Config(tmp_path / "run", images=(folder,))
    assert stages.photos_inputs(moved(config)) == stages.photos_inputs(config)


def test_photos_that_changed_behind_a_link_are_listed_again(folder, tmp_path, save_photo):
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in ("glass", "metal"):
        (linked / name).symlink_to(folder / name)
    config = Config(tmp_path / "run", images=(linked,))
    before = stages.photos_inputs(config)
    save_photo(folder / "glass" / "new.png", 7)
    assert stages.photos_inputs(config) != before


def test_every_view_of_every_backbone_is_an_output_of_features(tmp_path):
    config = Config(tmp_path, backbones=("VGG19", "ResNet50"), views=1, test_views=2)
    names = ("view-00.npy", "view-01.npy", "test-01.npy")
    assert stages.features_outputs(config) == [f"features/{one}/{name}" for one in config.backbones for name in names]


@pytest.mark.parametrize("grouped", [True, False])
def test_folds_are_grouped_again_where_larger_photos_come_in(grouped, folder, tmp_path):
    config = Config(tmp_path / "run", images=(folder,), group_folds=grouped)
    larger = dataclasses.replace(config, max_pixels=2 * config.max_pixels)
    assert (stages.photos_inputs(larger) != stages.photos_inputs(config)) is grouped


def test_photos_that_the_run_folder_lost_are_drawn_again(tmp_path):
    config, console = dataclasses.replace(demo(tmp_path), photos_per_class=4, folds=2), rich.console.Console()
    list_photos = main.PIPELINE[0]
    marks.run(list_photos, config, console)
    drawn = sorted((tmp_path / "images").rglob("*.*"))
    shutil.rmtree(tmp_path / "images")
    marks.run(list_photos, config, console)
    assert drawn and sorted((tmp_path / "images").rglob("*.*")) == drawn


@pytest.mark.parametrize("from_stage", [None, "search"])
def test_run_that_cannot_begin_leaves_everything_as_it_is(from_stage, folder, tmp_path):
    config = Config(tmp_path / "run", images=(folder,), weights_dir=tmp_path / "no such folder", folds=2)
    for name in ("run.json", "trials/01/fold-0.json", "stages/search.json"):
        artifacts.write_json(config.run_dir / name, {"of": "what is there"})
    with pytest.raises(PilahError, match="no such folder"):
        main.run(config, from_stage, rich.console.Console(file=io.StringIO()))
    left = [file.relative_to(config.run_dir) for file in config.run_dir.rglob("*.*")]
    assert sorted(map(str, left)) == ["run.json", "stages/search.json", "trials/01/fold-0.json"]


def test_run_on_another_backend_than_tensorflow_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(PilahError, match="Received: KERAS_BACKEND=jax"):
        main.run(demo(tmp_path / "run"), None, rich.console.Console(file=io.StringIO()))
    assert not (tmp_path / "run").exists()


def test_file_that_is_gone_is_not_blamed_on_space_or_permission(tmp_path):
    with pytest.raises(FileNotFoundError) as gone:
        (tmp_path / "photo.jpg").read_bytes()
    line = cli._one_line(gone.value)
    assert str(tmp_path / "photo.jpg") in line and "run again" in line and "permission" not in line
    assert "--from" not in line  # which would throw away features and folds
