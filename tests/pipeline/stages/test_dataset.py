"""A run whose records an earlier version made: its photos are looked at again before anything else is done."""

import dataclasses
import io

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


@pytest.fixture
def config(tmp_path, save_classes, monkeypatch):
    """A run whose records were made before photos in Display P3 were converted; it has one, and a damaged photo."""
    folder = save_classes(tmp_path / "photos", {"glass": 4, "metal": 4})
    photo = Image.effect_noise((40, 40), 80).convert("RGB")
    photo.putpixel((0, 0), (60, 160, 60))
    photo.save(folder / "glass" / "phone.png", icc_profile=colour_profiles.display_p3())
    (folder / "glass" / "damaged.png").write_bytes(photo.tobytes())
    config = Config(tmp_path / "run", images=(folder,), folds=2, image_size_px=32, max_rejects=1.0)
    with monkeypatch.context() as earlier:
        earlier.setattr(images.colour, "is_srgb", lambda profile, mode: True)
        runner.run(photos.STAGE, config, CONSOLE)
        runner.run(dataset.STAGE, config, CONSOLE)
    path = runner.path(config.run_dir, "dataset")
    mark = artifacts.read_json(path)
    del mark["inputs"]["normalizer"]
    artifacts.write_json(path, mark)
    return config


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
def test_run_whose_photos_look_the_same_goes_on(change, config, monkeypatch):
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
