"""Plots as SVG with the page's font and colours, readable in its light and its dark scheme."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import scipy.stats
from matplotlib import colors, ticker
from matplotlib.figure import Figure

# Okabe and Ito's palette for colour-blind readers
BLUE = "#0072b2"  # replaced by a lighter blue in the page's dark scheme
COLOURS = (BLUE, "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
TICKS = 5  # at most, on an axis of numbers
MARKERS = ("o", "s", "^", "D", "v", "P")
INK = "#010203"  # placeholder of the page's text colour, replaced when the SVG is written
LOW_TO_HIGH = colors.LinearSegmentedColormap.from_list("low to high", ("#4a9bd1", "#d55e00"))  # on light and on dark
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "pilah",  # makes the bytes reproducible
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **{f"{name}.color": INK for name in ("text", "xtick", "ytick")},
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "axes.grid": True,
    "axes.axisbelow": True,
    "legend.frameon": False,
}


@matplotlib.rc_context(STYLE)
def intervals(scenarios: Sequence[Mapping[str, Any]], backbones: Sequence[str], label: str) -> str:
    """Plot macro F1 of each scenario with its interval, best on top; dots are measurably worse than the best.

    Args:
        backbones: label of each scenario's backbone.
    """
    figure, axes = _figure(4.9, 0.6 + 0.215 * len(scenarios))
    for y, row in enumerate(scenarios):
        differs = row["against"] is not None and row["against"]["told_apart"]
        colour = COLOURS[1] if differs else COLOURS[0]
        axes.plot([row["f1_low"], row["f1_high"]], [y, y], color=colour, linewidth=2)
        axes.plot(row["f1"], y, marker="o" if differs else "D", color=colour, markersize=5.5)
    names = [
        f"{row['scenario']}  {backbone}, {row['optimizer']}, {row['dropout']}"
        for row, backbone in zip(scenarios, backbones, strict=True)
    ]
    axes.set_yticks(range(len(scenarios)), names)
    axes.set_ylim(len(scenarios) - 0.4, -0.6)
    axes.set_xlabel(label)
    axes.grid(visible=False, axis="y")
    return _svg(figure)


@matplotlib.rc_context(STYLE)
def groups(values: Sequence[Any], scenarios: Sequence[Mapping[str, Any]], setting: str, label: str) -> str:
    """Plot macro F1 of every scenario, one row per value of `setting`, with the mean as a vertical line."""
    figure, axes = _figure(4.6, 0.75 + 0.42 * len(values))
    for y, value in enumerate(values):
        f1 = [row["f1"] for row in scenarios if row[setting] == value]
        axes.plot(f1, [y] * len(f1), MARKERS[y % 6], color=COLOURS[y % 6], alpha=0.65, markersize=6)
        axes.plot([sum(f1) / len(f1)] * 2, [y - 0.3, y + 0.3], color=INK, linewidth=1.5)
    axes.set_yticks(range(len(values)), [str(value) for value in values])
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xlabel(label)
    axes.grid(visible=False, axis="y")
    return _svg(figure)


@matplotlib.rc_context(STYLE)
def reliability(bins: Sequence[Mapping[str, float]], x_label: str, y_label: str, counts_label: str) -> str:
    """Plot accuracy with its interval by confidence, with counts of photos on top; the diagonal is perfect."""
    figure, axes = _figure(4.6, 4.6)
    axes.plot([0, 1], [0, 1], "--", color=INK, linewidth=1, alpha=0.6)
    for bin_ in bins:
        axes.plot([bin_["confidence"]] * 2, [bin_["accuracy_low"], bin_["accuracy_high"]], color=BLUE, linewidth=1.5)
        axes.plot(bin_["confidence"], bin_["accuracy"], "o", color=BLUE, markersize=5)
        middle = (bin_["low"] + bin_["high"]) / 2
        axes.text(middle, 1.05, f"{bin_['photos']}", rotation=90, ha="center", va="bottom", fontsize=8)
    axes.text(-0.02, 1.05, counts_label, ha="right", va="bottom", fontsize=8)
    axes.set(xlabel=x_label, ylabel=y_label, xlim=(0, 1.03), ylim=(0, 1.03), aspect="equal")
    _in_percent(axes)
    return _svg(figure)


@matplotlib.rc_context(STYLE)
def coverage(rows: Sequence[Mapping[str, float | None]], x_label: str, accuracy: str, share: str) -> str:
    """Plot the share of photos answered, and the accuracy of these answers, by confidence threshold."""
    figure, axes = _figure(4.6, 4.6)
    x = [row["threshold"] for row in rows]
    for index, (name, label) in enumerate({"accuracy": accuracy, "coverage": share}.items()):
        y = [row[name] if row[name] is not None else float("nan") for row in rows]
        axes.plot(x, y, color=COLOURS[index], marker=MARKERS[index], markersize=4, label=label)
    axes.set(xlabel=x_label, ylim=(0, 1.03))
    _in_percent(axes)
    axes.legend(loc="lower left")
    return _svg(figure)


@matplotlib.rc_context(STYLE)
def training(
    histories: Sequence[Mapping[str, Sequence[float]]], epoch: str, labels: Mapping[str, str], fold: str
) -> str:
    """Plot each metric by epoch, one line per fold; `labels` maps a metric to its label."""
    figure, all_axes = _figure(7.2, 2.9, len(labels))
    for axes, (name, label) in zip(all_axes, labels.items(), strict=True):
        for number, history in enumerate(histories):
            axes.plot(_epochs(history[name]), history[name], color=COLOURS[number % 6], label=f"{fold} {number + 1}")
        axes.set(xlabel=epoch, ylabel=label)
    all_axes[0].legend(fontsize=8)
    return _svg(figure)


@matplotlib.rc_context(STYLE)
def small_training(trials: Mapping[int, Sequence[Mapping[str, Sequence[float]]]], columns: int = 9) -> str:
    """Plot the loss of every scenario in a grid of small plots on one scale, one line per fold."""
    rows = -(-len(trials) // columns)
    height_inches = 0.25 + 0.85 * rows
    figure = Figure((7.2, height_inches))  # a constrained layout of so many plots takes seconds
    figure.subplots_adjust(0.05, 0.25 / height_inches, 0.99, 1 - 0.2 / height_inches, wspace=0.15, hspace=0.3)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (number, histories) in zip(grid, trials.items(), strict=False):
        for fold, history in enumerate(histories):
            axes.plot(_epochs(history["loss"]), history["loss"], color=COLOURS[fold % 6], linewidth=0.8)
        axes.set_title(str(number), fontsize=8, pad=2)
        axes.tick_params(labelsize=7)
    for axes in grid[len(trials) :]:
        axes.set_visible(False)
    return _svg(figure)


@matplotlib.rc_context(STYLE)
def folds(tables: Mapping[str, Mapping[str, Sequence[float]]], labels: Mapping[str, str], fold: str, f1: str) -> str:
    """Plot F1 by fold, with one column per backbone of `tables` and one line per table; `labels` names them."""
    figure, all_axes = _figure(7.2, 3.2, len(tables))
    for axes, (backbone, lines) in zip(np.atleast_1d(all_axes), tables.items(), strict=True):
        for index, (name, label) in enumerate(labels.items()):
            if name in lines:
                axes.plot(_epochs(lines[name]), lines[name], color=COLOURS[index], marker=MARKERS[index], label=label)
        axes.set(title=backbone, xlabel=fold, xticks=_epochs(lines["honest"]))
    lowest = min(value for lines in tables.values() for values in lines.values() for value in values)
    for axes in np.atleast_1d(all_axes):
        axes.set_ylim(np.floor(lowest * 10) / 10, 1)
    np.atleast_1d(all_axes)[0].set_ylabel(f1)
    figure.legend(
        *np.atleast_1d(all_axes)[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(labels)
    )
    return _svg(figure)


@matplotlib.rc_context(STYLE)
def parallel_coordinates(rows: Sequence[Mapping[str, Any]], labels: Mapping[str, str], f1: str) -> str:
    """Plot one line per trial through the values of its hyperparameters and its F1, whose rank sets its colour.

    Args:
        rows: trials, the first of which is emphasized.
        labels: hyperparameter -> its label, in the order of the axes.
    """
    figure, axes = _figure(7.2, 3.6)
    places = []
    for x, (name, label) in enumerate({**labels, "f1": f1}.items()):
        places.append(_axis(axes, x, [row[name] for row in rows], log=name == "learning_rate"))
        axes.text(x, 1.09, label, ha="center", va="bottom")
    ranks = scipy.stats.rankdata([row["f1"] for row in rows])
    colours = LOW_TO_HIGH((ranks - 1) / max(1, len(rows) - 1))  # of F1 itself, a few bad trials would leave no contrast
    for index in sorted(range(1, len(rows)), key=lambda index: rows[index]["f1"]):
        axes.plot([place[index] for place in places], color=colours[index], linewidth=1.2, alpha=0.75)
    axes.plot([place[0] for place in places], color=INK, marker="o", markersize=5, linewidth=2.5)
    axes.set(xlim=(-0.5, len(places) - 0.8), ylim=(-0.06, 1.18))
    axes.set_axis_off()
    return _svg(figure)


def _axis(axes: Any, x: int, values: Sequence[Any], *, log: bool) -> np.ndarray:
    """Draw a vertical axis at `x` with ticks left of it, and return the place of each value on it, in [0, 1]."""
    if isinstance(values[0], str):
        names = sorted(set(values), reverse=True)
        ticks, numbers, texts = np.arange(len(names)), np.array([names.index(value) for value in values]), names
    else:
        numbers, ticks = np.array(values, float), np.unique(values)
        if len(ticks) > TICKS:
            ticks = (np.geomspace if log else np.linspace)(ticks[0], ticks[-1], TICKS)
        texts = [f"{tick:.3g}" if tick < 10 else f"{tick:,.0f}" for tick in ticks]
    if log:
        ticks, numbers = np.log(ticks), np.log(numbers)
    low, width = ticks.min(), np.ptp(ticks) or 1.0
    axes.plot([x, x], [0, 1], color=INK, linewidth=1)
    for tick, text in zip(ticks, texts, strict=True):
        axes.text(x - 0.04, (tick - low) / width, text, ha="right", va="center", fontsize=8)
    return (numbers - low) / width


def _in_percent(axes: Any) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ticker.PercentFormatter(xmax=1, decimals=0, symbol=" %"))


def _epochs(values: Sequence[float]) -> range:
    return range(1, len(values) + 1)


def _figure(width_inches: float, height_inches: float, columns: int = 1) -> tuple[Figure, Any]:
    figure = Figure((width_inches, height_inches), layout="constrained")
    return figure, figure.subplots(1, columns)


def _svg(figure: Figure) -> str:
    """Return the figure as an <svg> for the page, hidden from screen readers, which read the caption."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = (
        text[text.index("<svg") :]
        .replace(INK, "currentColor")
        .replace(BLUE, "var(--blue)")
        .replace("xlink:href", "href")
    )
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # other plots on the page have the same ids
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)  # use the page's font
    text = re.sub(r"<defs>\s*<style.*?</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', text, count=1)
    return re.sub(r">\s+<", "><", text).strip()
