import dataclasses
import logging

import pytest

from components.base.errors import PilahError
from components.models import backbones, weights_search
from pipeline import config as config_module
from pipeline import recipe


@pytest.fixture
def available(monkeypatch):
    """Return the names of the backbones that have weights; a test may change the set."""
    available = {"ResNet50", "VGG19"}

    def find(name, weights_dir, seed):
        if name not in available:
            raise weights_search.NotFoundError(name, "the network is down")
        return backbones.Weights(None, seed)

    monkeypatch.setattr(recipe, "_find_weights", find)
    return available


def config_of(profile, folder, **changes):
    return dataclasses.replace(config_module.of_profile(profile, folder), **changes)


def test_new_demo_leaves_out_backbones_without_weights_with_a_warning(available, tmp_path, caplog):
    available.remove("ResNet50")
    config = config_of("demo", tmp_path)
    with caplog.at_level(logging.INFO, "pilah"):
        with_weights = recipe.with_weights(config, is_new=True)
    assert with_weights == dataclasses.replace(config, backbones=("VGG19",))
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [text.split()[0] for text in warnings] == ["ResNet50", "DenseNet121"]
    assert all(len(text) <= 120 and "--weights-dir" in text for text in warnings)
    for text in ("the network is down", "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"):
        assert text in caplog.text


@pytest.mark.parametrize(("profile", "is_new"), [("demo", False), ("thesis", True), ("finetuned", True)])
def test_all_other_runs_need_the_weights_of_every_backbone(profile, is_new, available, tmp_path):
    with pytest.raises(PilahError, match=r"weights of DenseNet121 were not found \(the network is down\).*--weights"):
        recipe.with_weights(config_of(profile, tmp_path), is_new)


def test_demo_without_any_weights_stops_and_names_the_options(available, tmp_path):
    available.clear()
    with pytest.raises(
        PilahError, match=r"No backbone .*the network is down.* --weights-dir.* --random-weights"
    ) as raised:
        recipe.with_weights(config_of("demo", tmp_path), is_new=True)
    assert str(raised.value).count("the network is down") == 1


@pytest.mark.parametrize("profile", config_module.PROFILES)
def test_random_weights_are_looked_up_nowhere_and_announced(profile, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(recipe, "_find_weights", lambda *arguments: pytest.fail("it looked for weights"))
    config = config_of(profile, tmp_path, random_weights=True, seed=7)
    with caplog.at_level(logging.WARNING, "pilah"):
        assert recipe.with_weights(config, is_new=True) == config
    assert "RANDOM weights" in caplog.text
    assert {recipe.weights(config, name).fingerprint for name in config.backbones} == {"random weights, seed 7"}
