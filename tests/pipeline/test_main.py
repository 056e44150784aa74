import dataclasses
import io

import h5py
import keras
import pytest
import rich.console

from components.base import artifacts
from components.base.errors import PilahError
from components.models import backbones, weights_file, weights_search
from pipeline import config as config_module
from pipeline import main, recipe, resume
from pipeline.config import Config, of_profile


@pytest.mark.parametrize("from_stage", [None, "search"])
def test_run_that_cannot_start_changes_nothing(from_stage, tmp_path, save_classes):
    folder = save_classes(tmp_path / "photos", {"glass": 2, "metal": 2})
    config = Config(tmp_path / "run", images=(folder,), weights_dir=tmp_path / "no such folder", folds=2)
    for name in ("run.json", "trials/01/fold-1.json", "stages/search.json"):
        artifacts.write_json(config.run_dir / name, {"of": "an earlier start"})
    with pytest.raises(PilahError, match="no such folder"):
        main.run(config, from_stage, False, rich.console.Console(file=io.StringIO()))
    left = [file.relative_to(config.run_dir) for file in config.run_dir.rglob("*.*")]
    assert sorted(map(str, left)) == ["run.json", "run.lock", "stages/search.json", "trials/01/fold-1.json"]


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
    assert [path.name for path in config.run_dir.iterdir()] == ["run.lock"]


def test_run_keeps_the_backbones_of_its_first_start(tmp_path, monkeypatch):
    def find(name, weights_dir, seed):
        if name not in available:
            raise weights_search.NotFoundError(name, "the network is down")
        return backbones.Weights(None, seed)

    def stop(*arguments):
        raise InterruptedError("killed in the first stage")

    monkeypatch.setattr(recipe, "_find_weights", find)
    monkeypatch.setattr(main.runner, "run", stop)
    for names in (["VGG19"], ["ResNet50", "VGG19", "DenseNet121"]):
        available = names
        config = resume.configure(tmp_path / "run", None, {"engine": "tensorflow"})
        with pytest.raises(InterruptedError):
            main.run(config, None, False, rich.console.Console(file=io.StringIO()))
        assert config_module.read(tmp_path / "run").backbones == ("VGG19",)
    available = ["ResNet50"]
    with pytest.raises(PilahError, match=r"weights of VGG19 were not found"):
        main.run(config, None, False, rich.console.Console(file=io.StringIO()))


def test_refine_that_the_remaining_backbones_do_not_allow_is_refused(tmp_path, monkeypatch):
    def find(name, weights_dir, seed):
        if name != "VGG19":
            raise weights_search.NotFoundError(name, "the network is down")
        return backbones.Weights(None, seed)

    monkeypatch.setattr(recipe, "_find_weights", find)
    config = dataclasses.replace(of_profile("demo", tmp_path / "run"), refine=10, engine="tensorflow")
    with pytest.raises(PilahError, match=r"--refine must be at most 9"):
        main.run(config, None, False, rich.console.Console(file=io.StringIO()))
    assert [path.name for path in config.run_dir.iterdir()] == ["run.lock"]


@pytest.mark.parametrize(("failing", "shown"), [("photos", False), ("choice", False), ("validate", True)])
def test_leaderboard_is_shown_if_the_model_cannot_be_pushed(tmp_path, monkeypatch, failing, shown):
    def run(stage, config, console):
        if stage.name == failing:
            raise PilahError("too low")

    monkeypatch.setattr(recipe, "_find_weights", lambda name, weights_dir, seed: backbones.Weights(None, seed))
    monkeypatch.setattr(main.runner, "run", run)
    monkeypatch.setattr(main.leaderboard_table, "show", lambda run_dir, console: console.print("table"))
    text = io.StringIO()
    console = rich.console.Console(file=text, width=300)
    with pytest.raises(PilahError, match="too low"):
        main.run(dataclasses.replace(of_profile("demo", tmp_path), engine="tensorflow"), None, False, console)
    assert ("table" in text.getvalue(), "report --run-dir" in text.getvalue()) == (shown, shown)
