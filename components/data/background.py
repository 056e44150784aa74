"""The plain background of a photo: found by its colour at the border, and replaced. Needs no TensorFlow."""

import numpy as np
from PIL import Image
from scipy import ndimage

MAX_DISTANCE = 60.0  # Euclidean distance in RGB up to which a pixel has the colour of the background
MAX_SLOPE = 4.0  # change of a channel in a pixel; more is an edge, while shadows and light change less
BLUR_PX = 1.5  # smooths noise before colours are compared
EDGE_PX = 2  # that edges lose to the background by the blur
MIN_BORDER = 0.7  # share of the border that must be background
MIN_SHARE, MAX_SHARE = 0.2, 0.85  # of the photo; with more, the object itself would be taken for background
RANK = 0.05  # of the fit: smaller singular values are left out, so that it does not extrapolate far
SOFT_PX = 1.0  # width of the transition between object and background
CELLS = (4, 16)  # of coarse and fine texture on a side


def mask(pixels: np.ndarray) -> np.ndarray | None:
    """Return which pixels are background, bool [size, size], or None if the photo has no plain background.

    Background is what is connected to the border without an edge between, and has about the colour that is expected
    there: a quadratic function of the position that is fitted to the border, because light often falls from one side.

    Args:
        pixels: uint8 [size, size, 3].
    """
    smooth = ndimage.gaussian_filter(pixels.astype(np.float32), (BLUR_PX, BLUR_PX, 0), mode="nearest")
    alike = np.linalg.norm(smooth - _expected(smooth), axis=2) <= MAX_DISTANCE
    slopes = np.hypot(*np.gradient(smooth, axis=(0, 1))).max(axis=2)
    parts, _ = ndimage.label(alike & (slopes <= MAX_SLOPE))
    border = _border(parts)
    background = ndimage.binary_dilation(np.isin(parts, border[border > 0]), iterations=EDGE_PX)
    plain = (border > 0).mean() >= MIN_BORDER and MIN_SHARE <= background.mean() <= MAX_SHARE
    return background if plain else None


def replace(pixels: np.ndarray, background: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return `pixels` with `new` where `background` is, with a soft edge: uint8 [size, size, 3].

    Args:
        background: bool [size, size], from `mask`.
        new: uint8 [size, size, 3].
    """
    share = ndimage.gaussian_filter(background.astype(np.float32), SOFT_PX, mode="nearest")[..., None]
    return np.rint(share * new + (1 - share) * pixels).astype(np.uint8)


def border_colour(pixels: np.ndarray) -> np.ndarray:
    """Return the median colour of the border of `pixels`, uint8 [size, size, 3]: uint8 [3]."""
    return np.median(_border(pixels), axis=0).astype(np.uint8)


def gradient(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """Return a linear gradient between two random colours in a random direction, uint8 [size, size, 3]."""
    angle, (first, last) = rng.uniform(0, 2 * np.pi), rng.uniform(0, 255, (2, 3))
    y, x = np.mgrid[-1 : 1 : size_px * 1j, -1 : 1 : size_px * 1j]
    across = x * np.cos(angle) + y * np.sin(angle)
    share = (across - across.min()) / np.ptp(across)
    return (first + share[..., None] * (last - first)).astype(np.uint8)


def texture(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """Return coarse and fine blots of random colours, uint8 [size, size, 3]."""
    layers = [rng.uniform(0, 255, (cells, cells, 3)).astype(np.uint8) for cells in CELLS]
    coarse, fine = (
        np.asarray(Image.fromarray(layer).resize((size_px, size_px), Image.Resampling.BICUBIC), np.float32)
        for layer in layers
    )
    share = rng.uniform(0.2, 0.6)  # of the fine layer
    return ((1 - share) * coarse + share * fine).astype(np.uint8)


def _expected(smooth: np.ndarray) -> np.ndarray:
    """Return the quadratic function of the position that fits the colours at the border, float32 [size, size, 3].

    It is fitted without the half of the border that differs most from the median, where the object may touch it.
    """
    y, x = np.mgrid[-1 : 1 : len(smooth) * 1j, -1 : 1 : len(smooth) * 1j].astype(np.float32)
    terms = np.stack([np.ones_like(x), x, y, x * y, x**2, y**2], axis=2)
    at_border, colours = _border(terms), _border(smooth)
    distance = np.linalg.norm(colours - np.median(colours, axis=0), axis=1)
    near = distance <= np.median(distance)
    coefficients = np.linalg.lstsq(at_border[near], colours[near], rcond=RANK)[0]
    return terms @ coefficients


def _border(values: np.ndarray) -> np.ndarray:
    """Return the values at the border of `values`, [size, size, ...], in one row: [4 size, ...]."""
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
