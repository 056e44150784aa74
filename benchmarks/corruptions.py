"""The corruptions of ImageNet-C, in NumPy, SciPy and Pillow.

The kinds and the constants of each severity are those of Hendrycks and Dietterich (2019), "Benchmarking neural network
robustness to common corruptions and perturbations", for pictures of 224 x 224 pixels. Frost is left out, because it
needs picture files. The package imagecorruptions 1.1.2 does not work with NumPy 2, and needs OpenCV and scikit-image.

A corruption takes a picture, float32 [size, size, 3] in [0, 1], a severity from 1 to 5 and a random generator, and
returns a picture of the same shape, whose values may leave [0, 1].
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage, signal

Corruption = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def corrupt(pixels: np.ndarray, name: str, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Return the picture `pixels`, uint8 [size, size, 3], with the corruption `name`, in the same shape and dtype.

    Args:
        severity: 1 to 5.
    """
    corrupted = CORRUPTIONS[name](pixels.astype(np.float32) / 255, severity, rng)
    return np.rint(corrupted.clip(0, 1) * 255).astype(np.uint8)


def _gaussian_noise(x: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    return x + rng.normal(0, (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1], x.shape)


def _shot_noise(x: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    photons = (60, 25, 12, 5, 3)[severity - 1]
    return rng.poisson(x * photons) / photons


def _impulse_noise(x: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Set values of single channels to black or white."""
    share = (0.03, 0.06, 0.09, 0.17, 0.27)[severity - 1]
    return np.where(rng.random(x.shape) < share, rng.integers(0, 2, x.shape), x)


def _defocus_blur(x: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    radius, soft = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))[severity - 1]
    offsets = np.arange(-radius - 1, radius + 2)
    disc = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(float)
    return _convolved(x, ndimage.gaussian_filter(disc / disc.sum(), soft, radius=1))


def _glass_blur(x: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Blur, swap each pixel with a random neighbour, and blur again."""
    sigma, reach, rounds = ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))[severity - 1]
    height, width, _ = x.shape
    inside = np.arange(height * width).reshape(height, width)[reach:-reach, reach:-reach].ravel()[::-1]
    order = list(range(height * width))
    for _ in range(rounds):
        down, right = rng.integers(-reach, reach, (2, len(inside)))
        for pixel, other in zip(inside.tolist(), (inside + down * width + right).tolist(), strict=True):
            order[pixel], order[other] = order[other], order[pixel]
    swapped = _blurred(x, sigma).reshape(-1, 3)[order].reshape(x.shape)
    return _blurred(swapped, sigma)


def _motion_blur(x: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    radius, sigma = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[severity - 1]
    return _moved(x, radius, sigma, rng.uniform(-45, 45))


def _zoom_blur(x: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    last, step = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))[severity - 1]
    factors = np.arange(1, last, step)
    return (x + sum(_zoomed(x, factor) for factor in factors)) / (len(factors) + 1)


def _snow(x: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    mean, deviation, zoom, threshold, radius, sigma, kept = (
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    )[severity - 1]
    flakes = _zoomed(rng.normal(mean, deviation, (*x.shape[:2], 1)), zoom)
    flakes = _moved(np.where(flakes < threshold, 0, flakes).clip(0, 1), radius, sigma, rng.uniform(-135, -45))
    grey = x @ np.array([[0.299], [0.587], [0.114]])
    return kept * x + (1 - kept) * np.maximum(x, 1.5 * grey + 0.5) + flakes + np.rot90(flakes, 2)


def _fog(x: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    amount, decay = ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))[severity - 1]
    size = len(x)
    clouds = _plasma(1 << (size - 1).bit_length(), decay, rng)[:size, :size, None]
    return (x + amount * clouds) * x.max() / (x.max() + amount)


def _brightness(x: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Raise the value of HSV, which is that of the largest channel."""
    value = x.max(axis=2, keepdims=True)
    raised = np.minimum(value + (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1], 1)
    return np.where(value > 0, x * raised / np.maximum(value, 1e-6), raised)


def _contrast(x: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    means = x.mean(axis=(0, 1))
    return means + (x - means) * (0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1]


def _elastic_transform(x: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Move three points at random, which bends all of the picture, and then each pixel by smooth noise."""
    side = 244  # the paper's own code has it instead of 224
    amount, sigma, reach = (
        (2 * side, 0.7 * side, 0.1 * side),
        (2 * side, 0.08 * side, 0.2 * side),
        (0.05 * side, 0.01 * side, 0.02 * side),
        (0.07 * side, 0.01 * side, 0.02 * side),
        (0.12 * side, 0.01 * side, 0.02 * side),
    )[severity - 1]
    size = len(x)
    points = size / 2 + size // 3 * np.array([(1, 1), (1, -1), (-1, -1)])
    moved = points + rng.uniform(-reach, reach, points.shape)
    affine = np.linalg.solve(np.column_stack([moved, np.ones(3)]), points)  # of the result -> of the picture
    rows = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), axis=-1)
    shifts = [_blurred(rng.uniform(-1, 1, (size, size, 1)), sigma, mode="reflect", truncate=3) for _ in range(2)]
    source = (rows + amount * np.concatenate(shifts, axis=2)) @ affine[:2] + affine[2]
    coordinates = source.transpose(2, 0, 1)
    return np.stack(
        [ndimage.map_coordinates(x[..., channel], coordinates, order=1, mode="mirror") for channel in range(3)], axis=2
    )


def _pixelate(x: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    image, size = _image(x), len(x)
    small = int(size * (0.6, 0.5, 0.4, 0.3, 0.25)[severity - 1])
    coarse = image.resize((small, small), Image.Resampling.BOX)
    return np.asarray(coarse.resize((size, size), Image.Resampling.BOX), np.float32) / 255


def _jpeg_compression(x: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    stream = io.BytesIO()
    _image(x).save(stream, "JPEG", quality=(25, 18, 15, 10, 7)[severity - 1])
    return np.asarray(Image.open(stream), np.float32) / 255


def _image(x: np.ndarray) -> Image.Image:
    return Image.fromarray(np.rint(x * 255).astype(np.uint8))


def _blurred(x: np.ndarray, sigma: float, mode: str = "nearest", truncate: float = 4) -> np.ndarray:
    return ndimage.gaussian_filter(x, (sigma, sigma, 0), mode=mode, truncate=truncate)


def _convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return `x`, [size, size, 3], convolved with a kernel of odd size; its edges are mirrored."""
    reach = len(kernel) // 2
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    return signal.fftconvolve(padded, kernel[..., None], mode="valid", axes=(0, 1))


def _moved(x: np.ndarray, radius: int, sigma: float, degrees: float) -> np.ndarray:
    """Return the mean of `x` moved by 0 to 2 `radius` pixels in a direction, with weights of half a bell curve."""
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    down, right = (np.rint(steps * part(np.deg2rad(degrees))).astype(int) for part in (np.sin, np.cos))
    kernel = np.zeros((4 * radius + 1, 4 * radius + 1))
    np.add.at(kernel, (2 * radius + down, 2 * radius + right), weights / weights.sum())
    padded = np.pad(x, ((2 * radius, 2 * radius), (2 * radius, 2 * radius), (0, 0)), mode="edge")
    return signal.fftconvolve(padded, kernel[..., None], mode="valid", axes=(0, 1))


def _zoomed(x: np.ndarray, factor: float) -> np.ndarray:
    """Return the middle of `x`, [size, size, channels], enlarged by `factor` to the same size."""
    size = len(x)
    middle = (size - 1) / 2
    return np.stack(
        [
            ndimage.affine_transform(
                x[..., channel], [1 / factor] * 2, middle - middle / factor, order=1, mode="nearest"
            )
            for channel in range(x.shape[2])
        ],
        axis=2,
    )


def _plasma(side: int, decay: float, rng: np.random.Generator) -> np.ndarray:
    """Return clouds by the diamond-square algorithm, float64 [side, side] in [0, 1]; `side` is a power of two.

    Args:
        decay: the noise of each finer grid is smaller by the square of this factor.
    """
    heights, step, spread = np.zeros((side, side)), side, 1.0
    while step >= 2:
        half, corners = step // 2, heights[::step, ::step]
        noise = rng.uniform(-spread, spread, (3, *corners.shape))
        below = corners + np.roll(corners, -1, 0)
        middle = (below + np.roll(below, -1, 1)) / 4 + noise[0]
        beside = (corners + np.roll(corners, -1, 1) + middle + np.roll(middle, 1, 0)) / 4 + noise[1]
        heights[half::step, ::step] = (below + middle + np.roll(middle, 1, 1)) / 4 + noise[2]
        heights[half::step, half::step], heights[::step, half::step] = middle, beside
        step, spread = half, spread / decay**2
    heights -= heights.min()
    return heights / heights.max()


CORRUPTIONS: dict[str, Corruption] = {
    "Gaussian noise": _gaussian_noise,
    "shot noise": _shot_noise,
    "impulse noise": _impulse_noise,
    "defocus blur": _defocus_blur,
    "glass blur": _glass_blur,
    "motion blur": _motion_blur,
    "zoom blur": _zoom_blur,
    "snow": _snow,
    "fog": _fog,
    "brightness": _brightness,
    "contrast": _contrast,
    "elastic transform": _elastic_transform,
    "pixelate": _pixelate,
    "JPEG compression": _jpeg_compression,
}
