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


def test_run_that_cannot_begin_leaves_the_settings_of_what_is_there(folder, tmp_path):
    config = Config(tmp_path / "run", images=(folder,), weights_dir=tmp_path / "no such folder", folds=2)
    artifacts.write_json(config.run_dir / "run.json", {"settings": "of the results that are there"})
    with pytest.raises(PilahError, match="no such folder"):
        main.run(config, None, rich.console.Console(file=io.StringIO()))
    assert artifacts.read_json(config.run_dir / "run.json") == {"settings": "of the results that are there"}


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
