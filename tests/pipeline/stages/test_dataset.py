"""The stage dataset: files that it rejects, and runs whose records an earlier version of Pilah made."""

import dataclasses
import io
import shutil

import colour_profiles
import pytest
import rich.console
from PIL import Image

from components.base import artifacts
from components.base.errors import PilahError
from components.data import images
from pipeline import runner
from pipeline.config import Config
from pipeline.stages import dataset, photos

CONSOLE = rich.console.Console(file=io.StringIO())


@pytest.fixture(scope="module")
def made(tmp_path_factory, save_classes):
    """Return a run with a Display P3 photo and a damaged one, and records from before Display P3 was converted."""
    root = tmp_path_factory.mktemp("made")
    folder = save_classes(root / "photos", {"glass": 4, "metal": 4})
    photo = Image.effect_noise((40, 40), 80).convert("RGB")
    photo.putpixel((0, 0), (60, 160, 60))
    photo.save(folder / "glass" / "phone.png", icc_profile=colour_profiles.display_p3())
    (folder / "glass" / "damaged.png").write_bytes(photo.tobytes())
    config = Config(root / "run", images=(folder,), folds=2, image_size_px=32, max_rejects=1.0)
    with pytest.MonkeyPatch.context() as earlier:
        earlier.setattr(images.colour, "is_srgb", lambda profile, mode: True)
        runner.run(photos.STAGE, config, CONSOLE)
        runner.run(dataset.STAGE, config, CONSOLE)
    path = runner.path(config.run_dir, "dataset")
    mark = artifacts.read_json(path)
    del mark["inputs"]["normalizer"]
    artifacts.write_json(path, mark)
    return config


@pytest.fixture
def config(made, tmp_path):
    """That run, whose folders are as they were again after the test: photos.csv has the paths of the photos."""
    root = made.run_dir.parent
    shutil.copytree(root, tmp_path / "copy")
    yield made
    shutil.rmtree(root)
    shutil.copytree(tmp_path / "copy", root)


def test_photo_with_other_pixels_than_its_record_is_named(config):
    with pytest.raises(PilahError, match=r"1 photos, such as .*phone\.png, look different.*--from dataset"):
        dataset.check(config)
    assert "normalizer" not in runner.read(config.run_dir, "dataset")["inputs"]


def test_photo_that_can_be_used_now_is_named(config, monkeypatch):
    monkeypatch.setattr(images.colour, "is_srgb", lambda profile, mode: True)
    damaged = config.images[0] / "glass" / "damaged.png"
    plain_bytes, content = images.plain_bytes, damaged.read_bytes()
    sound = (config.images[0] / "glass" / "phone.png").read_bytes()
    monkeypatch.setattr(
        images, "plain_bytes", lambda file, *rest: plain_bytes(sound if file == content else file, *rest)
    )
    with pytest.raises(PilahError, match=r"1 photos, such as .*damaged\.png"):
        dataset.check(config)


@pytest.mark.parametrize("change", ["same pixels", "photo removed", "other size", "records of this version"])
def test_run_whose_photos_look_the_same_continues(change, config, monkeypatch):
    if change == "same pixels":
        monkeypatch.setattr(images.colour, "is_srgb", lambda profile, mode: True)
    elif change == "photo removed":
        (config.images[0] / "glass" / "phone.png").unlink()
    elif change == "other size":
        config = dataclasses.replace(config, image_size_px=64)
    else:
        runner.run(dataset.STAGE, config, CONSOLE)
        monkeypatch.setattr(dataset.stale_records, "find", lambda *arguments: pytest.fail("photos were read again"))
    dataset.check(config)


def test_files_that_cannot_be_read_count_as_rejects_of_the_stage(tmp_path, save_classes):
    folder = save_classes(tmp_path / "photos", {"glass": 2, "metal": 2})
    (folder / "glass" / "gone.jpg").symlink_to("nowhere")
    config = Config(tmp_path / "run", images=(folder,), folds=2, image_size_px=32, max_rejects=0.0)
    runner.run(photos.STAGE, config, CONSOLE)
    with pytest.raises(PilahError, match=r"1 of 5 are \(dead link 1\)"):
        runner.run(dataset.STAGE, config, CONSOLE)
