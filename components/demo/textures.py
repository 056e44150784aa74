"""Surfaces and outlines of the objects in synthetic photos."""

import math

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

SIDE_PX = 128  # of the square on which an object is drawn upright, before it is rotated and resized
Y, X = np.mgrid[-64:64, -64:64].astype(np.float32)  # [side, side], pixels from the centre


def surface(colour: np.ndarray, shade: np.ndarray, gloss: np.ndarray | float = 0.0) -> Image.Image:
    """Return an RGB image: `colour` [3] in [0, 255], times `shade` [h, w] around 1, plus `gloss` [h, w]."""
    shade, gloss = np.asarray(shade, np.float32), np.asarray(gloss, np.float32)
    return to_image(shade[..., None] * colour.astype(np.float32) + gloss[..., None])


def cut(piece: Image.Image, outline: np.ndarray, opacity: np.ndarray | float = 1.0) -> Image.Image:
    """Cut `piece` to RGBA along `outline` [n, 2], in pixels from the centre; `opacity` [side, side] is in [0, 1]."""
    mask = Image.new("L", piece.size)
    ImageDraw.Draw(mask).polygon((np.asarray(outline) + SIDE_PX / 2).ravel().tolist(), fill=255)
    piece.putalpha(to_image(np.asarray(mask) * opacity))
    return piece


def crumple(rng: Generator, facets: int, contrast: float) -> np.ndarray:
    """Return the shade, float32 [side, side] around 1, of a surface of `facets` flat facets with random tilts."""
    x, y, tilt_x, tilt_y = rng.uniform(-1, 1, (4, facets)).astype(np.float32)
    grid_x, grid_y = X[::2, ::2] / 64, Y[::2, ::2] / 64
    nearest = np.argmin((grid_x - x[:, None, None]) ** 2 + (grid_y - y[:, None, None]) ** 2, axis=0)
    slope = tilt_x[nearest] * (0.25 + grid_x - x[nearest]) + tilt_y[nearest] * (grid_y - y[nearest])
    coarse = Image.fromarray(1 + np.float32(contrast) * slope)
    return np.asarray(coarse.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR))


def band(piece: Image.Image, opacity: np.ndarray, colour: np.ndarray, rows: tuple[float, float]) -> None:
    """Draw a nearly opaque band, a label or a cap, over `rows` of `piece`, preserving its shading."""
    top, bottom = (int(row) for row in rows)
    grey = np.asarray(piece.convert("L"), np.float32)[top:bottom]
    piece.paste(surface(colour, 0.6 + 0.4 * grey / max(grey.mean(), 1)), (0, top))
    opacity[top:bottom] = 0.95


def print_lines(rng: Generator, pen: ImageDraw.ImageDraw, colour: np.ndarray, *, across: tuple, down: tuple) -> None:
    """Draw lines of illegible words between the x coordinates `across` and the y coordinates `down`, in pixels."""
    thick = int(rng.integers(1, 4))
    for y in np.arange(down[0], down[1], thick + rng.uniform(2.5, 6)):
        x, right = across
        while x < right - 3:
            end = min(x + rng.uniform(4, 17), right)
            pen.line([(x, y), (end, y)], fill=ink(colour), width=thick)
            x = end + 3


def sheet_outline(rng: Generator, jitter_px: float) -> np.ndarray:
    """Return a rectangle with its corners moved randomly, [4, 2]."""
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * rng.uniform((36, 43), (54, 56))
    return corners + rng.uniform(-jitter_px, jitter_px, (4, 2))


def blob_outline(rng: Generator, corners: int) -> np.ndarray:
    """Return an irregular polygon around the centre, [corners, 2]."""
    angles = (np.arange(corners) + rng.uniform(-0.4, 0.4, corners)) * 2 * math.pi / corners
    return rng.uniform(35, 59, (corners, 1)) * np.stack([np.cos(angles) * rng.uniform(0.7, 1), np.sin(angles)], axis=1)


def vessel_outline(rng: Generator, kind: str) -> tuple[np.ndarray, float]:
    """Return the outline of a "cup" or "bottle" (a jar, if its neck is wide), [n, 2], and half its width in pixels."""
    if kind == "cup":
        width = rng.uniform(32, 45)
        right: list[tuple[float, float]] = [
            (width, -49),
            (width, -43),
            (width * 0.93, -42),
            (width * rng.uniform(0.55, 0.75), 51),
        ]
    else:
        width, shoulder = rng.uniform(19, 32), rng.uniform(-34, -14)
        neck = width * (rng.uniform(0.7, 0.9) if rng.random() < 0.3 else rng.uniform(0.28, 0.5))
        right = [(neck, -57), (neck, shoulder - 10), (0.6 * width + 0.4 * neck, shoulder), (width, shoulder + 12)]
        right += [(width, 53), (width - 4, 58)]
    return np.array(right + [(-x, y) for x, y in reversed(right)]), width


def streak(x: float, width: float, length: float = 1000) -> np.ndarray:
    """Return a vertical highlight [side, side] in [0, 1], `x` pixels right of the centre, of full height by default."""
    return np.exp(-(((X - x) / width) ** 2) - (Y / length) ** 4)


def vivid(rng: Generator, low: float, high: float) -> np.ndarray:
    """Return a colour [3]: `low`, `high` and a value between, in random channels."""
    return rng.permutation([low, high, rng.uniform(low, high)])


def ink(colour: np.ndarray) -> tuple[int, ...]:
    return tuple(np.clip(colour, 0, 255).astype(int).tolist())


def to_image(levels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
