"""Draw docs/images/leakage-by-fold.svg, the plot of the report's leakage check, from a run of the thesis's photos.

python -m docs.leakage_plot RUN
"""

import pathlib
import sys

from components.base import artifacts
from pipeline import run_folder
from pipeline.report import plots

TARGET = pathlib.Path(__file__).parent / "images" / "leakage-by-fold.svg"
LABELS = {
    "honest": "ours, new for each fold",
    "carried": "ours, carried (LEAKING)",
    "thesis": "the thesis, carried",
}


def main(run_dir: pathlib.Path) -> None:
    results = artifacts.read_json(run_dir / run_folder.LEAKAGE_CHECK)
    svg = plots.folds(results["folds"], LABELS, "fold", "macro F1")
    for page, file in (
        (
            "<svg ",
            '<svg xmlns="http://www.w3.org/2000/svg" style="background:white; color:#222; font-family:sans-serif" ',
        ),
        ("var(--blue)", plots.BLUE),
        ("currentColor", "#222"),
    ):
        svg = svg.replace(page, file)
    TARGET.write_text(svg + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
