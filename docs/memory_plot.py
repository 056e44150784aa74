"""Draw docs/images/memory.svg and print the table of docs/scale.md from the samples of benchmarks/memory.py.

python -m docs.memory_plot SAMPLES.jsonl
"""

import itertools
import json
import pathlib
import sys
from typing import Any

from pipeline.report import plots

TARGET = pathlib.Path(__file__).parent / "images" / "memory.svg"
COLOURS = {"photos": "#888", "dataset": plots.BLUE, "features": "#c50", "search": "#283"}
WIDTH_PX, HEIGHT_PX, MARGIN_PX, TOP_MIB = 720, 300, 50, 3_500
POINTS = 40  # of a stage


def main(samples_file: pathlib.Path) -> None:
    samples = [json.loads(line) for line in samples_file.read_text().splitlines()]
    stages = {name: thinned([*rows]) for name, rows in itertools.groupby(samples, key=lambda row: row["stage"])}
    TARGET.write_text(svg(stages) + "\n", encoding="utf-8")
    for name, rows in stages.items():
        for row in rows[:: POINTS // 20]:
            print(f"| {name} | {row['seconds']:.0f} s | {row['done']:,} of {row['total']:,} | {row['mib']:,.0f} MiB |")


def thinned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return up to POINTS samples at even distances in time, with the first and the last one."""
    last = len(rows) - 1
    return [rows[number] for number in sorted({round(last * point / (POINTS - 1)) for point in range(POINTS)})]


def svg(stages: dict[str, list[dict[str, Any]]]) -> str:
    """Return a plot of memory over the share of each stage's time; the stages stand side by side."""
    width = (WIDTH_PX - 2 * MARGIN_PX) / len(stages)
    height = HEIGHT_PX - 2 * MARGIN_PX
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" '
        'style="background:white; font-family:sans-serif" font-size="12" fill="#222">'
    ]
    for mib in range(0, TOP_MIB + 1, 500):
        y = HEIGHT_PX - MARGIN_PX - mib / TOP_MIB * height
        parts.append(f'<path d="M{MARGIN_PX} {y:.0f}H{WIDTH_PX - MARGIN_PX}" stroke="#ddd"/>')
        parts.append(f'<text x="{MARGIN_PX - 6}" y="{y + 4:.0f}" text-anchor="end">{mib:,}</text>')
    for number, (name, rows) in enumerate(stages.items()):
        left, end = MARGIN_PX + number * width, max(rows[-1]["seconds"], 1e-9)
        points = " ".join(
            f"{left + row['seconds'] / end * width:.1f},{HEIGHT_PX - MARGIN_PX - row['mib'] / TOP_MIB * height:.1f}"
            for row in rows
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>')
        parts.append(
            f'<text x="{left + width / 2:.0f}" y="{HEIGHT_PX - MARGIN_PX + 18}" text-anchor="middle">{name}, '
            f"{end:,.0f} s</text>"
        )
    parts.append(f'<text x="{MARGIN_PX}" y="{MARGIN_PX - 16}">resident memory of the process, MiB</text></svg>')
    return "\n".join(parts)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
