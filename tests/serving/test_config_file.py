"""Reloads of the configuration file: an edit takes effect, and a broken file changes nothing."""

import logging
import time

import pytest
from tensorflow_serving.apis import model_pb2

from serving.embedded import config_file, flags, status, versions

POLL_SECONDS = 0.01
GIVE_UP_SECONDS = 10.0  # so that a defect fails a test instead of blocking it


class Servable:
    def __init__(self, version):
        self.version = version

    def close(self):
        pass


def load(name, version, path):
    return Servable(version)


@pytest.fixture
def base(tmp_path):
    """Return the folder of a model with versions 1 and 2."""
    for version in "12":
        push(tmp_path / "m", version)
    return tmp_path / "m"


@pytest.fixture
def file(tmp_path, base):
    return write(tmp_path / "models.config", base)


@pytest.fixture
def reads(monkeypatch):
    """Return a list that records each path that is read."""
    paths, read = [], flags.read_models

    def record_and_read(path):
        paths.append(path)
        return read(path)

    monkeypatch.setattr(flags, "read_models", record_and_read)
    return paths


@pytest.fixture
def models(file, caplog):
    """Yield models that serve what `file` says, and reload it."""
    models = versions.Models(load)
    config = flags.read_models(file)
    models.configure(config)
    with caplog.at_level(logging.INFO):
        config_file.poll(file, POLL_SECONDS, models, config)
        yield models
    models.close()


def push(base, version):
    (base / version).mkdir(parents=True)
    (base / version / "saved_model.pb").write_text("graph")


def write(file, base, stable=1, number=2, end="}}"):
    """Write the file like an editor: write another file and rename it."""
    part = file.with_suffix(".part")
    part.write_text(
        f'model_config_list {{ config {{ name: "m" base_path: "{base}" model_platform: "tensorflow" '
        f"model_version_policy {{ latest {{ num_versions: {number} }} }} "
        f'version_labels {{ key: "stable" value: {stable} }} {end}'
    )
    return part.rename(file)


def stable_version(models):
    """Return the version that the label "stable" names, or the status code if there is none."""
    try:
        with models.handle(model_pb2.ModelSpec(name="m", version_label="stable")) as servable:
            return servable.version
    except status.StatusError as error:
        return error.code


def wait_until(condition):
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while not condition():
        assert time.monotonic() < give_up, "the condition was not met in time"
        time.sleep(0.002)


def log_lines(caplog):
    return [record.getMessage() for record in caplog.records if "models.config" in record.getMessage()]


def test_label_moves_when_the_file_is_edited(models, file, base, caplog):
    assert stable_version(models) == 1
    write(file, base, stable=2)
    wait_until(lambda: stable_version(models) == 2)
    wait_until(lambda: log_lines(caplog) == [f"Reloaded {file}"])


@pytest.mark.parametrize("content", [b"model_config_list {", b"", b"\xff\xfe", None], ids=str)
def test_broken_file_changes_nothing_and_is_logged_in_one_line(reads, models, file, base, caplog, content):
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    wait_until(lambda: log_lines(caplog))
    before = len(reads)
    wait_until(lambda: len(reads) > before + 2)
    (line,) = log_lines(caplog)
    assert line.startswith(f"Failed to reload {file}: ") and "\n" not in line
    assert stable_version(models) == 1
    write(file, base, stable=2)
    wait_until(lambda: stable_version(models) == 2)


def test_refused_label_moves_when_its_version_becomes_available(models, file, base, caplog):
    write(file, base, stable=3)
    wait_until(lambda: log_lines(caplog))
    assert "Request to assign label to version 3 of model m" in log_lines(caplog)[0]
    assert stable_version(models) == 1
    push(base, "3")
    models.poll(POLL_SECONDS)  # finds the new version
    wait_until(lambda: stable_version(models) == 3)


def test_unchanged_file_is_not_logged(reads, models, caplog):
    wait_until(lambda: len(reads) > 3)
    assert not log_lines(caplog)


def test_closed_models_take_no_further_configuration(models, file, base):
    models.close()
    with pytest.raises(status.StatusError) as refused:
        models.configure(flags.read_models(file))
    assert refused.value.code is status.Code.UNAVAILABLE
    assert stable_version(models) is status.Code.INVALID_ARGUMENT
