"""A run whose model averages covariance heads on two frozen backbones, from photos to the served version."""

import dataclasses
import io

import numpy as np
import pytest
import rich.console
import tiny_backbone

from benchmarks import finetuned_draws
from components.base import artifacts
from components.base.errors import PilahError
from components.demo import synthetic_photos
from components.models import backbones
from components.publish import push
from pipeline import config as config_module
from pipeline import config_check, main, recipe, run_folder, trials
from tuner import predictions, workers

FOLDS = 2


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(configuration, what was printed) of a finished run; the second backbone has other random weights."""
    root = tmp_path_factory.mktemp("covariance")
    synthetic_photos.write(root / "photos", 8, seed=1, progress=lambda done, total: None)
    config = config_module.Config(
        root / "run",
        images=(root / "photos",),
        strategy="finetune",
        backbones=("Tiny",),
        optimizers=("Adam",),
        dropouts=(0.0,),
        unfreeze="top",
        ensemble=0,
        covariance_top=("Tiny", "Other"),
        covariance_top2=("Tiny",),
        folds=FOLDS,
        test_views=2,
        min_f1=0.0,
        image_size_px=32,
    )
    with tiny_backbone.known() as patch:
        seeds = {"Tiny": 1, "Other": 2}
        patch.setattr(recipe, "_find_weights", lambda name, *rest: backbones.Weights(None, seeds[name]))
        patch.setattr(workers, "count", lambda tasks: 1)  # another process would not know the backbones
        text = io.StringIO()
        main.run(config, None, True, rich.console.Console(file=text, width=200))
        yield config, text.getvalue()


def test_version_is_pushed_and_described_without_claims_of_fine_tuning(finished):
    config, _ = finished
    assert len(push.versions(config.run_dir / "served" / push.MODEL_NAME)) == 1
    assert not (config.run_dir / run_folder.FROZEN_ACTIVATIONS).exists()
    page = (config.run_dir / "report" / "index.html").read_text()
    assert "covariance heads of Tiny, Other" in page and "fine-tuned" not in page
    assert "Trained on clean photos only" in page and "global average pooling" not in page
    cards = [path.read_text() for path in config.run_dir.rglob("*.md")]
    assert any("Tiny, Other, frozen" in text and "Trained on clean photos only" in text for text in cards)


def test_each_photo_is_tested_once_by_the_mean_of_all_heads(finished):
    config, _ = finished
    answers = predictions.read(config.run_dir / "trials" / "01" / "predictions.csv")
    study, (scenario,) = recipe.study(config), trials.searched_scenarios(config)
    for fold in range(FOLDS):
        scores = finetuned_draws.fold_scores(study, scenario, config.run_dir / "draws", config.seed, config.seed, fold)
        assert scores.shape[0] == 3 and np.abs(scores[0] - scores[2]).max() > 0.02
        np.testing.assert_allclose(scores.mean(axis=0), answers.probabilities[answers.fold == fold], atol=1e-5)


def test_finished_draw_is_read_and_not_trained_again(finished, monkeypatch):
    config, _ = finished
    study, (scenario,) = recipe.study(config), trials.searched_scenarios(config)
    split = study, scenario, config.run_dir / "draws", config.seed + 1, config.seed, 0
    first = finetuned_draws.fold_scores(*split)
    monkeypatch.setattr(finetuned_draws.finetuning, "fit", pytest.fail)
    np.testing.assert_array_equal(finetuned_draws.fold_scores(*split), first)


def test_status_of_the_folds_counts_one_step_for_each_head(finished):
    config, _ = finished
    assert recipe.study(config).epochs_of_finetuning == 3
    assert artifacts.read_json(config.run_dir / "trials" / "01" / "settings.json")["covariance_weights"] == {
        "Tiny": "random weights, seed 1",
        "Other": "random weights, seed 2",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"covariance_top": ("Other",), "covariance_top2": ()},
            r"^--ensemble 0 fine-tunes no model of Tiny\. Add Tiny to",
        ),
        ({"unfreeze": "all"}, "^--covariance-top and --covariance-top2 need frozen layers, but --unfreeze all leaves"),
        ({"optimizers": ("Adam", "Nadam")}, "^--ensemble 0 makes all scenarios the same model"),
        ({"epochs": 11, "schedule": "cosine"}, "^--epochs, --schedule: covariance heads have no epochs"),
        ({"strategy": "features"}, "options of fine-tuning have no effect"),
    ],
    ids=str,
)
def test_settings_that_leave_no_model_are_refused(changes, message, finished):
    with pytest.raises(PilahError, match=message):
        config_check.check(dataclasses.replace(finished[0], **changes))
