"""Confusion matrices -> PNG files, which stand on white and by themselves."""

import io
import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import ConfusionMatrixDisplay

from components.base import artifacts

COLOURS = 64  # of the palette: a quarter of the bytes, and no difference to see
STYLE: dict[Any, Any] = {"font.family": "sans-serif", "font.size": 9, "axes.titlesize": 10}


def write(
    path: pathlib.Path,
    matrix: Sequence[Sequence[int]],
    classes: Sequence[str],
    words: tuple[str, str, str],
    side_inches: float,
) -> bytes:
    """Write the matrix as a PNG to `path`, and return it.

    Counts are written in the cells and the colour is their share of the row, so that a small class shows as much as a
    large one.

    Args:
        words: title, and what the columns and the rows are.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure((side_inches, side_inches * 0.98), dpi=100, layout="constrained")
        axes = figure.subplots()
        title, columns, rows = words
        counts = np.array(matrix)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        shown = ConfusionMatrixDisplay(shares, display_labels=classes)
        shown.plot(ax=axes, cmap="cividis", colorbar=False, xticks_rotation=45, im_kw={"vmin": 0, "vmax": 1})
        for text, count in zip(shown.text_.ravel(), counts.ravel(), strict=True):
            text.set_text(str(count))
        axes.set(title=title, xlabel=columns, ylabel=rows)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
        stream = io.BytesIO()
        figure.savefig(stream, format="png")
    with artifacts.atomic_write(path) as part, Image.open(stream) as image:
        image.convert("RGB").quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
            part, "PNG", optimize=True
        )
    return path.read_bytes()
