"""Heat maps: which areas of a photo counted for its answer, as a translucent picture to lay over the photo."""

import functools
import io
import logging
from collections.abc import Sequence

import grpc
from PIL import Image

from serving import client
from web import uploads
from web.database import Upload

SIDE_PX = 256  # of the picture, which a page stretches over the photo, as the model saw the photo as a square
OPACITY = 0.65
# cividis, which looks the same to colour-blind people: dark blue, grey, yellow, at equal distances from 0 to 1
COLOURS = ((0, 34, 78), (65, 77, 107), (124, 123, 120), (188, 175, 111), (254, 232, 56))
MAX_CACHED = 16  # a page asks whether there is a heat map, and its browser then loads it
# The version that answered is no longer served, or makes no heat maps.
MISSING = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)
log = logging.getLogger("web")


class MissingError(Exception):
    """There is no heat map of this photo, and will be none."""


def of(row: Upload) -> bytes:
    """Return the heat map of a row as PNG, computed by the version that answered.

    Raises:
        MissingError: the row has no answer, or its model no longer makes heat maps.
        ServingUnavailable: the model server does not answer now.
        FileNotFoundError: the picture was deleted.
    """
    if row.class_name is None or row.model_version is None:
        raise MissingError
    return _of_version(row.id, row.model_version)


@functools.lru_cache(MAX_CACHED)
def _of_version(row_id: str, version: int) -> bytes:
    service = uploads.service()
    try:
        return png(service.caller.explain(service.store.picture(row_id).read_bytes(), version))
    except client.ServingRejected as error:
        if error.code in MISSING:
            raise MissingError from error
        log.warning("no heat map of upload %s: %s", row_id, error)
        raise client.ServingUnavailable(str(error)) from error


def png(heatmap: Sequence[Sequence[float]]) -> bytes:
    """Return a square PNG of a heat map, rows of values in [0, 1], interpolated between their centres."""
    values = bytes(round(255 * value) for row in heatmap for value in row)
    image = Image.frombytes("L", (len(heatmap[0]), len(heatmap)), values)
    image = image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
    image.putpalette(_palette(), "RGBA")
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _palette() -> bytes:
    """Return 256 colours from `COLOURS`, as RGBA."""
    palette = bytearray()
    for number in range(256):
        position = number / 255 * (len(COLOURS) - 1)
        start = min(int(position), len(COLOURS) - 2)
        between = zip(COLOURS[start], COLOURS[start + 1], strict=True)
        palette += bytes(round(low + (high - low) * (position - start)) for low, high in between)
        palette.append(round(255 * OPACITY))
    return bytes(palette)
