"""Photos under synthetic shifts: those of ImageNet-C, other backgrounds, small objects, and objects off the centre."""

import functools
import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from benchmarks import corruptions
from components.data import background
from components.demo import textures

SEVERITIES = (1, 2, 3, 4, 5)
# picture, uint8 [size, size, 3], and random generator -> picture of the same shape, or None if the shift does not apply
Shift = Callable[[np.ndarray, np.random.Generator], np.ndarray | None]
Condition = tuple[str, str]  # shift and severity
CLEAN = ("none", "")


def conditions(severities: Sequence[int]) -> dict[Condition, Shift]:
    """Return condition -> its shift; `severities`, 1 to 5, are those of ImageNet-C's corruptions."""
    of_imagenet_c = {
        (name, str(severity)): functools.partial(_corrupted, name=name, severity=severity)
        for name in corruptions.CORRUPTIONS
        for severity in severities
    }
    return {
        CLEAN: lambda pixels, rng: pixels,
        ("background", "as taken"): functools.partial(_on_background, draw=None),
        ("background", "gradient"): functools.partial(_on_background, draw=background.gradient),
        ("background", "facets"): functools.partial(_on_background, draw=_facets),
        ("small object", "1/2"): functools.partial(_small, divisor=2),
        ("small object", "1/3"): functools.partial(_small, divisor=3),
        ("off centre", "1/4"): _off_centre,
        **of_imagenet_c,
    }


def shifted(pixels: np.ndarray, photo_id: str, condition: Condition, shift: Shift) -> np.ndarray | None:
    """Return the photo `pixels` under `shift`, the same one each time, or None if the shift does not apply."""
    key = hashlib.sha256("/".join([photo_id, *condition]).encode()).digest()
    return shift(pixels, np.random.Generator(np.random.Philox(int.from_bytes(key[:16]))))


def _corrupted(pixels: np.ndarray, rng: np.random.Generator, name: str, severity: int) -> np.ndarray:
    return corruptions.corrupt(pixels, name, severity, rng)


def _on_background(
    pixels: np.ndarray,
    rng: np.random.Generator,
    draw: Callable[[np.random.Generator, int], np.ndarray] | None,
) -> np.ndarray | None:
    """Return the object on a new background, or None if the photo has no plain one; without `draw` it stays."""
    plain = background.mask(pixels)
    if plain is None or draw is None:
        return None if plain is None else pixels
    return background.replace(pixels, plain, draw(rng, len(pixels)))


def _facets(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """Return crumpled material of a random colour; strong augmentation has no such background."""
    sheet = textures.surface(rng.uniform(40, 220, 3), textures.crumple(rng, 40, 0.8))
    return np.asarray(sheet.resize((size_px, size_px), Image.Resampling.BILINEAR))


def _small(pixels: np.ndarray, rng: np.random.Generator, divisor: int) -> np.ndarray:
    """Return the photo with its side divided by `divisor`, in the middle of a board of its border colour."""
    size = len(pixels)
    small = Image.fromarray(pixels).resize((size // divisor,) * 2, Image.Resampling.BOX)
    board = Image.new("RGB", (size, size), tuple(background.border_colour(pixels).tolist()))
    board.paste(small, ((size - small.width) // 2,) * 2)
    return np.asarray(board)


def _off_centre(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the photo moved by a quarter of its side up, down, left or right, filled with its border colour."""
    quarter = len(pixels) // 4
    down, right = [(quarter, 0), (-quarter, 0), (0, quarter), (0, -quarter)][rng.integers(4)]
    board = Image.new("RGB", pixels.shape[1::-1], tuple(background.border_colour(pixels).tolist()))
    board.paste(Image.fromarray(pixels), (right, down))
    return np.asarray(board)
