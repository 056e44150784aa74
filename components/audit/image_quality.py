"""Photos that are dark, glaring, blank or blurred, or of a size or shape unlike the others."""

import dataclasses
import io
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from components.data import images, photos

MEASURED_PX = 512  # long side to which larger photos are shrunk first, so that blur is measured at one scale
# kind -> threshold; each is a plain measure of our own, grey levels in [0, 255]
THRESHOLDS = {
    "dark": 82.0,  # 99 % of the pixels are below this
    "light": 242.0,  # 95 % of the pixels are above this
    "blank": 2.0,  # spread (standard deviation) of the pixels, below this
    # Spread of the Laplacian over the spread of the pixels, below this. Divided so, as pale things on pale paper have
    # faint edges however sharp. Of the thesis's photos, 13 are below, nearly all of them out of focus to the eye.
    "blurred": 0.06,
    "odd_shape": 0.35,  # short side / long side, below this
    "odd_size": 3.0,  # so many times the median of the square root of the area, or a part of it as small
}


@dataclasses.dataclass(frozen=True)
class Measures:
    """What is measured of one photo; `side_px` is the square root of its area, `shape` its short by its long side."""

    grey_5: float
    grey_99: float
    grey_spread: float
    sharpness: float
    shape: float
    side_px: float


def find(
    photo_list: Sequence[photos.Photo], max_pixels: int, progress: Callable[[int, int], None]
) -> list[tuple[int, str, float]]:
    """(row of `photo_list`, what is odd, measure) of each finding, by kind, then in the order of `photo_list`.

    Raises:
        PilahError: a photo has changed since it was listed.
    """
    measured = []
    for done, photo in enumerate(photo_list, start=1):
        measured.append(measure(photos.read_bytes(photo.path, photo.id), max_pixels))
        progress(done, len(photo_list))
    median_px = float(np.median([one.side_px for one in measured]))
    findings = [(row, *finding) for row, one in enumerate(measured) for finding in oddities(one, median_px)]
    kinds = list(THRESHOLDS)
    return sorted(findings, key=lambda finding: (kinds.index(finding[1]), finding[0]))


def measure(photo: bytes, max_pixels: int) -> Measures:
    """Measures of a usable photo's bytes, upright and grey."""
    plain, (width, height) = images.plain_bytes(photo, max_pixels)
    image = Image.open(io.BytesIO(plain)).convert("L")
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
    """Four times each pixel less its four neighbours, of the pixels that have four."""
    middle = grey[1:-1, 1:-1]
    return 4 * middle - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]


def oddities(one: Measures, median_px: float) -> list[tuple[str, float]]:
    """(kind, measure) of everything about a photo that is odd; a blank photo is not called blurred as well."""
    size = one.side_px / median_px
    blank = one.grey_spread < THRESHOLDS["blank"]
    odd = {
        "dark": (one.grey_99 < THRESHOLDS["dark"], one.grey_99),
        "light": (one.grey_5 > THRESHOLDS["light"], one.grey_5),
        "blank": (blank, one.grey_spread),
        "blurred": (one.sharpness < THRESHOLDS["blurred"] and not blank, one.sharpness),
        "odd_shape": (one.shape < THRESHOLDS["odd_shape"], one.shape),
        "odd_size": (max(size, 1 / size) > THRESHOLDS["odd_size"], size),
    }
    return [(kind, value) for kind, (is_odd, value) in odd.items() if is_odd]
