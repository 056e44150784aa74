"""The table of backbones: what is known of each network before it is built. Needs no TensorFlow."""

import csv
import dataclasses
import pathlib
import typing

from components.base import settings
from components.base.errors import PilahError

FILE = pathlib.Path(__file__).with_name("backbones.csv")
HOST = "https://storage.googleapis.com/"  # of all weights files of Keras Applications


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A network of Keras Applications without its 1000-way top.

    Attributes:
        size_px: image size for which Keras builds it by default.
        min_size_px: smallest image size.
        channels: number of activations after pooling.
        parameters: number of weights.
        top, top2: where its last stage and its last two stages begin: "before LAYER", at the input of that layer, or
            "after LAYER LAYER", at the outputs of these layers. No other activations reach the layers above. A stage
            has the layers of one resolution, and the block that reduces to it.
        cpu_engine: its fastest inference engine on CPUs in float32, as measured in docs/performance.md. It is a
            constant so that a repeated run gives the same leaderboard.
        layout: digest of the shapes of its weights, see weights_file.layout_of.
        weights_digest: MD5 or SHA-256 of its ImageNet weights file by which Keras checks it; empty if Keras does not.
        weights_url: address of that file.
    """

    size_px: int
    min_size_px: int
    channels: int
    parameters: int
    top: str
    top2: str
    cpu_engine: settings.InferenceEngine
    layout: str
    weights_digest: str
    weights_url: str

    @property
    def weights_file(self) -> str:
        """The file name of its ImageNet weights."""
        return self.weights_url.rpartition("/")[2]


def _read() -> dict[settings.Backbone, Row]:
    types = typing.get_type_hints(Row)
    with FILE.open(encoding="utf-8", newline="") as file:
        lines = [*csv.DictReader(file)]
    rows: dict[typing.Any, Row] = {}
    for line in lines:
        name, path = line.pop("name"), line.pop("weights_path")
        values: dict[str, typing.Any] = {
            column: int(text) if types[column] is int else text for column, text in line.items()
        }
        rows[name] = Row(**values, weights_url=HOST + path)
    return rows


ROWS = _read()  # in the order of settings.Backbone


def check_image_size(names: typing.Iterable[settings.Backbone], image_size_px: int) -> None:
    """Raise PilahError if photos of this size are too small for one of the backbones."""
    for name in names:
        if image_size_px < ROWS[name].min_size_px:
            raise PilahError(
                f"--image-size must be at least {ROWS[name].min_size_px} for {name} (got {image_size_px}). Choose a "
                f"larger size, or leave {name} out of --backbones."
            )
