"""Thumbnails of photos for the page, plain or as the augmented views used in training."""

import base64
import io
import sys

import matplotlib
import numpy as np
import tensorflow as tf
from PIL import Image

from components.base.errors import PilahError
from components.data import augmentation as augmentation_module
from components.data import images, photos, resize

SIDE_PX = 256  # the page shows them smaller until they are opened
VIEW_SIDE_PX = 128
HEATMAP_SIDE_PX = 192  # its cells are far coarser, and a page can have a hundred
HEATMAP_OPACITY = 0.5
QUALITY = 60  # of WebP: half the bytes of JPEG


def of_photo(photo: photos.Photo) -> str | None:
    """Return the photo as a data URI of at most `SIDE_PX` a side, or None if its file is missing or has changed."""
    small = _small(photo)
    return _data_uri(small) if small else None


def under_heatmap(photo: photos.Photo, heatmap: np.ndarray) -> str | None:
    """Return the photo in grey under the colours of its heat map, as `of_photo` does, but at most 192 pixels a side.

    Colours are viridis, whose lightness rises with the value, so that they can be told apart without seeing hues.

    Args:
        heatmap: float32 [height, width] in [0, 1], of the photo stretched to a square.
    """
    small = _small(photo)
    if not small:
        return None
    small.thumbnail((HEATMAP_SIDE_PX, HEATMAP_SIDE_PX))
    values = Image.fromarray(heatmap, "F").resize(small.size, Image.Resampling.BICUBIC)
    colours = matplotlib.colormaps["viridis"](np.asarray(values), bytes=True)[..., :3]
    return _data_uri(Image.blend(small.convert("L").convert("RGB"), Image.fromarray(colours), HEATMAP_OPACITY))


def _small(photo: photos.Photo) -> Image.Image | None:
    try:
        small = images.upright(photos.read_bytes(photo.path, photo.id), sys.maxsize, 2 * SIDE_PX)
        small.thumbnail((SIDE_PX, SIDE_PX))
        return small
    except (images.UnusablePhotoError, PilahError):
        return None


def views(
    photo: photos.Photo, count: int, augmentation: augmentation_module.Augmentation, image_size_px: int, max_pixels: int
) -> list[str]:
    """Return views 0 to `count` of the photo as the backbones see them, or [] if its file is missing or has changed."""
    try:
        plain, _ = images.plain_bytes(photos.read_bytes(photo.path, photo.id), max_pixels)
        pixels = resize.decode_and_resize(tf.constant(plain), image_size_px)
    except (PilahError, images.UnusablePhotoError, tf.errors.InvalidArgumentError):
        return []
    pictures = [
        Image.fromarray(
            augmentation_module.apply(
                pixels[tf.newaxis],
                augmentation_module.transforms([photo.id], view, augmentation, image_size_px),
                augmentation_module.keys([photo.id], view, augmentation),
            ).numpy()[0]
        )
        for view in range(count + 1)
    ]
    for picture in pictures:
        picture.thumbnail((VIEW_SIDE_PX, VIEW_SIDE_PX))
    return [_data_uri(picture) for picture in pictures]


def _data_uri(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"
