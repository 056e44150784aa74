"""Runs whose scenarios a KerasTuner oracle chooses, with a backbone of two convolutions."""

import dataclasses
import io
import shutil

import pytest
import rich.console
import tiny_backbone
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from components.base import artifacts, settings
from components.base.errors import NotFiniteError, PilahError
from components.demo import synthetic_photos
from components.models import backbones, head
from pipeline import config as config_module
from pipeline import config_check, main, recipe, resolved_settings, resume, run_folder, trials
from pipeline.commands import status
from pipeline.report import figures, logs
from tuner import scenarios, search_space, workers


@pytest.fixture(scope="module", autouse=True)
def tiny():
    with tiny_backbone.known() as patch:
        patch.setattr(recipe, "_find_weights", lambda *settings: backbones.Weights(None, 1))
        patch.setattr(workers, "count", lambda tasks: 1)  # another process would not know the backbone
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(configuration, what was printed) of a finished run of four trials, whose best one is fine-tuned."""
    root = tmp_path_factory.mktemp("searched")
    synthetic_photos.write(root / "photos", 8, seed=1, progress=lambda done, total: None)
    config = config_module.Config(
        root / "run",
        images=(root / "photos",),
        backbones=("Tiny",),
        optimizers=("Adam", "AdamW"),
        dropouts=settings.Range(0.0, 0.6),
        hidden_units=(8, 32),
        learning_rate=settings.Range(1e-3, 1e-1, log=True),
        oracle="random",
        trials=4,
        refine=1,
        unfreeze="top",
        finetuning_rate=2e-2,
        folds=2,
        epochs=2,
        batch_size=8,
        views=1,
        min_f1=0.0,
        image_size_px=32,
    )
    return config, run(config)


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished run that a test may change."""
    config = dataclasses.replace(finished[0], run_dir=tmp_path / "run")
    shutil.copytree(finished[0].run_dir, config.run_dir)
    return config


def run(config, overwrite=False, until="report"):
    text, stages = io.StringIO(), main.PIPELINE[: config_module.STAGES.index(until) + 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main, "PIPELINE", stages)
        if until != "report":
            patch.setattr(main.leaderboard_table, "show", lambda *arguments: None)
        main.run(config, None, overwrite, rich.console.Console(file=text, width=250))
    return text.getvalue()


def searched_rows(config):
    rows = artifacts.read_json(config.run_dir / "leaderboard.json")["scenarios"]
    return [row for row in rows if row["scenario"] <= config.trials]


def only_hyperparameters(row):
    return {name: row[name] for name in scenarios.HYPERPARAMETERS if name in row}


def test_leaderboard_and_table_have_the_hyperparameters_of_each_trial(finished):
    config, printed = finished
    rows = searched_rows(config)
    assert [row["scenario"] for row in rows] == [1, 2, 3, 4]
    for row in rows:
        assert 0 <= row["dropout"] <= 0.6 and 1e-3 <= row["learning_rate"] <= 1e-1
        assert row["hidden_units"] in (8, 32) and row["epochs"] == 2
        assert f"{row['learning_rate']:g}" in printed
    assert "learning rate" in printed and "units" in printed


def test_best_trial_is_refined_with_its_units_and_the_rate_of_finetuning(finished):
    config, _ = finished
    *rows, refined = artifacts.read_json(config.run_dir / "leaderboard.json")["scenarios"]
    best = max(rows, key=lambda row: row["f1"])
    assert (refined["scenario"], refined["strategy"]) == (5, "finetune")
    assert [refined[name] for name in ("dropout", "hidden_units")] == [
        best[name] for name in ("dropout", "hidden_units")
    ]
    assert artifacts.read_json(config.run_dir / "trials" / "05" / "settings.json")["learning_rate"] == 2e-2
    assert recipe.frozen_winner(config).strategy == "features"


def test_trials_that_differ_only_in_their_rate_are_refined_once(copied):
    path = copied.run_dir / "trials" / "search.json"
    saved = artifacts.read_json(path)
    for trial in saved["trials"]:
        trial["scenario"] |= {"optimizer": "Adam", "dropout": 0.3, "hidden_units": 8}
    artifacts.write_json(path, saved)
    with pytest.raises(PilahError, match=r"--refine must be at most 1, the number of scenarios in the search that "):
        recipe.refined(dataclasses.replace(copied, refine=2))
    [refined] = recipe.refined(copied)
    leaderboard = artifacts.read_json(copied.run_dir / "leaderboard.json")
    leaderboard["winner"] = {**leaderboard["scenarios"][-1], **scenarios.hyperparameter_values(refined)}
    for row, other in zip(leaderboard["scenarios"][:4], (3, 2, 1, 0), strict=True):
        row["confusion_matrix"] = [[9 - other, other], [0, 9]]  # the last one is the best
    leaderboard["winner"] |= {"parameters": 1, "reason": ""}
    artifacts.write_json(copied.run_dir / "leaderboard.json", leaderboard)
    assert recipe.winner(copied) == refined
    assert recipe.frozen_winner(copied).number == 4


def test_report_of_an_unfinished_run_has_the_hyperparameters_of_the_leaderboard(copied):
    leaderboard = artifacts.read_json(copied.run_dir / "leaderboard.json")
    (copied.run_dir / "leaderboard.json").unlink()
    rows = {row["scenario"]: row for row in figures.compute(copied)["scenarios"]}
    for row in leaderboard["scenarios"]:
        assert only_hyperparameters(rows[row["scenario"]]) == only_hyperparameters(row)


def test_model_card_has_the_hidden_units_of_the_winner(finished):
    config, _ = finished
    units = artifacts.read_json(config.run_dir / "leaderboard.json")["winner"]["hidden_units"]
    card = next(config.run_dir.glob("served/pilah/*/MODEL_CARD.md")).read_text("utf-8")
    assert f"The hidden layer of its head has {units} units." in card


def test_tensorboard_lists_the_hyperparameters_of_all_scenarios(copied):
    saved = artifacts.read_json(copied.run_dir / "report" / "figures.json")
    saved["scenarios"].sort(key=lambda row: row["strategy"] != "finetune")  # the refined one states no rate
    artifacts.write_json(copied.run_dir / "report" / "figures.json", saved)
    logs.write(copied.run_dir)
    events = event_accumulator.EventAccumulator(str(next((copied.run_dir / "trials").glob("events.*")))).Reload()
    metadata = events.summary_metadata["_hparams_/experiment"].plugin_data.content
    experiment = plugin_data_pb2.HParamsPluginData.FromString(metadata).experiment
    assert {"dropout", "learning_rate", "epochs"} <= {info.name for info in experiment.hparam_infos}


def test_finished_search_is_skipped(copied):
    printed = run(copied)
    assert "search: unchanged, skipped" in printed and "choice: unchanged, skipped" in printed


def test_more_trials_keep_the_finished_ones(copied, monkeypatch):
    before = {path: path.read_bytes() for path in copied.run_dir.glob("trials/0[1-4]/fold-*.csv")}
    longer = dataclasses.replace(copied, trials=6, refine=0)
    fits, fit = [], head.fit
    monkeypatch.setattr(head, "fit", lambda *args, **kwargs: fits.append(1) or fit(*args, **kwargs))
    run(longer, overwrite=True, until="choice")
    assert len(fits) == 2 * 2
    assert [row["scenario"] for row in searched_rows(longer)] == [1, 2, 3, 4, 5, 6]
    assert {path: path.read_bytes() for path in before} == before


def test_another_space_does_not_discard_trials_without_overwrite(copied):
    other = dataclasses.replace(copied, hidden_units=(16, 64))
    with pytest.raises(PilahError, match=r"--hidden-units 16,64 instead of 8,32: this would discard finished folds of"):
        run(other)
    run(dataclasses.replace(other, refine=0), overwrite=True, until="choice")
    assert {row["hidden_units"] for row in searched_rows(other)} <= {16, 64}


def test_diverged_trials_are_left_out_and_named(copied, monkeypatch, caplog):
    fit = head.fit

    def fit_unless_high(model, *args, **kwargs):
        if float(model.optimizer.learning_rate) > 2e-2:
            raise NotFiniteError("Losses must be finite.")
        return fit(model, *args, **kwargs)

    high = [row["scenario"] for row in searched_rows(copied) if row["learning_rate"] > 2e-2]
    assert 0 < len(high) < 4
    shutil.rmtree(copied.run_dir / "trials")
    monkeypatch.setattr(head, "fit", fit_unless_high)
    run(dataclasses.replace(copied, refine=0), until="choice")
    assert [row["scenario"] for row in searched_rows(copied)] == [n for n in range(1, 5) if n not in high]
    assert f"{len(high)} of 4 trials diverged and are left out ({', '.join(map(str, high))})" in caplog.text


def test_run_with_a_diverged_trial_resumes(copied):
    config = dataclasses.replace(copied, refine=0)
    number = searched_rows(copied)[1]["scenario"]
    space, trials_dir = config.search_space, config.run_dir / "trials"
    scenario = next(row for row in trials.searched_scenarios(config) if row.number == number)
    search_space.note(trials_dir, space, scenario, failure="Losses must be finite.")
    (trials_dir / "02" / "fold-2.csv").unlink()  # the first fold did not diverge
    (trials_dir / "02" / "predictions.csv").unlink()
    usable, resolved = run_folder.usable_photos(config.run_dir), resolved_settings.read(config.run_dir)
    resume.check_nothing_lost(config, resolved, usable)
    assert [row.number for row in trials.searched_scenarios(config)] == [1, 3, 4]


def test_search_without_a_finite_trial_stops_the_run(copied, monkeypatch):
    shutil.rmtree(copied.run_dir / "trials")

    def diverge(*args, **kwargs):
        raise NotFiniteError("Losses must be finite.")

    monkeypatch.setattr(head, "fit", diverge)
    with pytest.raises(PilahError, match=r"All 4 trials diverged\. Choose a lower --learning-rate"):
        run(dataclasses.replace(copied, refine=0), until="choice")


def test_status_counts_the_folds_of_all_trials(copied):
    shutil.rmtree(copied.run_dir / "trials" / "03")
    (copied.run_dir / "stages" / "search.json").unlink()
    text = io.StringIO()
    status.show(copied.run_dir, rich.console.Console(file=text, width=200))
    assert "6 of 8" in text.getvalue()


def test_unfinished_trials_are_those_of_the_current_space(copied):
    usable = run_folder.usable_photos(copied.run_dir)
    resolved = resolved_settings.read(copied.run_dir)
    assert list(trials.read_settings(copied, usable, resolved)) == [1, 2, 3, 4, 5]
    other = dataclasses.replace(copied, dropouts=settings.Range(0.0, 0.5))
    assert list(trials.read_settings(other, usable, resolved)) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"oracle": "grid"}, r"--dropouts must not be a range with --oracle grid.*\(got 0\.0:0\.6\)"),
        ({"strategy": "finetune", "refine": 0}, r"--oracle random needs --strategy features"),
        ({"oracle": "hyperband", "epochs": 2}, r"--oracle hyperband needs --epochs of at least 3.*\(got 2\)"),
        ({"finetuning_rate": None}, r"--refine 1 needs --finetuning-rate"),
        (
            {"learning_rate": 1e-3, "dropouts": (0.2,), "hidden_units": (8,), "optimizers": ("Adam",)},
            r"--oracle random needs something to search",
        ),
        (
            {"oracle": "grid", "dropouts": (0.2,), "learning_rate": 1e-3},
            r"--trials 4 has no effect with --oracle grid",
        ),
    ],
    ids=["range", "finetune", "epochs", "rate", "nothing", "trials"],
)
def test_settings_that_contradict_the_oracle_are_refused(finished, changes, message):
    with pytest.raises(PilahError, match=message):
        config_check.check(dataclasses.replace(finished[0], **changes))
