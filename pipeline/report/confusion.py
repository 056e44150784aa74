"""Draw confusion matrices as PNG files that can be used on their own."""

import io
import logging
import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import ConfusionMatrixDisplay

from components.base import artifacts

log = logging.getLogger("pilah")
COLOURS = 64  # of the palette: a quarter of the bytes, without a visible difference
STYLE: dict[Any, Any] = {"font.family": "sans-serif", "font.size": 9, "axes.titlesize": 10}


def write(
    path: pathlib.Path,
    matrix: Sequence[Sequence[int]],
    classes: Sequence[str],
    *,
    title: str,
    x_label: str,
    y_label: str,
    side_inches: float,
) -> bytes:
    """Write the matrix to `path` as a PNG and return its bytes.

    A cell shows its count; its colour is the share of the row, so that small classes are as visible as large ones.
    """
    family = _font_with("".join(classes))
    labels = list(classes) if family else [str(number) for number in range(1, len(classes) + 1)]
    if not family:
        log.warning(
            "no installed font has all letters of the class names: %s numbers the classes in alphabetical order", path
        )
    with matplotlib.rc_context({**STYLE, "font.family": ["sans-serif", family or "sans-serif"]}):
        figure = Figure((side_inches, side_inches * 0.98), dpi=100, layout="constrained")
        axes = figure.subplots()
        counts = np.array(matrix)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        display = ConfusionMatrixDisplay(shares, display_labels=labels)
        display.plot(ax=axes, cmap="cividis", colorbar=False, xticks_rotation=45, im_kw={"vmin": 0, "vmax": 1})
        for text, count in zip(display.text_.ravel(), counts.ravel(), strict=True):
            text.set_text(str(count))
        axes.set(title=title, xlabel=x_label, ylabel=y_label)
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            label.set_parse_math(False)  # a $ in a class name is not TeX
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
        stream = io.BytesIO()
        figure.savefig(stream, format="png")
    with artifacts.atomic_write(path) as temporary, Image.open(stream) as image:
        image.convert("RGB").quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
            temporary, "PNG", optimize=True
        )
    return path.read_bytes()


def _font_with(text: str) -> str:
    """Return a font with the letters of `text` that the default font lacks, or an empty string if there is none."""
    default = font_manager.get_font(font_manager.findfont(font_manager.FontProperties(family=["sans-serif"])))
    missing = [ord(letter) for letter in {*text} if not (letter.isspace() or default.get_char_index(ord(letter)))]
    if not missing:
        return "sans-serif"
    for entry in font_manager.fontManager.ttflist:
        if all(map(font_manager.get_font(entry.fname).get_char_index, missing)):
            return entry.name
    return ""
