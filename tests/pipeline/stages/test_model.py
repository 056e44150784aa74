import dataclasses

import pytest

from components.models import assembly, tta
from pipeline import config, provenance, recipe
from pipeline.stages import model
from tuner import scenarios


@pytest.mark.parametrize("strategy", ["features", "finetune"])
def test_saved_model_averages_the_test_time_views_of_the_run(strategy, tmp_path, monkeypatch):
    saved, settings = [], dataclasses.replace(config.of_profile("demo", tmp_path), test_views=2)
    winner = scenarios.Scenario(1, "VGG19", "Adam", 0.0, strategy)
    monkeypatch.setattr(recipe, "winner", lambda config: winner)
    monkeypatch.setattr(recipe, "study", lambda config: None)
    monkeypatch.setattr(model, "_refit_head", lambda config, study, scenario, executor, progress: "features")
    monkeypatch.setattr(
        model, "_refit_backbone_and_head", lambda config, study, scenario, executor, progress: "finetune"
    )
    monkeypatch.setattr(tta, "averaged", lambda network, views: (network, views))
    monkeypatch.setattr(assembly, "save", lambda network, path: saved.append(network))
    monkeypatch.setattr(provenance, "note", lambda config: None)
    model.STAGE.run(settings, lambda done, total: None)
    assert saved == [(strategy, 2)]
