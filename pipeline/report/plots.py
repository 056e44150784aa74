"""Figures -> pictures: SVG that takes the page's font and colours, so that it is readable by day and by night."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by the colour-blind.
BLUE = "#0072b2"  # too dark by night, when the page puts a lighter one in its place
COLOURS = (BLUE, "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKS = ("o", "s", "^", "D", "v", "P")
INK = "#010203"  # stands for the page's text colour until the SVG is written
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # words stay words
    "svg.hashsalt": "pilah",  # the same picture, the same bytes
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
    """F1 of each scenario with its interval, best on top; those that cannot be told from the first one filled.

    Args:
        backbones: what to call each scenario's.
    """
    figure, axes = _figure(7.2, 0.6 + 0.215 * len(scenarios))
    for place, row in enumerate(scenarios):
        apart = row["against"] is not None and row["against"]["told_apart"]
        colour = COLOURS[1] if apart else COLOURS[0]
        axes.plot([row["f1_low"], row["f1_high"]], [place, place], color=colour, linewidth=2)
        axes.plot(row["f1"], place, marker="o" if apart else "D", color=colour, markersize=5.5)
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
    """F1 of every scenario on a line a value of `setting`, with the mean as a stroke."""
    figure, axes = _figure(4.6, 0.75 + 0.42 * len(values))
    for place, value in enumerate(values):
        f1 = [row["f1"] for row in scenarios if row[setting] == value]
        axes.plot(f1, [place] * len(f1), MARKS[place % 6], color=COLOURS[place % 6], alpha=0.65, markersize=6)
        axes.plot([sum(f1) / len(f1)] * 2, [place - 0.3, place + 0.3], color=INK, linewidth=1.5)
    axes.set_yticks(range(len(values)), [str(value) for value in values])
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xlabel(label)
    axes.grid(visible=False, axis="y")
    return _svg(figure)


@matplotlib.rc_context(STYLE)
def reliability(bins: Sequence[Mapping[str, float]], across: str, up: str) -> str:
    """Accuracy by confidence; points that hold more photos are larger, and the diagonal is perfect calibration."""
    figure, axes = _figure(3.6, 3.6)
    axes.plot([0, 1], [0, 1], "--", color=INK, linewidth=1, alpha=0.6)
    most = max(one["photos"] for one in bins)
    x, y = [one["confidence"] for one in bins], [one["accuracy"] for one in bins]
    axes.plot(x, y, color=COLOURS[0], linewidth=1.5)
    axes.scatter(x, y, [12 + 110 * one["photos"] / most for one in bins], color=COLOURS[0])
    axes.set(xlabel=across, ylabel=up, xlim=(0, 1.03), ylim=(0, 1.03), aspect="equal")
    return _svg(figure)


@matplotlib.rc_context(STYLE)
def coverage(rows: Sequence[Mapping[str, float | None]], across: str, accuracy: str, share: str) -> str:
    """Accuracy of the photos answered, and their share, by the confidence asked for."""
    figure, axes = _figure(4.6, 3.6)
    x = [row["threshold"] for row in rows]
    for place, (name, words) in enumerate({"accuracy": accuracy, "coverage": share}.items()):
        y = [row[name] if row[name] is not None else float("nan") for row in rows]
        axes.plot(x, y, color=COLOURS[place], marker=MARKS[place], markersize=4, label=words)
    axes.set(xlabel=across, ylim=(0, 1.03))
    axes.legend(loc="lower left")
    return _svg(figure)


@matplotlib.rc_context(STYLE)
def training(
    histories: Sequence[Mapping[str, Sequence[float]]], epoch: str, names: Mapping[str, str], fold: str
) -> str:
    """A line a fold over the epochs, one plot a measure; `names` gives each measure's word."""
    figure, all_axes = _figure(7.2, 2.9, len(names))
    for axes, (name, words) in zip(all_axes, names.items(), strict=True):
        for number, history in enumerate(histories):
            axes.plot(_epochs(history[name]), history[name], color=COLOURS[number % 6], label=f"{fold} {number + 1}")
        axes.set(xlabel=epoch, ylabel=words)
    all_axes[0].legend(fontsize=8)
    return _svg(figure)


@matplotlib.rc_context(STYLE)
def small_training(trials: Mapping[int, Sequence[Mapping[str, Sequence[float]]]], columns: int = 9) -> str:
    """The loss of every scenario, a small plot each on one scale, a line a fold."""
    rows = -(-len(trials) // columns)
    figure = Figure((7.2, 0.25 + 0.85 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (number, histories) in zip(grid, trials.items(), strict=False):
        for place, history in enumerate(histories):
            axes.plot(_epochs(history["loss"]), history["loss"], color=COLOURS[place % 6], linewidth=0.8)
        axes.set_title(str(number), fontsize=8, pad=2)
        axes.tick_params(labelsize=7)
    for axes in grid[len(trials) :]:
        axes.set_visible(False)
    return _svg(figure)


def _epochs(values: Sequence[float]) -> range:
    return range(1, len(values) + 1)


def _figure(width_inches: float, height_inches: float, columns: int = 1) -> tuple[Figure, Any]:
    figure = Figure((width_inches, height_inches), layout="constrained")
    return figure, figure.subplots(1, columns)


def _svg(figure: Figure) -> str:
    """The figure as an <svg> for a page: hidden from screen readers, to whom its caption speaks."""
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
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # names that the next picture has, too
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)  # the page's font
    text = re.sub(r"<defs>\s*<style.*?</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', text, count=1)
    return re.sub(r">\s+<", "><", text).strip()
