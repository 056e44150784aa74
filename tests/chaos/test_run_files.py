import json

import pytest

from chaos.kills import run_files


@pytest.fixture
def run_dir(tmp_path):
    folder = tmp_path / "run"
    for name in ("trials/01/fold-1.csv", "trials/01/events.out.tfevents.1.host.2", "model/model.keras", "log.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    write_leaderboard(folder, f1=0.5, seconds=1.0)
    return folder


def write_leaderboard(folder, **row):
    (folder / "leaderboard.json").write_text(json.dumps({"scenarios": [row]}))


def changes(run_dir, change):
    before = run_files.inventory(run_dir)
    change()
    return run_files.compare(before, run_files.inventory(run_dir))


def test_run_with_other_times_and_another_model_file_is_equal(run_dir):
    def change():
        write_leaderboard(run_dir, f1=0.5, seconds=2.0)
        (run_dir / "model" / "model.keras").write_text("another date")
        (run_dir / "trials/01/events.out.tfevents.1.host.2").rename(run_dir / "trials/01/events.out.tfevents.3.host.4")
        (run_dir / "log.txt").unlink()

    assert changes(run_dir, change) == ([], [], [])


def test_missing_file_is_lost_and_another_one_is_doubled(run_dir):
    def change():
        (run_dir / "trials/01/fold-1.csv").rename(run_dir / "trials/01/fold-2.csv")
        (run_dir / "trials/01/events.out.tfevents.3.host.4").write_text("a second log")

    lost, doubled, changed = changes(run_dir, change)
    assert (lost, sorted(doubled), changed) == (
        ["trials/01/fold-1.csv"],
        ["trials/01/events.out.tfevents", "trials/01/fold-2.csv"],
        [],
    )


def test_other_predictions_and_scores_differ(run_dir):
    def change():
        (run_dir / "trials/01/fold-1.csv").write_text("other predictions")
        write_leaderboard(run_dir, f1=0.6, seconds=1.0)

    assert sorted(changes(run_dir, change)[2]) == ["leaderboard.json differs", "trials/01/fold-1.csv differs"]
