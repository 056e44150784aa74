"""Photos that are dark, glaring, blurred, nearly blank, or of a size or shape unlike the others."""

import contextlib
import io
import pathlib
from collections.abc import Sequence

from cleanvision import Imagelab

# what cleanvision looks for -> its settings: a score in [0, 1] below the threshold is odd, 0 being the worst
LOOKED_FOR = {
    "dark": {"threshold": 0.32},  # brightness that 1 % of the pixels exceed
    "light": {"threshold": 0.05},  # 1 - brightness that 95 % of the pixels exceed
    "blurry": {"threshold": 0.29},  # from the spread of the edges' strength, the photo shrunk to 64 pixels
    "low_information": {"threshold": 0.3},  # from the entropy of the histogram
    "odd_aspect_ratio": {"threshold": 0.35},  # short side / long side
    "odd_size": {"iqr_factor": 3.0},  # side of a square of its area, in interquartile ranges off the quartiles
}


def find(paths: Sequence[pathlib.Path]) -> list[tuple[int, str, float]]:
    """(row of `paths`, what is odd, score) of each finding, by kind and the worst first."""
    lab = Imagelab(filepaths=[str(path) for path in paths])
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
        lab.find_issues(LOOKED_FOR, n_jobs=1, verbose=False)
    row_of = {str(path): row for row, path in enumerate(paths)}
    findings = []
    for name in LOOKED_FOR:
        odd = lab.issues[lab.issues[f"is_{name}_issue"]].sort_values(f"{name}_score", kind="stable")
        findings += [(row_of[path], name, float(score)) for path, score in odd[f"{name}_score"].items()]
    return findings
