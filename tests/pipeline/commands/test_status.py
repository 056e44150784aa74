import os
import pathlib
import subprocess
import sys

import finished_run
import numpy as np

from components.base import artifacts
from pipeline import config

ROOT = pathlib.Path(__file__).parents[3]


def status(run_dir):
    """Run `status` as a user does, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline", "status", "--run-dir", str(run_dir)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "300", "NO_COLOR": "1"},
    )


def test_status_of_no_run_is_one_line_and_code_1(tmp_path):
    done = status(tmp_path)
    assert done.returncode == 1
    (line,) = done.stdout.strip().splitlines()
    assert "must hold a run" in line and str(tmp_path) in line


def test_status_lists_finished_and_remaining_stages(tmp_path):
    settings = config.Config(
        tmp_path, backbones=("VGG19",), optimizers=("Adam",), dropouts=(0.0, 0.5), folds=2, views=3
    )
    artifacts.write_json(tmp_path / "run.json", config.to_json(settings))
    artifacts.write_json(tmp_path / "stages" / "photos.json", {"inputs": {}, "seconds": 61.0})
    for view in range(2):
        artifacts.write_json(tmp_path / "features" / "VGG19" / f"view-{view:02d}.json", {"seconds": 30.0})
    rows = {line.split()[0]: line for line in status(tmp_path).stdout.splitlines() if line.split()}
    assert "done" in rows["photos"] and "1 min 1 s" in rows["photos"]
    assert "2 of 4" in rows["features"] and "1 min 0 s" in rows["features"]
    assert "0 of 4" in rows["search"] and "not measured yet" in rows["search"]
    assert "to do" in rows["push"]


def test_status_counts_epochs_of_unfinished_parallel_folds(tmp_path):
    settings = config.Config(
        tmp_path, backbones=("VGG19",), optimizers=("Adam",), dropouts=(0.0,), strategy="finetune", folds=4, epochs=10
    )
    artifacts.write_json(tmp_path / "run.json", config.to_json(settings))
    trial = tmp_path / "trials" / "01"
    artifacts.write_json(tmp_path / "trials" / "processes.json", {"processes": 2})
    artifacts.write_json(trial / "fold-1.json", {"seconds": 1000.0, "history": {}})
    np.savez(trial / "fold-2.0.npz", seconds=500.0, history=np.zeros((2, 5)))
    text = status(tmp_path).stdout
    (line,) = [line for line in text.splitlines() if line.split()[:1] == ["search"]]
    assert "1.5 of 4" in line and "12 min 30 s" in line  # took
    assert "20 min 50 s" in line  # 2.5 folds of 1000 s, two side by side


def test_stage_after_an_unfinished_one_is_not_shown_as_done(tmp_path):
    artifacts.write_json(tmp_path / "run.json", config.to_json(config.Config(tmp_path)))
    for name in ("photos", "features"):
        artifacts.write_json(tmp_path / "stages" / f"{name}.json", {"inputs": {}, "seconds": 1.0})
    text = status(tmp_path).stdout
    (line,) = [line for line in text.splitlines() if line.split()[:1] == ["features"]]
    assert "to be checked again" in line


def test_status_of_a_finished_run_shows_the_winner_the_report_and_the_next_command(tmp_path):
    finished_run.write(tmp_path)
    for name in config.STAGES:
        artifacts.write_json(tmp_path / "stages" / f"{name}.json", {"inputs": {}, "seconds": 1.0})
    text = status(tmp_path).stdout
    winner = artifacts.read_json(tmp_path / "leaderboard.json")["winner"]
    assert f"Winner: scenario {winner['scenario']} ({winner['backbone']}, AdamW, dropout " in text
    assert f"macro F1 {winner['f1']:.4f}." in text
    assert str(tmp_path / "report" / "index.html") in text and "-m web --model_base_path" in text


def test_status_of_an_unfinished_run_names_no_winner(tmp_path):
    finished_run.write(tmp_path)
    for name in config.STAGES[:-1]:
        artifacts.write_json(tmp_path / "stages" / f"{name}.json", {"inputs": {}, "seconds": 1.0})
    text = status(tmp_path).stdout
    assert "to do" in text and "Winner" not in text and "-m web" not in text
