"""run.json as people edit it, and other files in the place of those of a run."""

import os
import re

import pytest

from components.base import artifacts
from components.base.errors import PilahError
from components.base.settings import Range
from pipeline import config as config_module
from pipeline.config import Config


def write(run_dir, **changes):
    artifacts.write_json(run_dir / "run.json", {**config_module.to_json(Config(run_dir)), **changes})


def test_written_settings_read_back(tmp_path):
    write(tmp_path, folds=7)
    assert config_module.read(tmp_path) == Config(tmp_path, folds=7)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"folds": "5"}, "folds must be a whole number (got '5')"),
        ({"folds": 1}, "folds must be from 2 to 1000 (got 1)"),
        ({"folds": 10**30}, "folds must be a whole number"),
        ({"dropouts": [0.2, 5]}, "dropouts must be from 0 to 0.99 (got 5)"),
        ({"dropouts": None}, "dropouts must be a list (got None)"),
        ({"dropouts": "0.2:5"}, "dropouts must be from 0 to 0.99 (got 5"),
        ({"learning_rate": "0.1:0.01"}, "the first number of a range must be lower than the second"),
        ({"learning_rate": "1e-5:1e-2:square"}, "a range is LOW:HIGH or LOW:HIGH:log"),
        ({"learning_rate": [0.1]}, "learning_rate must be a number"),
        ({"hidden_units": [64, 0]}, "hidden_units must be from 1 to 65536 (got 0)"),
        ({"oracle": "genetic"}, "oracle must be one of grid, random, bayesian, hyperband (got genetic)"),
        ({"images": "photos"}, "images must be a list"),
        ({"strategy": "other"}, "strategy must be one of features, finetune (got other)"),
        ({"seed": True}, "seed must be a whole number (got True)"),
        ({"clip_norm": []}, "clip_norm must be a number"),
        ({"image_size_px": 0.5}, "image_size_px must be a whole number"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_setting_of_another_type_or_out_of_bounds_is_named(tmp_path, changes, reason):
    write(tmp_path, **changes)
    with pytest.raises(PilahError, match=rf"run\.json is damaged or of a later version.*{re.escape(reason)}"):
        config_module.read(tmp_path)


def test_ranges_read_back(tmp_path):
    ranges = {"dropouts": Range(0.0, 0.6), "learning_rate": Range(1e-5, 0.01, log=True), "hidden_units": (64, 1024)}
    artifacts.write_json(
        tmp_path / "run.json", config_module.to_json(Config(tmp_path, oracle="random", trials=7, **ranges))
    )
    assert config_module.read(tmp_path) == Config(tmp_path, oracle="random", trials=7, **ranges)


def test_whole_numbers_are_read_as_numbers(tmp_path):
    write(tmp_path, learning_rate=1, dropouts=[0, 0.5])
    config = config_module.read(tmp_path)
    assert repr(config.learning_rate) == "1.0" and repr(config.dropouts) == "(0.0, 0.5)"


@pytest.mark.parametrize("content", ["", "[]", "[" * 100_000, '{"folds": NaN}', "null", '"text"'])
def test_file_that_is_no_configuration_is_named(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(PilahError, match=r"run\.json is damaged or of a later version"):
        config_module.read(tmp_path)


@pytest.mark.parametrize("name", ["run.json", "leaderboard.json", "trials/01/predictions.csv", "log.txt"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_pipe_or_device_in_the_run_folder_is_named_and_not_read(tmp_path, name, kind):
    write(tmp_path)
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(PilahError, match=rf"{re.escape(name)} is neither a file nor a folder\. Remove it"):
        config_module.read(tmp_path)
