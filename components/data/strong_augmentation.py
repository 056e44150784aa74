"""Colour operations and new backgrounds of augmented views, besides their affine maps.

Each view has two random operations of RandAugment (Cubuk et al. 2020), those that change colours or sharpness, and in
about a third of the views the plain background, where a photo has one, is replaced by a gradient or a texture.
"""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from components.data import background, feature_settings


def keys(photo_ids: Sequence[str], view: int, seed: int) -> np.ndarray:
    """Return the key of the random numbers of each photo's view, int64 [n]; view 0, the clean photo, has -1."""
    if view == 0:
        return np.full(len(photo_ids), -1, np.int64)
    digests = [hashlib.sha256(f"strong/{seed}/{view}/{photo_id}".encode()).digest() for photo_id in photo_ids]
    return np.array([int.from_bytes(digest[:8]) >> 1 for digest in digests], np.int64)


def apply(pixels: tf.Tensor, photo_keys: tf.Tensor) -> tf.Tensor:
    """Return `pixels`, uint8 [n, size, size, 3], changed by their keys, int64 [n]; -1 changes nothing."""
    changed = tf.numpy_function(_of_batch, [pixels, photo_keys], tf.uint8, stateful=False)
    return tf.ensure_shape(changed, pixels.shape)


def _of_batch(pixels: np.ndarray, photo_keys: np.ndarray) -> np.ndarray:
    keyed = zip(pixels, photo_keys.tolist(), strict=True)
    return np.stack([_of_photo(photo, key) if key >= 0 else photo for photo, key in keyed])


def _of_photo(pixels: np.ndarray, key: int) -> np.ndarray:
    rng = np.random.Generator(np.random.Philox(key=key))
    replaced = rng.random() < feature_settings.NEW_BACKGROUNDS
    draw = background.gradient if rng.random() < 0.5 else background.texture
    new = draw(rng, len(pixels))
    chosen = rng.choice(len(OPERATIONS), feature_settings.COLOUR_OPERATIONS, replace=False)
    levels = rng.uniform(-1, 1, feature_settings.COLOUR_OPERATIONS)
    if replaced and (plain := background.mask(pixels)) is not None:
        pixels = background.replace(pixels, plain, new)
    image = Image.fromarray(pixels)
    for number, level in zip(chosen, levels.tolist(), strict=True):
        image = OPERATIONS[number](image, level)
    return np.asarray(image)


def _brightness(image: Image.Image, level: float) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1 + 0.5 * level)


def _contrast(image: Image.Image, level: float) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(1 + 0.6 * level)


def _saturation(image: Image.Image, level: float) -> Image.Image:
    return ImageEnhance.Color(image).enhance(1 + 0.8 * level)


def _hue(image: Image.Image, level: float) -> Image.Image:
    """Turn the hue by up to a tenth of the circle."""
    hue, saturation, value = image.convert("HSV").split()
    turned = hue.point([round(number + 25 * level) % 256 for number in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def _greyscale(image: Image.Image, level: float) -> Image.Image:
    return ImageOps.grayscale(image).convert("RGB")


def _posterize(image: Image.Image, level: float) -> Image.Image:
    """Keep 3 to 6 bits of each channel."""
    return ImageOps.posterize(image, round(4.5 + 1.5 * level))


def _sharpness(image: Image.Image, level: float) -> Image.Image:
    """Sharpen, or blur with a standard deviation of up to 1/75 of the side."""
    if level > 0:
        return ImageEnhance.Sharpness(image).enhance(1 + 2 * level)
    return image.filter(ImageFilter.GaussianBlur(-level * image.width / 75))


OPERATIONS: tuple[Callable[[Image.Image, float], Image.Image], ...] = (
    _brightness,
    _contrast,
    _saturation,
    _hue,
    _greyscale,
    _posterize,
    _sharpness,
)
