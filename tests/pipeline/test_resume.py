"""A run that is started again keeps its settings, and discards finished work only if the user confirms."""

import dataclasses

import prepared_run
import pytest

from components.base import artifacts
from components.base.errors import PilahError
from pipeline import config as config_module
from pipeline import recipe, resume, run_folder
from pipeline.stages import photos
from tuner import trial_folder


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Return a run with features of VGG19 and finished folds: two of scenario 1, one of 3, one of a refined one."""
    config = dataclasses.replace(prepared_run.make(tmp_path, monkeypatch), images=(tmp_path / "photos",))
    artifacts.write_json(config.run_dir / run_folder.CONFIG, config_module.to_json(config))
    for number, fold in ((1, 0), (1, 3), (3, 0), (5, 1)):
        folder = config.run_dir / run_folder.trial(number)
        trial_folder.fold_predictions(folder, fold).write_text("")
        artifacts.write_json(trial_folder.fold_history(folder, fold), {"seconds": 60.0, "history": {}})
    artifacts.write_json(config.run_dir / run_folder.features("VGG19") / "view-00.json", {"seconds": 30.0})
    return config


def check(config):
    resume.check_nothing_lost(config, recipe.resolve(config), photos.expected_list(config))


def test_resumed_run_keeps_its_settings_without_options(config):
    assert resume.configure(config.run_dir, None, {}) == config
    assert resume.configure(config.run_dir, "thesis", {}) == config
    assert resume.configure(config.run_dir, None, {"images": config.images}) == config


def test_options_override_the_settings_of_the_run(config):
    resumed = resume.configure(config.run_dir, None, {"epochs": 3})
    assert resumed == dataclasses.replace(config, epochs=3)
    assert resume.changed_settings(config, resumed) == "--epochs 3 instead of 10"
    resumed = dataclasses.replace(config, random_weights=not config.random_weights, zip_encoding="gbk")
    changes = f"--zip-encoding gbk instead of none, --random-weights {'off' if config.random_weights else 'on'} instead"
    assert resume.changed_settings(config, resumed).startswith(changes)


def test_confirmations_apply_to_one_start_only(config):
    confirmed = dataclasses.replace(config, force=True, accept_missing=True)
    artifacts.write_json(config.run_dir / run_folder.CONFIG, config_module.to_json(confirmed))
    assert resume.configure(config.run_dir, None, {}) == config


def test_another_profile_replaces_the_settings_and_keeps_the_paths(config):
    resumed = resume.configure(config.run_dir, "finetuned", {})
    fresh = config_module.of_profile("finetuned", config.run_dir)
    assert resumed == dataclasses.replace(fresh, images=config.images, weights_dir=config.weights_dir)


@pytest.mark.parametrize(("changes", "profile"), [({}, "demo"), ({"images": ("photos",)}, "thesis")])
def test_new_run_has_the_profile_of_its_photos(tmp_path, changes, profile):
    config = resume.configure(tmp_path / "new", None, changes)
    assert config == dataclasses.replace(config_module.of_profile(profile, tmp_path / "new"), **changes)


def test_photos_for_a_run_on_synthetic_photos_change_its_profile(tmp_path):
    synthetic = config_module.of_profile("demo", tmp_path)
    artifacts.write_json(tmp_path / run_folder.CONFIG, config_module.to_json(synthetic))
    assert resume.configure(tmp_path, None, {}) == synthetic
    assert resume.configure(tmp_path, None, {"images": ("photos",)}).profile == "thesis"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"epochs": 3},
            "--epochs 3 instead of 10: this would discard finished folds of scenario 1 (2), 3 (1), 5 (1), 4 min",
        ),
        (
            {"refine": 1, "backbones": ("VGG19",)},
            "finished folds of scenario 1 (2), 3 (1), 3 min",
        ),  # the numbers mean other scenarios, and 5 none
        ({"image_size_px": 96}, "--image-size 96 instead of 224"),
        ({"image_size_px": 96}, "and the features of VGG19 (30 s)"),
        ({"seed": 7}, "--seed 7 instead of 42: this would discard"),
        ({"finetuning_rate": 0.5}, "finished folds of scenario 5 (1), 1 min 0 s"),
        ({"weight_decay": 0.5}, "finished folds of scenario 5 (1), 1 min 0 s"),
        ({"max_pixels": 1000}, "--max-pixels 1000 instead of"),
        ({"engine": "tensorflow"}, "--engine tensorflow instead of auto"),
    ],
    ids=str,
)
def test_setting_that_would_discard_finished_work_is_refused_by_name(changes, expected, config, monkeypatch):
    monkeypatch.setattr(photos.listing, "list_photos", lambda scan, folds, seed, progress: ([], []))
    monkeypatch.setattr(photos, "_photo_folders", lambda config: [])
    monkeypatch.setattr(photos.class_folders, "scan", lambda roots, **settings: None)
    with pytest.raises(PilahError, match=r"Confirm with --overwrite") as refused:
        check(dataclasses.replace(config, **changes))
    assert expected in str(refused.value)


@pytest.mark.parametrize(
    "changes",
    [{}, {"min_f1": 0.9}, {"keep_versions": 9}, {"refine": 1}, {"force": True}, {"max_pixels": 60_000_000}],
    ids=str,
)
def test_setting_that_discards_nothing_is_accepted(changes, config):
    check(dataclasses.replace(config, **changes))


def test_other_weights_are_named(config):
    (config.weights_dir / "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5").write_text("others")
    recipe._find_weights.cache_clear()
    with pytest.raises(PilahError, match=r"^weights of VGG19 \w+ instead of \w+: this would discard .*VGG19 \(30 s\)"):
        check(config)


def test_folds_of_another_version_are_named(config):
    for path in config.run_dir.glob("trials/*/settings.json"):
        settings = artifacts.read_json(path)
        artifacts.write_json(path, {name: value for name, value in settings.items() if name not in ("head", "seeds")})
    expected = (
        r"^Trained by another version of Pilah: this would discard finished folds of scenario 1 \(2\), 3 \(1\), 5"
    )
    with pytest.raises(PilahError, match=expected):
        check(config)


def test_photos_that_moved_are_the_same_photos(config, tmp_path, save_classes):
    save_classes(tmp_path / "photos", {"glass": 6, "metal": 6})
    listed = photos.expected_list(dataclasses.replace(config, seed=7))
    photos.photos.write(config.run_dir / run_folder.PHOTOS, listed)
    config = dataclasses.replace(config, seed=7)
    artifacts.write_json(config.run_dir / run_folder.CONFIG, config_module.to_json(config))
    prepared_run.start(config)
    folder = config.run_dir / run_folder.trial(1)
    trial_folder.fold_predictions(folder, 0).write_text("")
    artifacts.write_json(trial_folder.fold_history(folder, 0), {"seconds": 60.0, "history": {}})
    (tmp_path / "photos").rename(tmp_path / "moved")
    check(dataclasses.replace(config, images=(tmp_path / "moved",)))
    (tmp_path / "moved" / "glass" / "0.png").write_bytes(b"another")
    with pytest.raises(PilahError, match=r"--images .*moved instead of .*photos: this would discard finished"):
        check(dataclasses.replace(config, images=(tmp_path / "moved",)))


def test_features_without_their_settings_are_not_discarded_silently(config):
    folder = config.run_dir / run_folder.features("VGG19")
    (folder / artifacts.SETTINGS).unlink()
    (folder / "view-00.npy").write_bytes(b"activations")
    with pytest.raises(PilahError, match=r"would discard the features of VGG19"):
        check(config)


def test_frozen_activations_on_another_machine_are_named(config):
    elsewhere = dataclasses.replace(recipe.resolve(config), frozen_activations_on_disk=False)
    with pytest.raises(PilahError, match=r"^frozen activations on disk off instead of on: this would discard"):
        resume.check_nothing_lost(config, elsewhere, photos.expected_list(config))


def test_run_has_finished_work_after_one_fold_or_view(config):
    assert resume.has_finished_work(config.run_dir)
    artifacts.remove(config.run_dir / run_folder.TRIALS)
    assert not resume.has_finished_work(config.run_dir)
    (config.run_dir / run_folder.features("VGG19") / "view-00.npy").write_bytes(b"activations")
    assert resume.has_finished_work(config.run_dir)


def test_folder_of_a_run_without_its_settings_is_refused(tmp_path):
    resume.check_new(tmp_path, False)
    (tmp_path / run_folder.STAGES).mkdir()
    with pytest.raises(PilahError, match=r"whose run\.json is missing.*--overwrite"):
        resume.check_new(tmp_path, False)
    resume.check_new(tmp_path, True)


@pytest.mark.parametrize("text", ["{", "{}", '{"newer": 1}'])
def test_damaged_settings_are_named(tmp_path, text):
    (tmp_path / run_folder.CONFIG).write_text(text)
    with pytest.raises(PilahError, match=r"run\.json is damaged or of a later version"):
        resume.configure(tmp_path, None, {})
