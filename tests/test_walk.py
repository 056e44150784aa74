"""The whole pipeline on a few synthetic photos, killed and started again."""

import csv
import json
import pathlib
import shutil
import socket
import subprocess
import sys

import pytest
import tensorflow as tf

from components.data import records
from components.demo import synthetic_photos

pytest_plugins = ["forked_commands"]
ROOT = pathlib.Path(__file__).parents[1]
SETTINGS = "--profile demo --optimizers Adam --dropouts 0.0,0.5 --folds 3 --epochs 2 --views 1 --random-weights".split()
SETTINGS += "--image-size 48 --seed 7 --min-f1 0".split()
ALL_PHOTOS = ("--max-rejects", "0.1")  # one of 30 is broken
SCENARIOS = 2


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Return a folder of photos with copies, a conflict and a damaged file."""
    root = tmp_path_factory.mktemp("photos") / "Garbage classification" / "Garbage classification"
    synthetic_photos.write(root, 6, seed=1, progress=lambda done, total: None)
    shutil.rmtree(root / "trash")
    shutil.copy(root / "glass" / "glass-001.jpg", root / "glass" / "copy.jpg")
    shutil.copy(root / "metal" / "metal-001.jpg", root / "paper" / "stray.jpg")
    (root / "paper" / "broken.jpg").write_bytes((root / "paper" / "paper-001.jpg").read_bytes()[:900])
    return root.parents[1]


def arguments(run_dir, images, backbones="VGG19"):
    return ["run", "--run-dir", run_dir, "--images", images, "--backbones", backbones, *SETTINGS]


@pytest.fixture(scope="module")
def whole(images, tmp_path_factory, commands):
    """Return (run folder, command) of an uninterrupted run with a real network.

    It trains in one process, because each training process would import TensorFlow. The killed run below has several.
    """
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    exit_code, command = commands.run(*arguments(run_dir, images), *ALL_PHOTOS, processes=1)
    assert exit_code == 0, command.printed
    return run_dir, command


def test_leaderboard_has_every_scenario_and_matrices_of_all_photos(whole):
    leaderboard = json.loads((whole[0] / "leaderboard.json").read_text())
    assert list(leaderboard) == ["classes", "photos", "folds", "seed", "strategy", "scenarios", "winner"]
    assert leaderboard["classes"] == ["cardboard", "glass", "metal", "paper", "plastic"]
    assert [row["scenario"] for row in leaderboard["scenarios"]] == list(range(1, SCENARIOS + 1))
    assert all(sum(map(sum, row["confusion_matrix"])) == leaderboard["photos"] for row in leaderboard["scenarios"])
    assert (leaderboard["folds"], leaderboard["seed"]) == (3, 7)
    assert {row["strategy"] for row in leaderboard["scenarios"]} == {"features"}


def test_copies_conflicts_and_rejects_are_left_out_and_reported(whole):
    run_dir, printed = whole[0], whole[1].words
    with (run_dir / "duplicates.csv").open() as file:
        kinds = sorted((row["kind"], pathlib.Path(row["path"]).name) for row in csv.DictReader(file))
    assert [kind for kind, _ in kinds] == ["conflict", "conflict", "duplicate"]
    with (run_dir / "dataset" / "rejects.csv").open() as file:
        rejects = [(pathlib.Path(row["path"]).name, row["reason"]) for row in csv.DictReader(file)]
    assert rejects == [("broken.jpg", "truncated")]
    assert "identical files with different labels" in printed and "stray.jpg" in printed
    assert "1 photos cannot be used" in printed


def test_run_prints_a_line_per_stage_and_nothing_of_libraries(whole):
    run_dir, command = whole
    before_table = command.printed.partition("photos, 3 folds")[0].splitlines()[:-1]
    stages = [line.partition(":")[0] for line in before_table if ": done in " in line]
    assert stages == "photos dataset features search choice model calibration export validate push report".split()
    others = [line for line in before_table if ": done in " not in line]
    expected = (
        "RANDOM weights",
        "identical files",
        "photos cannot be used",
        "ignored",
        "in every set",
        "keep their class",
    )
    assert all(any(words in line for words in expected) for line in others), others
    logged = (run_dir / "log.txt").read_text()
    assert "INFO photos: started" in logged and " 5 classes: " in logged
    assert f"-m web --model_base_path {run_dir}/served/pilah" in command.printed


def test_records_and_features_have_the_requested_image_size(whole):
    run_dir, _ = whole
    assert records.read(run_dir / "dataset").element_spec["image"].shape == (48, 48, 3)
    assert json.loads((run_dir / "features" / "VGG19" / "settings.json").read_text())["image_size_px"] == 48


def test_random_weights_are_announced_unless_imagenet_weights_were_used(whole):
    run_dir, printed = whole[0], whole[1].words
    settings = json.loads((run_dir / "features" / "VGG19" / "settings.json").read_text())
    assert ("RANDOM weights" in printed) == settings["weights"].startswith("random")


def test_run_ends_with_a_report_and_the_pushed_model_has_its_card(whole):
    run_dir, _ = whole
    winner = json.loads((run_dir / "leaderboard.json").read_text())["winner"]
    page, card = run_dir / "report" / "index.html", run_dir / "served" / "pilah" / "1" / "MODEL_CARD.md"
    assert f"{winner['f1']:.3f}" in page.read_text() and "Stages still to do" not in page.read_text()
    assert f"Macro F1 {winner['f1']:.3f}" in card.read_text()
    assert len(list(run_dir.glob("trials/*/events.out.tfevents.*"))) == SCENARIOS


def test_pushed_version_serves_a_photo_from_disk(whole, images):
    version = whole[0] / "served" / "pilah" / "1"
    described = json.loads((version / "model.json").read_text())
    leaderboard = json.loads((whole[0] / "leaderboard.json").read_text())
    assert described["scenario"]["scenario"] == leaderboard["winner"]["scenario"]
    for name in ("f1_corrected", "f1_corrected_low", "f1_corrected_high"):
        assert 0 <= described["figures"][name] == leaderboard["winner"][name] <= 1
    assert described["figures"]["record_and_file_agreement"] >= 0.99
    assert described["figures"]["web_jpeg_agreement"] >= 0.95 and described["figures"]["web_jpeg_photos"] > 0
    assert described["packages"]["tensorflow"].startswith("2.20")
    photo = next(images.rglob("glass-002.jpg")).read_bytes()
    answer = tf.saved_model.load(str(version)).signatures["serving_default"](image_bytes=tf.constant([photo]))
    assert answer["class_names"].numpy()[0].tolist() == [name.encode() for name in leaderboard["classes"]]


def test_second_start_skips_everything_and_finds_the_version_served(whole, images, commands):
    run_dir, _ = whole
    before = (run_dir / "leaderboard.json").read_bytes()
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    base = run_dir / "served" / "pilah"
    serve = [sys.executable, "-m", "serving", "--model_name", "pilah", "--model_base_path", base, "--port", str(port)]
    server = subprocess.Popen(serve, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        check = ("--check-serving", f"localhost:{port}")
        exit_code, command = commands.run(*arguments(run_dir, images), *ALL_PHOTOS, *check)
    finally:
        server.terminate()
        assert server.wait() == 0
    assert exit_code == 0, command.printed
    assert command.printed.count("unchanged, skipped") == 11
    assert f"localhost:{port} serves version 1" in command.words
    assert (run_dir / "leaderboard.json").read_bytes() == before
    assert [path.name for path in (run_dir / "served" / "pilah").iterdir()] == ["1"]


def test_too_many_rejects_stop_the_run_and_name_the_option(images, tmp_path, commands):
    exit_code, command = commands.run(*arguments(tmp_path / "run", images), "--max-rejects", "0.01", small=True)
    assert exit_code == 1
    *_, error, log = command.printed.strip().splitlines()
    assert "--max-rejects" in error and log == f"The output of the libraries is in {tmp_path / 'run' / 'log.txt'}."


def test_worse_model_is_pushed_only_with_force(whole, images, tmp_path, commands):
    run_dir = tmp_path / "worse"
    shutil.copytree(whole[0], run_dir)
    described = run_dir / "served" / "pilah" / "1" / "model.json"
    served = json.loads(described.read_text())
    served["figures"]["f1"] = 0.999
    described.write_text(json.dumps(served))
    again = (*arguments(run_dir, images), *ALL_PHOTOS, "--from", "push")
    exit_code, refused = commands.run(*again)
    assert exit_code == 1 and "0.9990 of version 1" in refused.printed
    exit_code, forced = commands.run(*again, "--force")
    assert exit_code == 0, forced.printed
    assert sorted(path.name for path in (run_dir / "served" / "pilah").iterdir()) == ["1", "2"]


def leaderboard_without_seconds(run_dir):
    leaderboard = json.loads((run_dir / "leaderboard.json").read_text())
    for row in leaderboard["scenarios"]:
        del row["seconds"]
    return json.dumps(leaderboard)


def test_run_killed_in_features_and_twice_in_search_ends_with_the_same_leaderboard(images, tmp_path, commands):
    def start(run_dir, **processes):
        return commands.start(*arguments(run_dir, images, "ResNet50,VGG19"), *ALL_PHOTOS, small=True, **processes)

    undisturbed, run_dir = tmp_path / "undisturbed", tmp_path / "killed"
    start(undisturbed, processes=1).kill_when((undisturbed / "leaderboard.json").exists)

    start(run_dir).kill_when((run_dir / "features" / "VGG19" / "settings.json").exists)  # in the second backbone
    finished_view = run_dir / "features" / "ResNet50" / "view-01.npy"
    view_time = finished_view.stat().st_mtime_ns

    finished_fold = run_dir / "trials" / "02" / "fold-2.csv"
    start(run_dir).kill_when(finished_fold.exists)  # with a training worker on each core
    fold_time = finished_fold.stat().st_mtime_ns

    start(run_dir, processes=1).kill_when((run_dir / "trials" / "03" / "predictions.csv").exists)

    done = start(run_dir, processes=1)
    assert done.exit_code() == 0, done.printed
    assert leaderboard_without_seconds(run_dir) == leaderboard_without_seconds(undisturbed)
    assert finished_view.stat().st_mtime_ns == view_time
    assert finished_fold.stat().st_mtime_ns == fold_time


def test_second_run_on_a_run_folder_is_refused_with_the_process_id_of_the_first(images, tmp_path, commands):
    first = commands.start(*arguments(tmp_path / "run", images), small=True)
    lock = tmp_path / "run" / "run.lock"
    seconds = []

    def refused():
        if lock.exists() and lock.read_text():
            seconds.append(commands.run(*arguments(tmp_path / "run", images), small=True))
        return seconds

    first.kill_when(refused)
    ((exit_code, second),) = seconds
    assert exit_code == 1
    assert f"in use by process {first.pid}" in second.words
