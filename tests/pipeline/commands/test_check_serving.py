import pathlib

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.config import model_server_config_pb2

from components.base import artifacts
from components.base.errors import PilahError
from components.data import images, photos
from pipeline import recipe, run_folder
from pipeline.commands import check_serving
from pipeline.config import Config
from serving import channel, client
from serving.embedded import flags, server

PHOTOS = [b"\x00\x10", b"\x80", b"\xff\x01\x02"]
IDS = [artifacts.bytes_digest(photo) for photo in PHOTOS]
ANSWERS = {"photos": IDS, "classes": ["even", "odd"], "scores": [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]}


class Parity(tf.Module):
    """The classifier's signature on bytes of any kind: whether their number is odd."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def classify(self, image_bytes):
        odd = tf.cast(tf.strings.length(image_bytes) % 2, tf.float32)
        names = tf.tile(tf.constant([["even", "odd"]]), [tf.shape(odd)[0], 1])
        return {"scores": tf.stack([1 - odd, odd], axis=1), "class_names": names}


@pytest.fixture(scope="module")
def caller(tmp_path_factory):
    base = tmp_path_factory.mktemp("served")
    model = Parity()
    tf.saved_model.save(model, str(base / "3"), signatures={"serving_default": model.classify})
    models = model_server_config_pb2.ModelServerConfig()
    models.model_config_list.config.add(name="pilah", base_path=str(base), model_platform="tensorflow")
    running = server.Server(
        flags.Flags(
            models=models,
            port=0,
            rest_api_port=0,
            batching=None,
            metrics_path=None,
            file_system_poll_wait_seconds=0,
            grpc_max_threads=4,
        )
    )
    running.start()
    with client.Client(f"localhost:{running.port}") as connected:
        yield connected
    running.stop()


def run_of(run_dir, contents, monkeypatch):
    """A run of photos whose bytes are `contents`, by id: of any kind, so they are not made plain."""
    monkeypatch.setattr(images, "plain_bytes", lambda content, max_pixels: (content, (1, 1)))
    listed = [photos.Photo(name, str(run_dir / name), "even", fold=0) for name in contents]
    for photo in listed:
        pathlib.Path(photo.path).write_bytes(contents[photo.id])
    photos.write(run_dir / "photos.csv", listed)
    artifacts.write_csv(run_dir / "dataset" / "rejects.csv", ["id"], [])
    return Config(run_dir)


def test_served_version_is_found_and_answers_as_validated(caller):
    check_serving.wait_until_available(caller, 3, seconds=30)
    assert check_serving.check_same_answers(caller, 3, PHOTOS, ANSWERS) == 0


def test_version_is_compared_with_its_own_answers_after_a_later_validation(caller, tmp_path, monkeypatch):
    config = run_of(tmp_path, dict(zip(["0", *IDS], [b"another", *PHOTOS], strict=True)), monkeypatch)
    base = tmp_path / "served" / "pilah"
    for version, answers in ((2, {}), (3, ANSWERS)):
        artifacts.write_json(base / str(version) / run_folder.ANSWERS, answers)
    artifacts.write_json(tmp_path / run_folder.ANSWERS, {**ANSWERS, "classes": ["of", "another"]})
    assert check_serving.check(config, caller.target).startswith(f"{caller.target} serves version 3: 3 photos, ")
    (base / "3" / run_folder.ANSWERS).unlink()
    with pytest.raises(PilahError, match="Push again with --from push"):
        check_serving.check(config, caller.target)


def test_version_whose_photos_are_missing_is_not_compared(caller, tmp_path, monkeypatch):
    config = run_of(tmp_path, {IDS[0]: PHOTOS[0], "4": b"another"}, monkeypatch)
    artifacts.write_json(tmp_path / "served" / "pilah" / "3" / run_folder.ANSWERS, ANSWERS)
    with pytest.raises(
        PilahError, match=f"Version 3 was validated on 3 photos, of which 2 are missing from the run, such as {IDS[1]}"
    ):
        check_serving.check(config, caller.target)


def test_version_that_is_not_served_is_an_error_with_the_served_ones(caller):
    with pytest.raises(PilahError, match=r"Version 4 is not available at localhost:\d+ after .*: it serves \[3\]\. "):
        check_serving.wait_until_available(caller, 4, seconds=0.1)


def test_no_server_is_an_error_with_what_to_start():
    with client.Client("localhost:1", timeout_seconds=0.2) as nobody, pytest.raises(PilahError) as failed:
        check_serving.wait_until_available(nobody, 1, seconds=0.1)
    message = str(failed.value)
    assert "make serve" in message and "docker compose up serving" in message and "serving:8500" in message
    assert ".." not in message and ".)" not in message and message.count("make serve") == 1


def test_rest_port_is_an_error_at_once(monkeypatch):
    monkeypatch.setattr(channel, "http_error", lambda address: f"{address} speaks HTTP.")
    with (
        client.Client("localhost:1", timeout_seconds=0.2) as rest,
        pytest.raises(PilahError, match=r"^localhost:1 speaks"),
    ):
        check_serving.wait_until_available(rest, 1, seconds=600)


@pytest.mark.parametrize("address", ["http://localhost:8500", "localhost"])
def test_malformed_address_is_refused_with_its_option(address):
    with pytest.raises(PilahError, match=r"^--check-serving must be HOST:PORT"):
        check_serving.check_address(address)


@pytest.mark.parametrize(
    "error", [client.ServingRejected("refused", grpc.StatusCode.UNIMPLEMENTED), client.ServingUnavailable("away")]
)
def test_error_of_the_server_is_one_line_without_a_traceback(tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    config = run_of(tmp_path, {}, monkeypatch)
    artifacts.write_json(tmp_path / "served" / "pilah" / "3" / run_folder.ANSWERS, {**ANSWERS, "photos": ["0"]})
    monkeypatch.setattr(run_folder, "usable_photos", lambda run_dir: [photos.Photo("0", "0", "even", fold=0)])
    monkeypatch.setattr(recipe, "plain_bytes", lambda config, listed: PHOTOS[:1])
    monkeypatch.setattr(client.Client, "available_versions", fail)
    monkeypatch.setattr(check_serving, "WAIT_SECONDS", 0)
    with pytest.raises(PilahError, match=str(error)):
        check_serving.check(config, "localhost:1")


def test_other_scores_are_an_error_with_the_difference(caller):
    others = {**ANSWERS, "scores": [[1.0, 0.0], [0.25, 0.75], [0.0, 1.0]]}
    with pytest.raises(PilahError, match=r"within 0\.001 \(they differ by 2\.50e-01\)"):
        check_serving.check_same_answers(caller, 3, PHOTOS, others)


def test_other_classes_are_an_error_with_both_lists(caller):
    with pytest.raises(PilahError, match=r"must be \['odd', 'even'\] \(got \['even', 'odd'\]\)"):
        check_serving.check_same_answers(caller, 3, PHOTOS, {**ANSWERS, "classes": ["odd", "even"]})
