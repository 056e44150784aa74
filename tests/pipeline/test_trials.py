"""Which trials of a run folder are this run's: those whose settings equal what the run would train them with now."""

import dataclasses
import io
from typing import Any

import finished_run
import prepared_run
import pytest
import rich.console

from components.base import artifacts
from components.base.errors import PilahError
from components.data import photos
from pipeline import config as config_module
from pipeline import recipe, resolved_settings, run_folder, trials
from pipeline.commands import leakage_check, status
from pipeline.report import figures
from pipeline.stages import report

pytest_plugins = ["report_fixtures"]
ALL = {1, 2, 3, 4, 5, 6}
FROZEN, REFINED = {1, 2, 3, 4}, {5, 6}
ADAM, RESNET, VGG = {1, 3, 6}, {1, 2, 5}, {3, 4, 6}
OF_FINETUNING = [
    {"unfreeze": "top2"},
    {"batchnorm": "trained"},
    {"warmup_epochs": 1},
    {"schedule": "cosine"},
    {"label_smoothing": 0.1},
    {"balance": "weights"},
    {"clip_norm": 1.0},
    {"ensemble": 2},
    {"covariance_top": ("VGG19",)},
    {"covariance_top2": ("VGG19",)},
    {"xla": True},
    {"finetuning_rate": 3e-3},
]
CHANGES = [  # setting -> scenarios that it leaves as they are
    *[({name: value}, set()) for name, value in (("epochs", 9), ("batch_size", 9), ("seed", 9), ("test_views", 2))],
    ({"image_size_px": 128}, set()),
    ({"flips": "both"}, set()),
    ({"augmentation": "strong"}, set()),
    ({"views": 9}, REFINED),
    ({"learning_rate": 0.5}, REFINED),
    ({"weight_decay": 0.5}, ADAM),
    ({"backbones": ("VGG19", "ResNet50")}, REFINED),
    ({"optimizers": ("Nadam", "AdamW")}, {2, 4, 5}),
    *[(changes, FROZEN) for changes in OF_FINETUNING],
    ({"min_f1": 0.9}, ALL),
]


@pytest.fixture
def config(tmp_path, monkeypatch):
    return prepared_run.make(tmp_path, monkeypatch)


def of_run(config):
    usable, resolved = run_folder.usable_photos(config.run_dir), resolved_settings.read(config.run_dir)
    return set(trials.read_settings(config, usable, resolved))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"test_views": 2, "flips": "both", "unfreeze": "all", "views": 3},
        {"augmentation": "strong"},
        {"strategy": "finetune", "refine": 0, "warmup_epochs": 2, "clip_norm": 1.0, "ensemble": 2, "xla": True},
        {"strategy": "finetune", "refine": 0, "unfreeze": "top", "covariance_top": ("VGG19", "ResNet50")},
        {"strategy": "finetune", "refine": 0, "finetuning_rate": None, "precision": "bfloat16", "test_views": 2},
        {"engine": "tensorflow", "precision": "bfloat16"},
    ],
    ids=str,
)
def test_expected_settings_equal_those_of_the_study(changes, config):
    changed = dataclasses.replace(config, **changes)
    prepared_run.start(changed)
    study, usable = recipe.study(changed), run_folder.usable_photos(changed.run_dir)
    for scenario in prepared_run.scenarios_of(changed):
        fingerprint = photos.fingerprint(usable)
        expected = trials.expected_settings(changed, usable, scenario, recipe.resolve(changed), fingerprint)
        assert expected == study.settings(scenario)
    assert of_run(changed) == {scenario.number for scenario in prepared_run.scenarios_of(changed)}


def test_photos_are_read_and_digested_once_for_all_scenarios(config, monkeypatch):
    artifacts.write_json(config.run_dir / "run.json", config_module.to_json(config))
    calls = []
    for module, name in ((run_folder, "usable_photos"), (photos, "fingerprint")):
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda a, o=original, n=name: calls.append(n) or o(a))
    status.show(config.run_dir, rich.console.Console(file=io.StringIO()))
    assert sorted(calls) == ["fingerprint", "usable_photos"]


@pytest.mark.parametrize(("changes", "same"), CHANGES, ids=str)
@pytest.mark.parametrize("version", ["this", "before resolved.json"])
def test_trials_with_other_settings_do_not_belong_to_the_run(version, changes, same, config):
    if version != "this":
        (config.run_dir / "resolved.json").unlink()
    assert of_run(config) == ALL
    assert of_run(dataclasses.replace(config, **changes)) == same


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("weights", RESNET),
        ("engine of VGG19", RESNET),
        ("engine of ResNet50", VGG | REFINED),
        ("precision", set()),
        ("frozen activations", FROZEN),
    ],
)
def test_trials_with_other_weights_or_machine_do_not_belong_to_the_run(name, same, config):
    resolved = resolved_settings.read(config.run_dir)
    changes: dict[str, dict[str, Any]] = {
        "weights": {"weights": {**resolved.weights, "VGG19": "0" * 16}},
        "engine of VGG19": {"engines": {"ResNet50": "openvino", "VGG19": "tensorflow"}},
        "engine of ResNet50": {"engines": {"ResNet50": "tensorflow", "VGG19": "mnn"}},
        "precision": {"precision": {"float32": "bfloat16", "bfloat16": "float32"}[resolved.precision]},
        "frozen activations": {"frozen_activations_on_disk": not resolved.frozen_activations_on_disk},
    }
    resolved_settings.write(config.run_dir, dataclasses.replace(resolved, **changes[name]))
    assert of_run(config) == same


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"engine": "openvino"}, RESNET),
        ({"engine": "tensorflow"}, {5}),
        ({"precision": "float32"}, ALL),
        ({"precision": "bfloat16"}, set()),
    ],
    ids=str,
)
def test_requested_engine_and_precision_are_compared_without_resolved_settings(changes, same, config):
    (config.run_dir / "resolved.json").unlink()
    assert of_run(dataclasses.replace(config, **changes)) == same


def test_search_trial_in_the_folder_of_a_refined_one_does_not_belong_to_the_run(config):
    wider = dataclasses.replace(config, dropouts=(0.2, 0.5), refine=0)
    prepared_run.start(wider)
    assert of_run(wider) == set(range(1, 9))
    assert of_run(config) == {1}  # 2 to 4 are numbered differently, and 5 and 6 are frozen


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 9},
        {"views": 9},
        {"test_views": 2},
        {"image_size_px": 128},
        {"flips": "both"},
        {"augmentation": "strong"},
        {"weight_decay": 0.5},
        {"seed": 43},
        {"backbones": ("VGG19", "ResNet50")},
    ],
    ids=str,
)
@pytest.mark.parametrize("version", ["this", "before resolved.json"])
def test_scenarios_with_other_settings_are_not_shown(version, changes, copy):
    """The run was started with others, and is at its features again."""
    if version != "this":
        (copy / "resolved.json").unlink()
    report_figures = figures.compute(dataclasses.replace(config_module.read(copy), **changes))
    assert_nothing_is_shown(report_figures)


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": {"ResNet50": "0" * 16, "VGG19": "random weights, seed 1"}},
        {"engines": {"ResNet50": "tensorflow", "VGG19": "openvino"}},
        {"precision": "bfloat16"},
    ],
    ids=str,
)
def test_scenarios_with_other_weights_or_machine_are_not_shown(changes, copy):
    """The run was started on a machine with others, and is at its features again."""
    resolved_settings.write(copy, dataclasses.replace(finished_run.RESOLVED, **changes))
    assert_nothing_is_shown(figures.compute(config_module.read(copy)))


def assert_nothing_is_shown(report_figures):
    assert (
        report_figures["winner"] is None
        and report_figures["scenarios"] == []
        and report_figures["audit"] is report_figures["leakage_check"] is None
    )
    assert report_figures["progress"]["scenarios_done"] == report_figures["progress"]["folds_done"] == 0


def test_scenarios_with_unchanged_backbone_weights_are_shown(copy):
    weights = {**finished_run.RESOLVED.weights, "VGG19": "0" * 16}
    resolved_settings.write(copy, dataclasses.replace(finished_run.RESOLVED, weights=weights))
    report_figures = figures.compute(config_module.read(copy))
    assert {row["backbone"] for row in report_figures["scenarios"]} == {"ResNet50"} and report_figures["winner"] is None


def test_random_weights_and_precision_are_those_at_the_start_of_the_run(copy):
    """Its features folder is still of the run before."""
    weights = {"ResNet50": "random weights, seed 42", "VGG19": "0" * 16}
    resolved_settings.write(copy, dataclasses.replace(finished_run.RESOLVED, weights=weights, precision="bfloat16"))
    about = figures.compute(config_module.read(copy))["run"]
    assert about["random_weights"] == ["ResNet50"] and about["precision"] == ["bfloat16"]


def make_trials_of_0_1_0(run_dir):
    """Change the trials' settings to those of version 0.1.0, which named neither the head nor the seeds."""
    for path in run_dir.glob("trials/*/settings.json"):
        settings = artifacts.read_json(path)
        artifacts.write_json(path, {name: value for name, value in settings.items() if name not in ("head", "seeds")})


def test_report_of_another_version_is_not_replaced_by_an_empty_one(copy):
    report.make(copy)
    page = (copy / run_folder.PAGE).read_bytes()
    make_trials_of_0_1_0(copy)
    with pytest.raises(PilahError, match=rf"^Another version of Pilah trained the models of {copy}, .*run --overwrite"):
        report.make(copy)
    output = io.StringIO()
    report.refresh(copy, rich.console.Console(file=output, width=200))
    assert "was not updated, because another version of Pilah wrote it." in output.getvalue()
    assert (copy / run_folder.PAGE).read_bytes() == page


def test_leakage_check_of_another_version_stops_before_it_trains(copy, monkeypatch):
    make_trials_of_0_1_0(copy)
    monkeypatch.setattr(leakage_check.audit, "finished", lambda run_dir, cluster: config_module.read(run_dir))
    monkeypatch.setattr(leakage_check, "write", lambda *_: pytest.fail("it trains"))
    with pytest.raises(PilahError, match=r"^Another version of Pilah trained the models"):
        leakage_check.run(copy, rich.console.Console(file=io.StringIO()))


def test_run_that_replaces_the_trials_of_another_version_is_reported(copy):
    first = copy / "trials" / "01" / "settings.json"
    current = first.read_bytes()
    make_trials_of_0_1_0(copy)
    assert trials.is_of_other_version(copy)
    first.write_bytes(current)
    assert not trials.is_of_other_version(copy)
    assert figures.compute(config_module.read(copy))["progress"]["scenarios_done"] == 1


def test_finished_run_without_resolved_settings_is_shown(copy):
    before = figures.compute(config_module.read(copy))
    (copy / "resolved.json").unlink()
    assert before["winner"] and figures.compute(config_module.read(copy)) == before


@pytest.mark.parametrize(("changes", "done"), [({}, "1 of 20"), ({"image_size_px": 128}, "0 of 20")])
def test_status_counts_only_views_and_folds_with_the_runs_settings(changes, done, config):
    for view in ("view-00", "view-01"):
        artifacts.write_json(config.run_dir / "features" / "VGG19" / f"{view}.json", {"seconds": 3.0})
    artifacts.write_json(config.run_dir / "trials" / "03" / "fold-1.json", {"seconds": 2.0})
    changed = dataclasses.replace(config, **changes)
    artifacts.write_json(config.run_dir / "run.json", config_module.to_json(changed))
    text = io.StringIO()
    console = rich.console.Console(file=text, width=120)
    status.show(config.run_dir, console)
    rows = {line.split()[0]: line for line in text.getvalue().splitlines() if line.split()}
    assert done in rows["search"]
    assert ("2 of 22" if not changes else "0 of 22") in rows["features"]
