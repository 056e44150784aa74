import os
import pathlib
import re
import subprocess
import sys

import pytest
import rich.table
import typer.testing

from components.base import artifacts, settings
from components.base.errors import PilahError
from components.data import stratified_folds
from pipeline import cli, config, config_check, main, options
from pipeline.commands import audit, evaluate, leakage_check

ROOT = pathlib.Path(__file__).parents[2]


def pilah(*args):
    """Run the command line as a user does, in a separate process."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *map(str, args)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "300", "NO_COLOR": "1"},
    )


def invoke(*args):
    """Run the command line in this process, without its line breaks."""
    done = typer.testing.CliRunner().invoke(cli.app, list(map(str, args)), env={"COLUMNS": "400", "NO_COLOR": "1"})
    return done.exit_code, " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize(
    "args",
    [
        ["run"],
        ["run", "--run-dir", "r", "--profile", "fast"],
        ["run", "--run-dir", "r", "--strategy", "magic"],
        ["run", "--run-dir", "r", "--schedule", "linear"],
        ["run", "--run-dir", "r", "--folds", "1"],
        ["run", "--run-dir", "r", "--backbones", "ResNet50,ResNet51"],
        ["run", "--run-dir", "r", "--optimizers", "SGD"],
        ["run", "--run-dir", "r", "--optimizers", "Adam,Adam"],
        ["run", "--run-dir", "r", "--dropouts", "0.2,0.20"],
        ["run", "--run-dir", "r", "--dropouts", "0.2,half"],
        ["run", "--run-dir", "r", "--dropouts", "1.0"],
        ["run", "--run-dir", "r", "--dropouts", "0.5:1.0"],
        ["run", "--run-dir", "r", "--dropouts", "0.5:0.2"],
        ["run", "--run-dir", "r", "--learning-rate", "0:0.1:log"],
        ["run", "--run-dir", "r", "--learning-rate", "1e-5:1e-2:linear"],
        ["run", "--run-dir", "r", "--learning-rate", "fast"],
        ["run", "--run-dir", "r", "--learning-rate", "1e-5,1e-4"],
        ["run", "--run-dir", "r", "--learning-rate", "nan"],
        ["run", "--run-dir", "r", "--hidden-units", "64,1.5"],
        ["run", "--run-dir", "r", "--hidden-units", "0"],
        ["run", "--run-dir", "r", "--oracle", "genetic"],
        ["run", "--run-dir", "r", "--from", "nowhere"],
        ["audit", "--run-dir", "r", "--protocol", "reset"],
        ["evaluate", "--run-dir", "r"],
        ["flee"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_code_2(args):
    code, text = invoke(*args)
    assert code == 2, text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ResNet51", "(got ResNet51). Choose ResNet50, "),
        ("efficientnetv2-s", "(got efficientnetv2-s). Choose EfficientNetV2S, "),
        ("SVM", "(got SVM). Choose some of ResNet50, VGG19, DenseNet121, ResNet101, "),
    ],
)
def test_unknown_backbone_is_refused_with_similar_names_or_all(name, expected):
    code, text = invoke("run", "--run-dir", "r", "--backbones", f"VGG19,{name}")
    assert code == 2 and expected in text


def test_unknown_optimizer_is_refused_with_the_valid_names():
    code, text = invoke("run", "--run-dir", "r", "--optimizers", "SGD")
    assert code == 2 and "Adam,Nadam,AdamW (got SGD)" in text


def test_photos_too_small_for_a_backbone_are_refused_before_there_is_a_run(tmp_path):
    arguments = "--profile demo --backbones ResNet50,Xception --image-size 70".split()
    code, text = invoke("run", "--run-dir", str(tmp_path / "run"), *arguments)
    assert code == 1 and "--image-size must be at least 71 for Xception (got 70)" in text
    assert not (tmp_path / "run").exists()


def test_wrong_usage_in_a_separate_process_ends_with_code_2_and_no_traceback():
    done = pilah("run", "--run-dir", "r", "--folds", "1")
    assert done.returncode == 2 and "--folds" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("images", "expected"),
    [("missing", "does not exist"), ("file.txt", "neither"), ("empty", "class folders")],
)
def test_invalid_images_end_with_one_line_and_code_1(tmp_path, images, expected):
    (tmp_path / "file.txt").write_text("not a zip")
    (tmp_path / "empty").mkdir()
    code, text = invoke("run", "--run-dir", tmp_path / "run", "--images", tmp_path / images)
    assert code == 1
    assert text.count("pilah: ") == 1 and expected in text.partition("pilah: ")[2]
    assert "Traceback" not in text


@pytest.mark.parametrize("profile", ["thesis", "finetuned"])
def test_profile_of_real_photos_is_refused_without_photos(profile, tmp_path):
    code, text = invoke("run", "--run-dir", tmp_path / "run", "--profile", profile)
    assert code == 1 and "--fetch-kaggle" in text


def test_resumed_run_keeps_its_photos_without_the_option_images(tmp_path):
    settings = config.to_json(config.Config(tmp_path, images=(tmp_path / "photos.zip",)))
    artifacts.write_json(tmp_path / "run.json", settings)
    code, text = invoke("run", "--run-dir", tmp_path)
    assert code == 1
    assert f"{tmp_path / 'photos.zip'} does not exist" in text.partition("pilah: ")[2]
    assert artifacts.read_json(tmp_path / "run.json") == settings


def test_brackets_in_a_name_are_printed_as_they_are():
    table = rich.table.Table("class", title="photos of [old] bottles")
    table.add_row("glass [clear] :bug:")
    with cli.console.capture() as printed:
        cli.console.print(table)
        cli.console.print("[red] glass")
    assert all(name in printed.get() for name in ("photos of [old] bottles", "glass [clear] :bug:", "[red] glass"))


def loop(path):
    path.symlink_to(path.with_name("back"))
    path.with_name("back").symlink_to(path)


@pytest.mark.parametrize(
    ("make", "below", "reason", "remedy"),
    [
        (lambda path: path.write_text(""), "run", "Not a directory", "Move it"),
        (lambda path: path.write_text(""), "", "File exists", "Move it"),
        (loop, "run", "Too many levels of symbolic links", "Repair the symbolic link"),
        (lambda path: path.mkdir(), "x" * 300, "File name too long", "shorter path"),
        (lambda path: path.symlink_to("/proc/none"), "run", "No such file or directory", "Choose another folder"),
    ],
    ids=["below a file", "a file", "loop of links", "long name", "nowhere"],
)
def test_run_folder_that_cannot_be_made_is_named_with_reason_and_remedy(tmp_path, make, below, reason, remedy):
    make(tmp_path / "folder")
    code, text = invoke("run", "--run-dir", tmp_path / "folder" / below)
    assert code == 1
    assert text.startswith("pilah: ") and reason in text and remedy in text, text
    assert str(pathlib.Path(os.path.realpath(tmp_path / "folder" / below))) in text


@pytest.mark.parametrize("command", ["run", "status", "audit", "leakage-check", "report", "rollback"])
def test_run_folder_whose_path_is_a_pattern_for_tensorflow_is_refused(tmp_path, command):
    (tmp_path / "run [1]").mkdir()
    code, text = invoke(command, "--run-dir", tmp_path / "run [1]")
    assert code == 2
    assert "Invalid value for '--run-dir': Its full path must not contain [, as TensorFlow" in text
    assert list((tmp_path / "run [1]").iterdir()) == []


@pytest.mark.parametrize("name", ["a*", "b?", "c\\", "d/[e/f"])
def test_pattern_character_anywhere_in_the_path_is_refused(tmp_path, name, monkeypatch):
    (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / name)
    assert invoke("status", "--run-dir", "run")[0] == 2


def test_run_folder_whose_path_is_not_utf_8_is_refused(tmp_path):
    code, text = invoke("run", "--run-dir", os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    assert code == 2
    assert "Its full path must be UTF-8 (got" in text and "caf\\udce9" in text
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def help_of_run():
    return pilah("run", "--help").stdout


def test_help_names_every_stage_and_flag_that_scripts_rely_on(help_of_run):
    for flag in (
        "--images --run-dir --profile --weights-dir --strategy --from --force --folds --epochs --learning-rate "
        "--views --seed --backbones --optimizers --dropouts --max-rejects --precision --fetch-kaggle --debug "
        "--group-folds --unfreeze --warmup-epochs --schedule --label-smoothing --balance --clip-norm --batchnorm "
        "--flips --ensemble --xla --refine --test-views --finetuning-rate --image-size --random-weights"
    ).split():
        assert flag in help_of_run, flag


def test_help_shows_what_settings_are_in_each_profile(help_of_run):
    lines = help_of_run.splitlines()
    lines = {flag: next(line for line in lines if f"{flag} " in line) for flag in ("--epochs", "--views")}
    assert "(10)" in lines["--epochs"] and "(10; finetuned 1; demo 2)" in lines["--views"]


def test_help_fits_80_columns_with_whole_names_in_groups():
    done = typer.testing.CliRunner().invoke(cli.app, ["run", "--help"], env={"COLUMNS": "80", "NO_COLOR": "1"})
    assert max(map(len, done.output.splitlines())) <= 80 and "…" not in done.output
    panels = re.split(r"╭─ ([\w-]+) ─+╮", done.output)
    groups = dict(zip(panels[1::2], panels[2::2], strict=True))
    assert [*groups][2:] == ["Photos", "Study", "Training", "Fine-tuning", "Engine", "Publishing"]
    words = {name: set(text.split()) for name, text in groups.items()}
    expected = {
        "Options": "--run-dir --profile --from --overwrite finetuned validate report>",
        "Photos": "--images --fetch-kaggle --labels --accept-missing --no-merge-classes",
        "Study": "--backbones <names> --group-folds --no-group-folds finetune>",
        "Training": "--learning-rate --image-size",
        "Fine-tuning": "--finetuning-rate --label-smoothing oversampling>",
        "Engine": "--random-weights --no-random-weights tensorflow>",
        "Publishing": "--check-serving --keep-versions --force",
    }
    for name, names in expected.items():
        assert {*names.split()} - words[name] == set()


def test_every_setting_is_in_one_group_of_the_help():
    names = [name for panel in options.PANELS.values() for name in panel]
    assert sorted(names) == sorted(settings.options(config.Config))


@pytest.mark.parametrize("profile", config.PROFILES)
def test_settings_of_each_profile_are_valid_and_are_read_back(profile, tmp_path):
    made = config.of_profile(profile, tmp_path)
    config_check.check(made)
    assert made.profile == profile
    assert config.from_json(config.to_json(made)) == made


def test_list_of_learning_rates_is_refused_with_the_forms_that_are_allowed(tmp_path):
    code, text = invoke("run", "--run-dir", tmp_path / "run", "--learning-rate", "1e-4,1e-3")
    message = " ".join(text.replace("│", " ").split())
    assert code == 2
    assert "--learning-rate must be a number or LOW:HIGH or LOW:HIGH:log (got 1e-4,1e-3)" in message


@pytest.mark.parametrize("option", ["--learning-rate", "--max-rejects", "--min-f1", "--weight-decay"])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_number_that_is_not_finite_is_refused_by_name(tmp_path, option, value):
    code, text = invoke("run", "--run-dir", tmp_path / "run", "--profile", "demo", option, value)
    assert code in (1, 2), "2 where the option has an upper limit"
    assert option in text
    assert not (tmp_path / "run").exists()


def test_run_folder_inside_the_photos_is_refused(tmp_path):
    (tmp_path / "photos").mkdir()
    code, text = invoke("run", "--run-dir", tmp_path / "photos" / "glass" / "run", "--images", tmp_path / "photos")
    assert code == 1
    assert "--run-dir must not be in --images" in text
    assert not (tmp_path / "photos" / "glass").exists()


@pytest.mark.parametrize(
    ("flags", "expected"), [([], True), (["--no-group-folds"], False), (["--group-folds"], True)], ids=str
)
def test_profile_sets_a_boolean_option_and_the_command_line_overrides_it(tmp_path, monkeypatch, flags, expected):
    started = []
    monkeypatch.setattr(main, "run", lambda settings, from_stage, overwrite, console: started.append(settings))
    monkeypatch.setitem(config.PROFILES, "demo", {**config.PROFILES["demo"], "group_folds": True})
    done = typer.testing.CliRunner().invoke(cli.app, ["run", "--run-dir", str(tmp_path / "run"), *flags])
    assert done.exit_code == 0, done.output
    assert [settings.group_folds for settings in started] == [expected]


def test_weights_dir_is_stored_as_an_absolute_path(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(main, "run", lambda settings, from_stage, overwrite, console: started.append(settings))
    monkeypatch.chdir(tmp_path)
    command = ["run", "--run-dir", str(tmp_path / "run"), "--weights-dir", "weights"]
    assert typer.testing.CliRunner().invoke(cli.app, command).exit_code == 0
    assert started[0].weights_dir == tmp_path / "weights"


def test_random_weights_and_a_folder_of_weights_exclude_each_other(tmp_path):
    both = ("--random-weights", "--weights-dir", tmp_path)
    code, text = invoke("run", "--run-dir", tmp_path / "run", *both)
    assert code == 1 and f"--random-weights and --weights-dir {tmp_path} exclude each other" in text
    assert not (tmp_path / "run").exists()
    resumed = config.Config(tmp_path / "run", weights_dir=tmp_path, random_weights=True)
    config_check.check(resumed, {"random_weights"})  # in a run that had a folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--labels", "labels.csv"], "--labels needs --images, the folder of the photos that labels.csv lists"),
        (["--zip-encoding", "klingon"], r"--zip-encoding must be an encoding .*\(got klingon\)"),
    ],
)
def test_invalid_options_of_photos_are_refused_before_the_run_folder_is_made(tmp_path, arguments, message):
    with pytest.raises(PilahError, match=message):
        cli._configure(tmp_path / "run", None, {arguments[0][2:].replace("-", "_"): arguments[1]})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "called"),
    [
        (["audit", "--run-dir", "r"], "audit"),
        (["leakage-check", "--run-dir", "r"], "leakage_check"),
        (["audit", "--run-dir", "r", "--protocol", "carried"], "leakage_check"),  # as it was called before
        (["evaluate", "--run-dir", "r", "--images", "other"], "evaluate"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_command_runs_the_module_of_its_name(arguments, called, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    artifacts.write_json(tmp_path / "r" / "run.json", config.to_json(config.Config(tmp_path / "r")))
    calls = []
    for module in (audit, leakage_check, evaluate):
        name = module.__name__.removeprefix("pipeline.commands.")
        monkeypatch.setattr(module, "run", lambda run_dir, *more, name=name, **rest: calls.append((name, str(run_dir))))
    assert typer.testing.CliRunner().invoke(cli.app, arguments).exit_code == 0
    assert calls == [(called, "r")]


NUMBERS = {
    config.flag(name): option
    for name, option in settings.options(config.Config).items()
    if option.min is not None and name not in ("dropouts", "hidden_units")  # lists, whose bounds are tested above
}


@pytest.mark.parametrize("option", [*NUMBERS, "--dropouts", "--hidden-units"])
def test_number_out_of_bounds_is_refused_by_name(tmp_path, option):
    run_dir = str(tmp_path / "run")
    done = typer.testing.CliRunner().invoke(cli.app, ["run", "--run-dir", run_dir, f"{option}=5000000000"])
    assert done.exit_code == 2, done.output
    assert f"'{option}'" in done.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["audit", "leakage-check", "report", "evaluate", "status"])
def test_command_on_a_folder_without_a_run_writes_nothing_there(tmp_path, command):
    images = ["--images", tmp_path] if command == "evaluate" else []
    code, text = invoke(command, "--run-dir", tmp_path, *images)
    assert code == 1 and "must hold a run" in text and "log.txt" not in text
    assert list(tmp_path.iterdir()) == []


def test_status_writes_nothing(tmp_path):
    artifacts.write_json(tmp_path / "run.json", config.to_json(config.Config(tmp_path)))
    assert invoke("status", "--run-dir", tmp_path)[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_changed_settings_of_a_resumed_run_are_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(main, "run", lambda *arguments: None)
    artifacts.write_json(tmp_path / "run.json", config.to_json(config.of_profile("demo", tmp_path)))
    assert "but --epochs 3 instead of 10" in invoke("run", "--run-dir", tmp_path, "--epochs", "3")[1]
    assert "instead of" not in invoke("run", "--run-dir", tmp_path)[1]


def test_finished_run_ends_with_commands_of_the_program_that_started_it(tmp_path, monkeypatch):
    monkeypatch.setattr(main, "run", lambda *arguments: None)
    monkeypatch.setenv("PILAH_STARTED_BY", "make")
    assert "make serve RUN=" in invoke("run", "--run-dir", tmp_path / "run")[1]


def test_largest_seed_can_split_the_folds_that_the_audit_draws():
    fold_of = stratified_folds.assign(["glass", "metal"] * 2, 2, config.MAX_SEED + audit.FOLD_DRAWS - 1)
    assert sorted(fold_of.tolist()) == [0, 0, 1, 1]


@pytest.mark.parametrize("content", ["", '{"seconds": 1', "\0\0\0"], ids=["empty", "cut short", "zeros"])
@pytest.mark.parametrize("name", ["run.json", "stages/photos.json", "resolved.json"])
def test_damaged_artifact_is_named_with_what_to_do(tmp_path, name, content):
    artifacts.write_json(tmp_path / "run.json", config.to_json(config.Config(tmp_path)))
    (tmp_path / "stages").mkdir()
    (tmp_path / name).write_text(content)
    code, text = invoke("status", "--run-dir", tmp_path)
    assert code == 1
    assert text.startswith(f"pilah: {tmp_path / name} is damaged") and "--debug" not in text, text
    assert "Restore it" in text or "Delete it and run again" in text
