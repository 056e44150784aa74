"""A run whose best scenario is fine-tuned once the search is done, with a backbone of two convolutions."""

import dataclasses
import io
import pathlib

import opened_files
import pytest
import rich.console
import tiny_backbone

from components.base import artifacts
from components.base.errors import PilahError
from components.demo import synthetic_photos
from components.models import backbones, extraction, features, frozen_activations
from components.publish import push
from pipeline import config as config_module
from pipeline import config_check, main, provenance, recipe, resolved_settings, run_folder, runner
from pipeline.report import plots
from pipeline.stages import report as report_stage
from tuner import predictions, workers

FOLDS = 2


@pytest.fixture(scope="module")
def refined(tmp_path_factory, undeclared):
    """(configuration, what was printed) of a finished run."""
    root = tmp_path_factory.mktemp("refined")
    synthetic_photos.write(root / "photos", 8, seed=1, progress=lambda done, total: None)
    config = config_module.Config(
        root / "run",
        images=(root / "photos",),
        backbones=("Tiny",),
        optimizers=("Adam",),
        dropouts=(0.0, 0.2),
        refine=1,
        unfreeze="top",
        folds=FOLDS,
        epochs=2,
        batch_size=8,  # enough steps to learn on every CPU
        views=1,
        test_views=2,
        learning_rate=1e-2,
        finetuning_rate=2e-2,
        min_f1=0.0,
        image_size_px=32,
    )
    with tiny_backbone.known() as patch:
        patch.setattr(recipe, "_find_weights", lambda *settings: backbones.Weights(None, 1))
        patch.setattr(workers, "count", lambda tasks: 1)  # another process would not know the backbone
        patch.setattr(main, "PIPELINE", [recording(stage, undeclared) for stage in main.PIPELINE])
        yield config, run(config)


@pytest.fixture(scope="module")
def undeclared():
    """Stage -> files of the run folder that it opened without declaring them."""
    return {}


def recording(stage, undeclared):
    def run(config, progress):
        with opened_files.in_folder(config.run_dir) as opened:
            stage.run(config, progress)
        patterns = [*stage.reads.values(), *stage.covered, *stage.outputs(config)]
        declared = {path.relative_to(config.run_dir) for pattern in patterns for path in config.run_dir.glob(pattern)}
        folders = {pathlib.Path(folder) for folder in (*stage.resumed(config), run_folder.TEMPORARY)}
        undeclared.setdefault(stage.name, set()).update(
            path for path in opened - declared if (config.run_dir / path).is_file() and not folders & {*path.parents}
        )

    return dataclasses.replace(stage, run=run)


def run(config, from_stage=None, overwrite=True, until="report"):
    """Run the stages up to `until` that are not finished; return what was printed."""
    text, stages = io.StringIO(), main.PIPELINE[: config_module.STAGES.index(until) + 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main, "PIPELINE", stages)
        main.run(config, from_stage, overwrite, rich.console.Console(file=text, width=200))
    return text.getvalue()


def board_of(config):
    return artifacts.read_json(config.run_dir / "leaderboard.json")


def test_refined_scenario_joins_the_leaderboard_and_the_choice(refined):
    config, printed = refined
    first, second, third = board_of(config)["scenarios"]
    best = max(first, second, key=lambda row: row["f1"])
    assert [row["strategy"] for row in (first, second, third)] == ["features", "features", "finetune"]
    assert (third["scenario"], third["dropout"]) == (3, best["dropout"])
    assert board_of(config)["winner"]["f1"] == max(row["f1"] for row in (first, second, third))
    assert "highest macro F1 of 3" in printed and "finetune" in printed
    assert recipe.frozen_winner(config).strategy == "features"
    settings = [artifacts.read_json(config.run_dir / "trials" / number / "settings.json") for number in ("01", "03")]
    assert [trial["learning_rate"] for trial in settings] == [1e-2, 2e-2]
    assert settings[0]["features"]["precision"] == settings[1]["precision"] == features.pick_precision("auto")


def test_refined_predictions_are_out_of_fold(refined):
    config, _ = refined
    answers = predictions.read(config.run_dir / "trials" / "03" / "predictions.csv")
    listed = run_folder.usable_photos(config.run_dir)
    assert (answers.ids, answers.fold.tolist()) == ([photo.id for photo in listed], [photo.fold for photo in listed])
    assert sum(map(sum, board_of(config)["scenarios"][2]["confusion_matrix"])) == len(listed)


def test_report_and_served_model_use_the_refined_scenario_and_frozen_activations_are_removed(refined):
    config, _ = refined
    assert len(push.versions(config.run_dir / "served" / push.MODEL_NAME)) == 1
    assert not (config.run_dir / run_folder.FROZEN_ACTIVATIONS).exists()
    scenarios = artifacts.read_json(config.run_dir / "report" / "figures.json")["scenarios"]
    assert {row["scenario"] for row in scenarios} == {1, 2, 3}
    assert "Tiny fine-tuned" in (config.run_dir / "report" / "index.html").read_text()


def test_frozen_activations_are_removed_when_the_model_is_refused(refined, monkeypatch):
    config, _ = refined
    runner.path(config.run_dir, "validate").unlink()
    artifacts.write_json(config.run_dir / run_folder.FROZEN_ACTIVATIONS / "Tiny" / "settings.json", {})
    with pytest.raises(PilahError, match=r"at least 1\.1"):
        run(dataclasses.replace(config, min_f1=1.1))
    assert not (config.run_dir / run_folder.FROZEN_ACTIVATIONS).exists()
    run(config)


def test_second_run_skips_all_and_from_refine_trains_only_the_refined_scenario(refined):
    config, _ = refined
    before = {path: path.stat().st_mtime_ns for path in config.run_dir.rglob("*") if path.is_file()}
    with pytest.raises(
        PilahError, match=r"^--epochs 3 instead of 2: .*scenario 1 \(2\), 2 \(2\), 3 \(2\).*--overwrite"
    ):
        run(dataclasses.replace(config, epochs=3), overwrite=False)
    after = {path: path.stat().st_mtime_ns for path in config.run_dir.rglob("*") if path.is_file()}
    del before[config.run_dir / run_folder.LOCK], after[config.run_dir / run_folder.LOCK]
    assert after == before
    assert "refine: unchanged, skipped" in run(config, overwrite=False)


@pytest.mark.parametrize("name", config_module.STAGES)
def test_stage_declares_every_file_that_it_opens(name, refined, undeclared):
    assert undeclared[name] == set()


def test_second_run_does_nothing_and_from_refine_trains_only_the_refined_scenario(refined):
    config, _ = refined
    assert "refine: unchanged, skipped" in run(config)
    before = {number: times(config, number) for number in (1, 2, 3)}
    run(config, "refine", until="refine")
    assert [times(config, number) == before[number] for number in (1, 2, 3)] == [True, True, False]


def test_finished_folds_need_no_frozen_activations(refined, monkeypatch):
    config, _ = refined
    runner.path(config.run_dir, "refine").unlink()
    monkeypatch.setattr(frozen_activations, "load", pytest.fail)
    assert "refine: done" in run(config)


def test_plots_compare_only_the_scenarios_of_the_search(refined, monkeypatch):
    config, _ = refined
    shown = []
    monkeypatch.setattr(plots, "groups", lambda values, rows, *words: shown.extend(row["scenario"] for row in rows))
    report_stage.make(config.run_dir)
    assert set(shown) == {1, 2}


@pytest.mark.parametrize("changed", ["flips", "precision", "weights"])
def test_run_killed_in_features_after_a_change_reports_no_old_trials(refined, monkeypatch, changed):
    config, _ = refined
    before = [times(config, number) for number in (1, 2, 3)]
    (other_precision,) = {"float32", "bfloat16"} - {features.pick_precision("auto")}
    changes = {"flips": {"flips": "both"}, "precision": {"precision": other_precision}}.get(changed, {})
    with monkeypatch.context() as patch:
        patch.setattr(extraction, "extract", killed)
        if changed == "weights":
            patch.setattr(recipe, "_find_weights", lambda *settings: backbones.Weights(None, 2))
        with pytest.raises(KeyboardInterrupt):
            run(dataclasses.replace(config, **changes))
    report_stage.make(config.run_dir)
    report_figures = artifacts.read_json(config.run_dir / "report" / "figures.json")
    assert report_figures["scenarios"] == [] and report_figures["winner"] is None
    assert "was chosen" not in (config.run_dir / "report" / "index.html").read_text()
    run(config)
    assert [times(config, number) for number in (1, 2, 3)] == before
    report_figures = artifacts.read_json(config.run_dir / "report" / "figures.json")
    assert len(report_figures["scenarios"]) == 3 and report_figures["winner"]


def killed(*args, **settings):
    raise KeyboardInterrupt


def test_resolved_settings_are_written_next_to_the_configuration(refined):
    config, _ = refined
    assert config_module.to_json(config) == artifacts.read_json(config.run_dir / "run.json")
    assert resolved_settings.read(config.run_dir) == recipe.resolve(config)
    assert recipe.resolve(config).weights == {"Tiny": "random weights, seed 1"}


def test_refined_scenario_is_trained_when_its_folder_has_another_one(refined):
    """The refined scenario has number 2, which the wider search before used for one with a frozen backbone."""
    config, _ = refined
    narrower = dataclasses.replace(config, dropouts=(board_of(config)["scenarios"][2]["dropout"],))
    run(narrower, until="choice")
    rows = board_of(narrower)["scenarios"]
    settings = [artifacts.read_json(config.run_dir / "trials" / f"{n:02d}" / "settings.json") for n in (1, 2)]
    assert [row["strategy"] for row in rows] == ["features", "finetune"]
    assert [trial.get("strategy", "features") for trial in settings] == ["features", "finetune"]
    wider = board_of(config) if "refine: done" in run(config, until="choice") else None
    assert wider and [row["strategy"] for row in wider["scenarios"]] == ["features", "features", "finetune"]


def test_model_pushed_later_names_the_code_that_trained_it(refined, monkeypatch):
    config, _ = refined
    made_by = provenance.code_fingerprint()
    monkeypatch.setattr(provenance, "code_fingerprint", lambda: "of a later day")
    run(config, "push")
    assert push.served(config.run_dir / "served" / push.MODEL_NAME)["code"] == made_by


def times(config, number):
    return {path.name: path.stat().st_mtime_ns for path in (config.run_dir / "trials" / f"{number:02d}").glob("fold*")}


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"refine": 28}, r"27, the number of scenarios \(got 28\)\."),
        ({"refine": 1, "strategy": "finetune"}, "one of them"),
        (
            {"unfreeze": "top", "label_smoothing": 0.1},
            r"--unfreeze top, --label-smoothing 0\.1: options .* Add --refine 1",
        ),
    ],
    ids=["more than there are", "nothing frozen", "nothing to fine-tune"],
)
def test_invalid_refine_options_raise(tmp_path, changed, match):
    with pytest.raises(PilahError, match=match):
        config_check.check(config_module.Config(tmp_path, **changed))


def test_fine_tuning_options_of_a_resumed_run_are_no_error_without_refine(tmp_path):
    resumed = dataclasses.replace(config_module.of_profile("finetuned", tmp_path), refine=0)
    config_check.check(resumed, {"refine": 0})
    with pytest.raises(PilahError, match=r"^--unfreeze top: options of fine-tuning have no effect"):
        config_check.check(resumed, {"refine": 0, "unfreeze": "top"})
