"""Image quality issues: photos that are dark, glaring, blank, blurred, or of an unusual size or shape."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from components.data import images, photos

MEASURED_PX = 512  # long side to which larger photos are resized first, so that blur is measured at one scale
# kind of issue -> threshold; grey levels are in [0, 255]
THRESHOLDS = {
    "dark": 82.0,  # 99 % of the pixels are below this
    "light": 242.0,  # 95 % of the pixels are above this
    "blank": 2.0,  # spread (standard deviation) of the pixels, below this
    # Spread of the Laplacian divided by the spread of the pixels, below this. The division is needed because the edges
    # of pale objects on pale paper are faint even if they are sharp. 13 photos of the thesis are below the threshold,
    # nearly all of them visibly out of focus.
    "blurred": 0.06,
    "odd_shape": 0.35,  # short side / long side, below this
    "odd_size": 3.0,  # square root of the area, above this times the median or below the median divided by this
}


@dataclasses.dataclass(frozen=True)
class Measures:
    """Measures of a photo; `side_px` is the square root of its area, `shape` its short side divided by its long one."""

    grey_5: float
    grey_99: float
    grey_spread: float
    sharpness: float
    shape: float
    side_px: float


def find(
    photo_list: Sequence[photos.Photo], max_pixels: int, progress: Callable[[int, int], None]
) -> list[tuple[int, str, float]]:
    """Return (row of `photo_list`, kind, measure) of each issue, by kind and then by row.

    Raises:
        PilahError: a photo has changed since it was listed.
    """
    all_measures = []
    for done, photo in enumerate(photo_list, start=1):
        all_measures.append(measure(photos.read_bytes(photo.path, photo.id), max_pixels))
        progress(done, len(photo_list))
    median_px = float(np.median([measures.side_px for measures in all_measures]))
    all_issues = [(row, *issue) for row, measures in enumerate(all_measures) for issue in issues(measures, median_px)]
    kinds = list(THRESHOLDS)
    return sorted(all_issues, key=lambda issue: (kinds.index(issue[1]), issue[0]))


def measure(photo: bytes, max_pixels: int) -> Measures:
    """Measure a usable photo, upright and in grey."""
    upright = images.upright(photo, max_pixels)
    width, height = upright.size
    image = upright.convert("L")
    image.thumbnail((MEASURED_PX, MEASURED_PX))
    grey = np.asarray(image, np.float32)
    spread = float(grey.std())
    grey_5, grey_99 = np.percentile(grey, [5, 99])
    return Measures(
        grey_5=float(grey_5),
        grey_99=float(grey_99),
        grey_spread=spread,
        sharpness=float(laplacian(grey).std()) / max(spread, 1.0),
        shape=min(width, height) / max(width, height),
        side_px=float(np.sqrt(width * height)),
    )


def laplacian(grey: np.ndarray) -> np.ndarray:
    """Return four times each pixel minus its four neighbours, without the pixels at the border."""
    middle = grey[1:-1, 1:-1]
    return 4 * middle - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]


def issues(measures: Measures, median_px: float) -> list[tuple[str, float]]:
    """Return (kind, measure) of each issue of a photo; a blank photo is not also reported as blurred."""
    size = measures.side_px / median_px
    blank = measures.grey_spread < THRESHOLDS["blank"]
    checks = {
        "dark": (measures.grey_99 < THRESHOLDS["dark"], measures.grey_99),
        "light": (measures.grey_5 > THRESHOLDS["light"], measures.grey_5),
        "blank": (blank, measures.grey_spread),
        "blurred": (measures.sharpness < THRESHOLDS["blurred"] and not blank, measures.sharpness),
        "odd_shape": (measures.shape < THRESHOLDS["odd_shape"], measures.shape),
        "odd_size": (max(size, 1 / size) > THRESHOLDS["odd_size"], size),
    }
    return [(kind, value) for kind, (is_issue, value) in checks.items() if is_issue]
