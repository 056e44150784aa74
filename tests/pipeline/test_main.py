import dataclasses
import io

import h5py
import keras
import pytest
import rich.console

from components.base import artifacts
from components.base.errors import PilahError
from components.models import backbones, weights_file
from pipeline import main
from pipeline.config import Config, of_profile


@pytest.mark.parametrize("from_stage", [None, "search"])
def test_run_that_cannot_start_changes_nothing(from_stage, tmp_path, save_classes):
    folder = save_classes(tmp_path / "photos", {"glass": 2, "metal": 2})
    config = Config(tmp_path / "run", images=(folder,), weights_dir=tmp_path / "no such folder", folds=2)
    for name in ("run.json", "trials/01/fold-1.json", "stages/search.json"):
        artifacts.write_json(config.run_dir / name, {"of": "what is there"})
    with pytest.raises(PilahError, match="no such folder"):
        main.run(config, from_stage, False, rich.console.Console(file=io.StringIO()))
    left = [file.relative_to(config.run_dir) for file in config.run_dir.rglob("*.*")]
    assert sorted(map(str, left)) == ["run.json", "stages/search.json", "trials/01/fold-1.json"]


def test_backend_other_than_tensorflow_raises_before_writing(tmp_path, monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(PilahError, match=r"KERAS_BACKEND must be tensorflow.*got jax"):
        main.run(of_profile("demo", tmp_path / "run"), None, False, rich.console.Console(file=io.StringIO()))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damaged", ["ResNet50", "VGG19"])
def test_damaged_weights_are_named_before_any_work(damaged, tmp_path, save_classes, monkeypatch):
    folder = save_classes(tmp_path / "photos", {"glass": 2, "metal": 2})
    config = Config(tmp_path / "run", images=(folder,), weights_dir=tmp_path, folds=2, backbones=("ResNet50", "VGG19"))
    for name in config.backbones:
        backbone = backbones.BACKBONES[name]
        monkeypatch.setitem(backbones.BACKBONES, name, dataclasses.replace(backbone, layout=weights_file.layout_of([])))
        with h5py.File(tmp_path / backbone.weights_file, "w") as file:
            file.attrs["layer_names"] = []
    damaged_file = tmp_path / backbones.BACKBONES[damaged].weights_file
    damaged_file.write_bytes(damaged_file.read_bytes()[:100])
    with pytest.raises(PilahError, match=rf"{damaged_file.name} is damaged.* weights of {damaged} "):
        main.run(config, None, False, rich.console.Console(file=io.StringIO()))
    assert not config.run_dir.exists()
