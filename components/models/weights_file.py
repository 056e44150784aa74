"""ImageNet weights files in the format of Keras Applications: check, compare and write them."""

import contextlib
import hashlib
import itertools
import math
import pathlib
from collections.abc import Iterator, Mapping

import h5py
import numpy as np

from components.base import artifacts
from components.base.errors import PilahError

REMEDY = "Download it again from Keras Applications, or leave out --weights-dir to have it downloaded."


def check(path: pathlib.Path, backbone: str, parameters: int, layout: str) -> None:
    """Read the whole file, and raise PilahError unless it has the weights of `backbone`.

    Keras itself would read the file only when it builds the backbone, and assign arrays to layers by their order.

    Args:
        parameters: number of weights of the backbone.
        layout: see `layout_of`.
    """
    with path.open("rb"):  # h5py hides the errno of a file without read permission
        pass
    with _check_format(path, backbone), h5py.File(path) as file:
        datasets = _datasets(file)
        _check_layout(path, backbone, [dataset.shape for dataset in datasets], parameters, layout)
        for dataset in datasets:
            _check_values(path, backbone, dataset[()])


def _check_layout(
    path: pathlib.Path, backbone: str, shapes: list[tuple[int, ...]], parameters: int, layout: str
) -> None:
    if layout_of(shapes) != layout:
        count = sum(map(math.prod, shapes))
        difference = f"{count:,} parameters instead of {parameters:,}" if count != parameters else "with other shapes"
        raise PilahError(
            f"{path} must have the weights of {backbone}, but has those of another network ({difference}). {REMEDY}"
        )


def _check_values(path: pathlib.Path, backbone: str, array: np.ndarray) -> None:
    if not np.isfinite(array).all():
        raise PilahError(f"{path} is damaged: some weights of {backbone} are not finite. {REMEDY}")
    if array.ndim > 1 and not array.any():  # an interrupted download may leave zeros in reserved space
        raise PilahError(f"{path} is damaged: all weights of a layer of {backbone} are zero. {REMEDY}")


def layout_of(shapes: list[tuple[int, ...]]) -> str:
    """Return a digest of the shapes of a network's weights, in the order of its layers."""
    return artifacts.digest([list(map(int, shape)) for shape in shapes])


def tensors_digest(path: pathlib.Path) -> str:
    """Return the SHA-256 over dtype, shape and bytes of the weights, in the order of the layers.

    It does not depend on the names of the layers, or on anything else in the HDF5 file.

    Raises:
        OSError, KeyError, RuntimeError, ValueError: the file is damaged.
    """
    result = hashlib.sha256()
    with h5py.File(path) as file:
        for weights in _datasets(file):
            array = weights[()]
            result.update(f"{array.dtype.str}{array.shape}".encode())
            result.update(array.tobytes())
    return result.hexdigest()


def write(path: pathlib.Path, layers: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Write a weights file that Keras can load.

    Args:
        layers: layer -> weight -> values, both in the order of the network.
    """
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for layer, weights in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name in weights]
            for name, values in weights.items():
                group[name] = values


def _datasets(file: h5py.File) -> list[h5py.Dataset]:
    """Return the arrays in the order in which Keras assigns them to layers; empty if the file has no layers."""
    group = file.get("model_weights", file) if "layer_names" not in file.attrs else file  # in the file of a whole model
    layers = [group[name] for name in _names(group, "layer_names")]
    return [layer[name] for layer in layers for name in _names(layer, "weight_names")]


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """Return an attribute of names, which Keras divides into numbered parts if they are too long for HDF5."""
    if attribute in group.attrs:
        return [*group.attrs[attribute]]
    parts = itertools.takewhile(group.attrs.__contains__, (f"{attribute}{number}" for number in itertools.count()))
    return [name for part in parts for name in group.attrs[part]]


@contextlib.contextmanager
def _check_format(path: pathlib.Path, backbone: str) -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError, RuntimeError, ValueError) as error:  # h5py raises any of them, depending on the damage
        reason = " ".join(str(error).split())
        raise PilahError(
            f"{path} is damaged, or not an HDF5 file with weights of {backbone} ({reason}). {REMEDY}"
        ) from error
