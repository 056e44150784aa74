"""What counts as a failure of a run on a cluster."""

import shutil

import keras
import pytest

from chaos.cluster import runs, watch

LOST = "pilah: The connection to the Dask scheduler was lost. Start it again, and run the same command again."


@pytest.fixture
def finished(tmp_path):
    """Return the folders of a finished run and of its copy."""
    folder = tmp_path / "run"
    for name in ("trials/01/fold-1.csv", "features/VGG19/view-00.npy", "features/VGG19/view-00.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    write_model(folder, 1.0)
    shutil.copytree(folder, tmp_path / "copy")
    return folder, tmp_path / "copy"


def write_model(folder, weight):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model.set_weights([model.get_weights()[0] * weight, model.get_weights()[1]])
    (folder / "model").mkdir(exist_ok=True)
    model.save(folder / watch.MODEL)


def rewrite(path):
    """Write the same content to a new file of the same name, as the tasks of a run do."""
    part = path.with_name("part")
    part.write_bytes(path.read_bytes())
    part.replace(path)


def test_run_with_the_same_files_and_another_file_of_the_same_weights_is_equal(finished):
    expected, run_dir = finished
    write_model(run_dir, 1.0)
    assert watch.differences(expected, run_dir) == ([], [], [])


def test_lost_doubled_and_changed_files_are_named(finished):
    expected, run_dir = finished
    (run_dir / "trials/01/fold-1.csv").rename(run_dir / "trials/01/.claim-fold-1.csv")
    (run_dir / "features/VGG19/view-00.npy").write_text("other activations")
    assert watch.differences(expected, run_dir) == (
        ["trials/01/fold-1.csv"],
        ["trials/01/.claim-fold-1.csv"],
        ["features/VGG19/view-00.npy differs"],
    )


def test_model_with_other_weights_is_named(finished):
    expected, run_dir = finished
    write_model(run_dir, 1.000001)
    assert watch.differences(expected, run_dir)[2] == ["model/model.keras has other weights"]


@pytest.mark.parametrize("name", ["trials/01/fold-1.csv", "features/VGG19/view-00.npy"])
def test_finished_file_that_is_written_again_is_named(finished, name):
    _, run_dir = finished
    with watch.Watch(run_dir) as files:
        files.look()
        part = run_dir / "trials/01/part"  # renamed, because the watch could see the file while it is written
        part.write_text("a new fold")
        part.replace(run_dir / "trials/01/fold-2.csv")
        files.look()
        rewrite(run_dir / name)
    assert files.again == [name]


@pytest.mark.parametrize(
    ("code", "printed", "is_clear"),
    [
        (0, "search: done in 1 s", True),
        (0, "2026-01-01 - distributed.client - ERROR", False),
        (1, LOST, True),
        (1, f"{LOST}\n{LOST}", False),
        (1, "pilah: something else", False),
        (1, f"Traceback (most recent call last):\n{LOST}", False),
        (1, "", False),
        (-9, "search: 3 of 9", True),
    ],
)
def test_end_of_a_run_is_clear_with_one_line_of_the_expected_error_only(code, printed, is_clear):
    assert runs.is_clear(code, printed, "scheduler was lost") == is_clear
