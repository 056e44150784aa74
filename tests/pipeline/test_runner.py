import dataclasses
import io

import pytest
import rich.console

from components.base import artifacts
from components.base.errors import PilahError
from pipeline import runner
from pipeline.config import Config


@pytest.fixture
def console():
    return rich.console.Console(file=io.StringIO(), width=120)


@pytest.fixture
def config(tmp_path):
    return Config(tmp_path)


def stage(calls, setting, name="photos", fail=False, resumed=None):
    """Return a stage that writes its setting to a file, and appends its name to `calls`."""

    def work(config, report):
        calls.append(name)
        if fail:
            raise ValueError("stopped midway")
        (config.run_dir / f"{name}.txt").write_text(str(setting))

    return runner.Stage(
        name, lambda config: {"setting": setting}, lambda config: [f"{name}.txt"], work, resumed=resumed
    )


def test_unchanged_stage_is_skipped_with_a_line(config, console):
    calls = []
    for _ in range(2):
        runner.run(stage(calls, 1), config, console)
    assert calls == ["photos"]
    assert "photos: unchanged, skipped" in console.file.getvalue()


def test_changed_inputs_run_the_stage_again(config, console):
    calls = []
    for setting in (1, 2):
        runner.run(stage(calls, setting), config, console)
    assert calls == ["photos", "photos"]
    assert (config.run_dir / "photos.txt").read_text() == "2"


def test_missing_output_runs_the_stage_again(config, console):
    calls = []
    runner.run(stage(calls, 1), config, console)
    (config.run_dir / "photos.txt").unlink()
    runner.run(stage(calls, 1), config, console)
    assert calls == ["photos", "photos"]


def test_stage_that_was_not_needed_in_between_runs_again(config, console, caplog):
    caplog.set_level("INFO", "pilah")
    calls = []
    with_refinement, without = dataclasses.replace(config, refine=1), config
    # without refinement, the search may have written to the same folders
    for settings in (with_refinement, without, with_refinement):
        runner.run(stage(calls, 1, name="refine"), settings, console)
    assert calls == ["refine", "refine"]
    assert "refine: not needed, skipped" in caplog.messages
    assert "not needed" not in console.file.getvalue()


def test_failed_stage_loses_its_mark(config, console):
    calls = []
    runner.run(stage(calls, 1), config, console)
    with pytest.raises(ValueError, match="midway"):
        runner.run(stage(calls, 2, fail=True), config, console)
    assert runner.read(config.run_dir, "photos") is None
    runner.run(stage(calls, 1), config, console)
    assert len(calls) == 3


def test_forgotten_stage_runs_again_and_finds_no_unfinished_work(config, console):
    calls = []
    resumable = stage(calls, 1, resumed=lambda config: ["parts"])
    runner.run(resumable, config, console)
    (config.run_dir / "parts").mkdir()
    (config.run_dir / "parts" / "half").write_text("")
    runner.forget(resumable, config)
    assert not (config.run_dir / "parts").exists()
    runner.run(resumable, config, console)
    assert calls == ["photos", "photos"]


def test_mark_has_time_and_memory(config, console):
    runner.run(stage([], 1), config, console)
    mark = runner.read(config.run_dir, "photos")
    assert mark["seconds"] >= 0 and mark["peak_memory_bytes_so_far"] > 1_000_000


def test_output_that_something_else_changed_is_made_again(config, console):
    calls = []
    runner.run(stage(calls, 1), config, console)
    (config.run_dir / "photos.txt").write_text("edited")
    runner.run(stage(calls, 1), config, console)
    assert calls == ["photos", "photos"]
    assert (config.run_dir / "photos.txt").read_text() == "1"


def test_output_that_may_change_is_left_as_it_is(config, console):
    calls = []
    changing = dataclasses.replace(stage(calls, 1), fixed=False)
    runner.run(changing, config, console)
    (config.run_dir / "photos.txt").write_text("in another language")
    runner.run(changing, config, console)
    assert calls == ["photos"]


def test_mark_without_a_digest_of_outputs_is_accepted(config, console):
    calls = []
    runner.run(stage(calls, 1), config, console)
    mark = runner.read(config.run_dir, "photos")
    del mark["outputs"]
    artifacts.write_json(runner.path(config.run_dir, "photos"), mark)
    runner.run(stage(calls, 1), config, console)
    assert calls == ["photos"]


def test_mark_of_an_earlier_version_has_one_digest_of_all_outputs(config, console):
    calls = []
    runner.run(stage(calls, 1), config, console)
    mark = runner.read(config.run_dir, "photos")
    mark["outputs"] = artifacts.digest([[name, digest] for name, digest in mark["outputs"].items()])
    artifacts.write_json(runner.path(config.run_dir, "photos"), mark)
    runner.check_outputs(config.run_dir, lambda file: True)
    runner.run(stage(calls, 1), config, console)
    assert calls == ["photos"]
    (config.run_dir / "photos.txt").write_text("edited")
    runner.run(stage(calls, 1), config, console)
    assert calls == ["photos", "photos"]


@pytest.mark.parametrize("change", ["edited", "removed", "folder"])
def test_output_that_has_changed_is_named_with_its_stage(config, console, change):
    runner.run(stage([], 1), config, console)
    runner.check_outputs(config.run_dir, lambda file: True)
    path = config.run_dir / "photos.txt"
    path.unlink()
    if change == "edited":
        path.write_text("2")
    elif change == "folder":
        path.mkdir()
    with pytest.raises(
        PilahError, match=r"photos\.txt (has changed|is missing).* the stage photos wrote it\. Start 'run'"
    ):
        runner.check_outputs(config.run_dir, lambda file: True)
    runner.check_outputs(config.run_dir, lambda file: file != "photos.txt")


@pytest.mark.parametrize("content", ["[]", "{}", '{"inputs": {}, "seconds": "1"}', '{"inputs": 1, "seconds": 1}'])
def test_damaged_mark_is_named(config, content):
    runner.path(config.run_dir, "photos").parent.mkdir()
    runner.path(config.run_dir, "photos").write_text(content)
    with pytest.raises(PilahError, match=r"stages/photos\.json is damaged.*Delete it and run again"):
        runner.read(config.run_dir, "photos")
